"""Whoever builds the wheel gets the same bytes, and in it is what users and their tools look for."""

import configparser
import re
import tarfile
import zipfile
from datetime import UTC, datetime

import pytest

from oicp_adapter import __version__
from release.wheel import ROOT, build, compare, copied, prove

EPOCH = 1_700_000_000


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Sdist and wheel, of which two others were equal; built with a time of ours."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOURCE_DATE_EPOCH", str(EPOCH))
        wheel, sdist = prove(ROOT, tmp_path_factory.mktemp("built"))
    return wheel, sdist


@pytest.fixture(scope="module")
def wheel(built):
    with zipfile.ZipFile(built[0]) as archive:
        yield archive


def test_built_elsewhere_at_another_time_and_from_the_sdist_it_is_the_same(built):
    assert [path.suffix for path in built] == [".whl", ".gz"]


def test_a_build_that_takes_times_from_the_files_is_found_out(tmp_path):
    source = copied(ROOT, tmp_path / "source", age=0)
    settings = source / "pyproject.toml"
    text = settings.read_text(encoding="utf-8")
    settings.write_text(
        text.replace("[tool.hatch.version]", "[tool.hatch.build]\nreproducible = false\n[tool.hatch.version]")
    )
    with pytest.raises(SystemExit, match="is another one when built elsewhere"):
        prove(source, tmp_path / "target")
    assert not (tmp_path / "target").exists()


def test_two_that_differ_in_a_byte_or_a_name_are_told_apart(tmp_path):
    for name, content in (("one/a.whl", b"a"), ("other/a.whl", b"b"), ("third/b.whl", b"a")):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(content)
    one, other, third = ([tmp_path / name] for name in ("one/a.whl", "other/a.whl", "third/b.whl"))
    compare(one, one, "again")
    with pytest.raises(SystemExit, match=r"a\.whl is another one when again"):
        compare(one, other, "again")
    with pytest.raises(SystemExit, match="other files"):
        compare(one, third, "again")


def test_every_time_in_it_is_the_one_that_was_asked_for(wheel):
    stated = {each.date_time for each in wheel.infolist()}
    assert stated == {datetime.fromtimestamp(EPOCH, UTC).timetuple()[:6]}


def test_type_checkers_find_its_types(wheel):
    assert "oicp_adapter/py.typed" in wheel.namelist()
    assert "Typing :: Typed" in metadata(wheel)


def test_it_ships_manual_page_and_completions_where_they_are_looked_for(wheel):
    data = {name.partition(".data/data/")[2]: name for name in wheel.namelist() if ".data/data/" in name}
    for path in (
        "share/man/man1/oicp-adapter.1",
        "share/bash-completion/completions/oicp-adapter",
        "share/zsh/site-functions/_oicp-adapter",
        "share/fish/vendor_completions.d/oicp-adapter.fish",
    ):
        assert wheel.read(data.pop(path)) == (ROOT / path).read_bytes()
    assert data == {}


def test_it_holds_the_package_and_nothing_beside_it(wheel):
    tops = {name.partition("/")[0] for name in wheel.namelist()}
    assert tops == {"oicp_adapter", f"oicp_adapter-{__version__}.data", f"oicp_adapter-{__version__}.dist-info"}
    packaged = {str(path.relative_to(ROOT)) for path in (ROOT / "oicp_adapter").rglob("*.py")}
    assert packaged <= set(wheel.namelist())


def test_it_installs_the_command(wheel):
    parser = configparser.ConfigParser()
    (name,) = (each for each in wheel.namelist() if each.endswith("/entry_points.txt"))
    parser.read_string(wheel.read(name).decode())
    assert dict(parser["console_scripts"]) == {"oicp-adapter": "oicp_adapter.cli.main:main"}
    assert re.search(rf"^Version: {re.escape(__version__)}$", metadata(wheel), re.MULTILINE)


def test_the_sdist_holds_what_a_wheel_is_built_from(built):
    with tarfile.open(built[1]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert names >= {"pyproject.toml", "README.md", "LICENSE", "share/man/man1/oicp-adapter.1", "locks/runtime.txt"}


def test_without_a_wish_the_time_is_that_of_the_commit_or_a_constant(monkeypatch, tmp_path):
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    wheel, _ = build(ROOT, tmp_path)
    with zipfile.ZipFile(wheel) as archive:
        (stated,) = {each.date_time for each in archive.infolist()}
    assert stated[0] >= 2020


def metadata(wheel):
    (name,) = (each for each in wheel.namelist() if each.endswith(".dist-info/METADATA"))
    return wheel.read(name).decode()

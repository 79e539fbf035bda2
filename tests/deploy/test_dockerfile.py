"""The image is pinned, needs neither root nor a shell, says what it is, and holds nothing that was not asked for."""

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from oicp_adapter import __version__

ROOT = Path(__file__).parents[2]
HADOLINT = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or shutil.which("hadolint")
LABELS = ["title", "description", "licenses", "version", "revision", "created", "base.name"]


def load(name):
    """Import a script of CI."""
    spec = importlib.util.spec_from_file_location(name, ROOT / ".ci" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


dockerfile = load("dockerfile")
INSTRUCTIONS = dockerfile.read(ROOT / "Dockerfile")


def all_of(word):
    return [rest for found, rest in INSTRUCTIONS if found == word]


def test_both_stages_stand_on_one_base_that_an_argument_pins_by_digest():
    arguments = dockerfile.assignments(all_of("ARG")[0])
    bases = {dockerfile.base_image(rest, arguments) for rest in all_of("FROM")}
    assert len(all_of("FROM")) == 2
    assert len(bases) == 1


def test_its_user_is_a_number_other_than_roots():
    (user,) = all_of("USER")
    assert dockerfile.numeric_user(user) == (10001, 10001)


def test_nothing_that_is_started_wants_a_shell():
    last = max(index for index, (word, _) in enumerate(INSTRUCTIONS) if word == "FROM")
    started = [(word, rest) for word, rest in INSTRUCTIONS[last:] if word in {"RUN", "ENTRYPOINT", "CMD"}]
    assert [word for word, _ in started] == ["RUN", "ENTRYPOINT", "CMD"]
    for _, rest in started:
        dockerfile.exec_form(rest)
    (health,) = all_of("HEALTHCHECK")
    assert dockerfile.health_command(health) == ["oicp-adapter", "healthcheck"]


def test_every_package_comes_from_a_lock_by_hash():
    installs = [part for rest in all_of("RUN") for part in rest.split("&&") if " install " in part and "pip" in part]
    assert len(installs) == 3
    for each in installs:
        assert "--no-deps" in each
        assert "--require-hashes" in each or "--no-index" in each, each


def test_it_says_what_it_is():
    (labels,) = [dockerfile.assignments(rest) for rest in all_of("LABEL")]
    assert set(labels) == {f"org.opencontainers.image.{each}" for each in LABELS}
    assert all(labels.values())
    arguments = {name: value for rest in all_of("ARG") for name, value in dockerfile.assignments(rest).items()}
    assert arguments["VERSION"] == __version__


def test_only_what_is_copied_is_sent_to_the_build():
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    let_in = {line[1:] for line in rules if line.startswith("!")}
    copied = {word for rest in all_of("COPY") if "--from" not in rest for word in rest.split()[:-1]}
    assert copied == let_in
    assert all((ROOT / each).exists() for each in let_in)


@pytest.mark.parametrize(
    ("reader", "text"),
    [
        ("exec_form", "oicp-adapter run"),
        ("exec_form", "[]"),
        ("health_command", "--interval=30s CMD curl http://localhost/livez || exit 1"),
        ("health_command", "NONE"),
        ("numeric_user", "root"),
        ("numeric_user", "10001"),
        ("numeric_user", "0:0"),
    ],
)
def test_what_wants_a_shell_or_root_is_refused(reader, text):
    with pytest.raises(dockerfile.DockerfileError):
        getattr(dockerfile, reader)(text)


@pytest.mark.parametrize("rest", ["python:3.11", "${IMAGE}", "${TAGGED} AS build"])
def test_a_base_without_a_digest_is_refused(rest):
    with pytest.raises(dockerfile.DockerfileError):
        dockerfile.base_image(rest, {"TAGGED": "python:3.11-slim"})


def test_comments_and_continued_lines_are_read_as_an_engine_reads_them():
    text = "# a\nRUN a \\\n    # b\n    && c\n\nENV A=1 \\\n    B=two\n"
    assert list(dockerfile.instructions(text)) == [("RUN", "a && c"), ("ENV", "A=1 B=two")]
    assert dockerfile.assignments('A=1 B="two words"') == {"A": "1", "B": "two words"}


@pytest.mark.skipif(HADOLINT is None, reason="no hadolint is installed")
def test_hadolint_finds_nothing_and_would_find_something(tmp_path):
    def lint(path):
        line = [HADOLINT, "--config", str(ROOT / ".hadolint.yaml"), "--no-color", str(path)]
        return subprocess.run(line, capture_output=True, text=True, check=False, timeout=60)

    assert (lint(ROOT / "Dockerfile").returncode, lint(ROOT / "Dockerfile").stdout) == (0, "")
    worse = tmp_path / "Dockerfile"
    worse.write_text(re.sub(r"HEALTHCHECK .*", "RUN cd /tmp", (ROOT / "Dockerfile").read_text()))
    assert "DL3003" in lint(worse).stdout

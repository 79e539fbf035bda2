"""`db upgrade`, `db check`, `db import`, and what other commands say of a store that is not there."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from oicp_adapter.cli.main import app
from oicp_adapter.store.engine import open_store

HEADER = "evse_id,operator_id,status"


def call(folder: Path, *arguments: str, file: Path | None = None) -> Result:
    env = {"OICP_ADAPTER_STORE__URL": f"sqlite:///{file or folder / 'store.db'}"}
    return CliRunner().invoke(app, list(arguments), env=env)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    assert call(tmp_path, "db", "upgrade").exit_code == 0
    return tmp_path


def fleet(folder: Path, *lines: str) -> str:
    path = folder / "fleet.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    return str(path)


def test_a_fleet_is_loaded_and_what_is_wrong_with_it_is_named(folder: Path) -> None:
    file = fleet(folder, f"{HEADER},time_zone", "DE*ABC*E1,DE*ABC,x,Mars/Olympus,y", "DE*ABC*E2,CH-REP,x")
    result = call(folder, "db", "import", file)
    assert result.exit_code == 0
    assert result.stderr.startswith("2 rows read: 2 new, 0 changed, 0 unchanged, 0 not loaded, 2 loaded in part, 1 ")
    for words in ("unknown_time_zone", "surplus_fields", "malformed_operator_id", "loaded in part"):
        assert words in result.stdout
    for line in result.stdout.splitlines():
        assert not ("CH-REP" in line and "[[operators]]" in line)
    assert result.stdout.count("correct the row") == 2


def test_a_single_row_is_spoken_of_in_the_singular(folder: Path) -> None:
    assert "1 row read" in call(folder, "db", "import", fleet(folder, HEADER, "DE*ABC*E1,DE*ABC,x")).stderr


def test_a_file_that_is_not_there_is_a_wrong_argument(folder: Path) -> None:
    result = call(folder, "db", "import", str(folder / "nofile.csv"))
    assert result.exit_code == 2
    assert "nofile.csv" in result.stderr
    assert "No such file" in result.stderr


@pytest.mark.parametrize(("separator", "name"), [(";", "a semicolon (;)"), ("\t", "a tab"), ("|", "a bar (|)")])
def test_another_separator_is_named(folder: Path, separator: str, name: str) -> None:
    result = call(folder, "db", "import", fleet(folder, HEADER.replace(",", separator)))
    assert result.exit_code == 2
    assert f"the separator seems to be {name}" in result.stderr


@pytest.mark.parametrize("content", [b"", b"evse_id,status", b"\xff\xfe\x00", b"evse_id,operator_id,status\n\xff"])
def test_a_file_that_holds_no_fleet_is_a_wrong_argument(folder: Path, content: bytes) -> None:
    (folder / "fleet.csv").write_bytes(content)
    assert call(folder, "db", "import", str(folder / "fleet.csv")).exit_code == 2


@pytest.mark.parametrize(
    "arguments", [["status"], ["explain", "DE*ABC*E1"], ["db", "check"], ["check", "--offline"], ["temporary", "list"]]
)
def test_a_command_that_reads_makes_no_store(tmp_path: Path, arguments: list[str]) -> None:
    result = call(tmp_path, *arguments)
    assert result.exit_code in {69, 78}
    assert f"{tmp_path}/store.db does not exist" in result.output
    assert "oicp-adapter db upgrade" in result.output
    assert list(tmp_path.iterdir()) == []


def test_an_import_into_a_store_that_is_not_there_makes_none(tmp_path: Path) -> None:
    result = call(tmp_path, "db", "import", fleet(tmp_path, HEADER, "DE*ABC*E1,DE*ABC,x"))
    assert result.exit_code == 69
    assert "oicp-adapter db upgrade" in result.stderr
    assert not (tmp_path / "store.db").exists()


def test_an_upgrade_where_there_is_no_folder_names_it(tmp_path: Path) -> None:
    result = call(tmp_path, "db", "upgrade", file=tmp_path / "no" / "store.db")
    assert result.exit_code == 69
    assert f"the folder {tmp_path}/no of the store's file does not exist: make the folder" in result.stderr


def test_check_warns_of_windows_of_no_evse(folder: Path) -> None:
    with open_store(f"sqlite:///{folder}/store.db") as store, store.writing() as connection:
        connection.exec_driver_sql("INSERT INTO temporary_status (evse_id, status) VALUES ('DE*NOP*E1', 'Blocked')")
    findings = json.loads(call(folder, "check", "--offline", "--json").stdout)
    assert "1 window names no EVSE of evse_status, as DE*NOP*E1" in [each["what"] for each in findings]
    assert {tuple(each) for each in findings} == {("check", "level", "subject", "what", "cure")}

"""Which files hold a fleet, and what is said of one that holds none."""

from pathlib import Path

import pytest

from oicp_adapter.domain.errors import ExitCode, WrongArgumentError
from oicp_adapter.store.fleet_file import COLUMNS, fleet_rows


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "fleet.csv"


def refusal(file: Path) -> WrongArgumentError:
    with pytest.raises(WrongArgumentError) as refused:
        list(fleet_rows(file))
    assert refused.value.exit_code is ExitCode.WRONG_USAGE
    return refused.value


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_rows_come_by_the_names_of_the_first_line_in_any_order(file: Path, encoding: str) -> None:
    file.write_text("status,evse_id,operator_id,street\nAvailable,DE*ABC*E1,DE*ABC,Kaiserstraße\n", encoding=encoding)
    (row,) = fleet_rows(file)
    assert row == {
        "status": "Available",
        "evse_id": "DE*ABC*E1",
        "operator_id": "DE*ABC",
        "street": "Kaiserstraße",
    }


@pytest.mark.parametrize(("separator", "name"), [(";", "a semicolon (;)"), ("\t", "a tab"), ("|", "a bar (|)")])
def test_another_separator_is_named(file: Path, separator: str, name: str) -> None:
    file.write_text(separator.join(COLUMNS), encoding="utf-8")
    assert refusal(file).cure == f"the separator seems to be {name}, save the file with commas"


@pytest.mark.parametrize(
    ("text", "missing"), [("", "evse_id, operator_id, status"), ("evse_id,Status\n", "operator_id, status")]
)
def test_columns_that_are_not_there_are_named(file: Path, text: str, missing: str) -> None:
    file.write_text(text, encoding="utf-8")
    assert f"has no column {missing}: name evse_id, operator_id, status" in str(refusal(file))


def test_a_fault_in_the_last_row_is_one_of_the_file(file: Path) -> None:
    file.write_bytes(f"{','.join(COLUMNS)}\n".encode() + b"DE*ABC*E1,DE*ABC,Available\n" * 10_000 + b"\xff")
    assert "is no CSV file in UTF-8" in str(refusal(file))


def test_a_file_that_is_not_there_is_named_on_one_line(tmp_path: Path) -> None:
    assert r"no\nfile.csv cannot be read (No such file or directory)" in str(refusal(tmp_path / "no\nfile.csv"))

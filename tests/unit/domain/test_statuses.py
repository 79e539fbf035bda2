import pytest
from hypothesis import given
from hypothesis import strategies as st

from oicp_adapter.domain.errors import MappingRefusedError
from oicp_adapter.domain.statuses import (
    TRANSLATIONS,
    OicpStatus,
    Status,
    StatusMapping,
    TemporaryStatus,
    is_removed,
    normalise,
    parse_status,
)

# CONTRACT §4, word by word.
CONTRACT = """
Maintenance   | OutOfService | INOPERATIVE | Out of Service
Commissioning | OutOfService | PLANNED     | Out of Service
Blocked       | Occupied     | BLOCKED     | Blocked
Reserved      | Reserved     | RESERVED    | Reserved
Available     | Available    | AVAILABLE   | Available
Preparing     | Occupied     | CHARGING    | Occupied
Charging      | Occupied     | CHARGING    | Occupied
SuspendedEV   | Occupied     | CHARGING    | Occupied
SuspendedEVSE | Occupied     | CHARGING    | Occupied
Finishing     | Occupied     | CHARGING    | Occupied
Occupied      | Occupied     | CHARGING    | Occupied
Unavailable   | OutOfService | INOPERATIVE | Out of Service
Inoperative   | OutOfService | INOPERATIVE | Out of Service
Faulted       | OutOfService | OUTOFORDER  | Out of Service
OutOfOrder    | OutOfService | OUTOFORDER  | Out of Service
OutOfService  | OutOfService | OUTOFORDER  | Out of Service
Planned       | OutOfService | PLANNED     | Out of Service
Unknown       | Unknown      | UNKNOWN     | Unknown
Offline       | Unknown      | UNKNOWN     | Unknown
"""
ROWS = [tuple(cell.strip() for cell in line.split("|")) for line in CONTRACT.strip().splitlines()]


@pytest.mark.parametrize(("word", "oicp", "ocpi", "driver"), ROWS)
def test_each_row_of_the_contract_is_translated_literally(word: str, oicp: str, ocpi: str, driver: str) -> None:
    status = parse_status(word)
    assert status is not None
    row = TRANSLATIONS[status]
    assert (row.oicp.value, row.ocpi.value, row.driver.value) == (oicp, ocpi, driver)
    assert StatusMapping().oicp(status) == oicp


def test_the_table_has_no_row_beyond_the_contract() -> None:
    assert {status.value for status in TRANSLATIONS} == {word for word, *_ in ROWS} == {s.value for s in Status}


@given(st.sampled_from(list(Status)), st.data())
def test_a_word_is_recognised_in_any_case_with_or_without_separators(status: Status, data: st.DataObject) -> None:
    spelt = "".join(
        data.draw(st.sampled_from([char.lower(), char.upper()])) + data.draw(st.sampled_from(["", "_", "-", " "]))
        for char in status.value
    )
    assert parse_status(spelt) is status


@pytest.mark.parametrize(
    "word",
    [
        "",
        "Charging!",
        "Ava\N{LATIN SMALL LETTER DOTLESS I}lable",
        "OutOfServ\N{LATIN SMALL LETTER DOTLESS I}ce",
        "Available\n",
        "\tAvailable",
        "Out.Of.Order",
    ],
)
def test_a_word_that_the_table_does_not_know_is_not_guessed(word: str) -> None:
    assert parse_status(word) is None


@given(st.text())
def test_normalising_twice_changes_nothing(word: str) -> None:
    assert normalise(normalise(word)) == normalise(word)


@pytest.mark.parametrize("word", ["Removed", "REMOVED", "re-moved", "removed "])
def test_removed_is_a_withdrawal_in_any_spelling_and_no_status(word: str) -> None:
    assert is_removed(word)
    assert parse_status(word) is None


@pytest.mark.parametrize("status", [Status.MAINTENANCE, Status.COMMISSIONING, Status.FAULTED, Status.UNAVAILABLE])
def test_an_override_that_shows_an_unusable_charger_as_available_is_refused(status: Status) -> None:
    with pytest.raises(MappingRefusedError, match=status.value):
        StatusMapping({status: OicpStatus.AVAILABLE})
    assert StatusMapping({status: OicpStatus.UNKNOWN}).oicp(status) is OicpStatus.UNKNOWN


def test_an_override_changes_its_own_row_only() -> None:
    mapping = StatusMapping({Status.OFFLINE: OicpStatus.OUT_OF_SERVICE})
    changed = {status for status in Status if mapping.oicp(status) is not TRANSLATIONS[status].oicp}
    assert changed == {Status.OFFLINE}


def test_the_kinds_of_a_window_stand_in_the_order_in_which_they_win() -> None:
    assert [kind.value for kind in TemporaryStatus] == ["Maintenance", "Commissioning", "Blocked", "Reserved"]

"""What is counted of the fleet's rows."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from oicp_adapter.checks import Finding, Level
from oicp_adapter.checks.rows import count_rows, row_findings
from oicp_adapter.domain.identifiers import EvseId, OperatorId, evse_key
from oicp_adapter.settings import OperatorSettings, Settings
from oicp_adapter.store.engine import Store, open_store
from oicp_adapter.store.migrate import upgrade
from oicp_adapter.sync.model import Rejection, StatusRow

ABC = frozenset({"DEABC"})
XYZ = frozenset({"DEXYZ", "49810"})


def row(evse_id: str, operator_id: str = "DE*ABC", status: str = "Available") -> StatusRow:
    return StatusRow(EvseId(evse_id), OperatorId(operator_id), status, None)


def in_key_order(*rows: StatusRow) -> list[StatusRow]:
    return sorted(rows, key=lambda each: evse_key(each.evse_id))


def findings_of(folder: Path, *rows: tuple[str, str, str]) -> list[Finding]:
    operators = tuple(
        OperatorSettings(id=key, certificate=folder / "c", private_key=folder / "k") for key in ("DE*ABC", "DE*XYZ")
    )
    with open_store(f"sqlite:///{folder}/store.db") as store:
        upgrade(store)
        insert(store, *rows)
        return list(row_findings(store, Settings(operators=operators)))


def insert(store: Store, *rows: tuple[str, str, str]) -> None:
    statement = text("INSERT INTO evse_status (evse_id, operator_id, status) VALUES (:evse, :operator, :status)")
    with store.writing() as connection:
        for evse, operator, status in rows:
            connection.execute(statement, {"evse": evse, "operator": operator, "status": status})


def test_a_clean_fleet_is_one_ok(tmp_path: Path) -> None:
    (finding,) = findings_of(tmp_path, ("DE*ABC*E1", "DE*ABC", "Available"), ("DE*XYZ*E1", "DEXYZ", "Charging"))
    assert (finding.level, finding.what) == (Level.OK, "2 of 2 EVSEs are pushed")


def test_each_kind_of_dirt_is_counted_with_examples_and_a_cure(tmp_path: Path) -> None:
    findings = findings_of(
        tmp_path,
        *[(f"bad{number}", "DE*ABC", "Available") for number in range(5)],
        ("", "DE*ABC", "Available"),
        ("DE*ZZZ*E1", "DE*ABC", "Available"),
        ("DE*ABC*E1", "DE*ABC", "Available"),
        ("DEABCE1", "DE*ABC", "Available"),
        ("CH*REP*E1", "CH-REP", "Broken\x1b[2J"),
        ("DE*ABC*E2", "DE*ABC", "Broken\x1b[2J"),
        ("DE*ABC*E3", "DE*ABC", "Removed"),
        ("DE*NEW*E1", "DE*NEW", "Available"),
        ("DE*NEW*E2", "", "Available"),
    )
    assert [(finding.level, finding.what) for finding in findings] == [
        (Level.WARNING, "6 EVSEs with a malformed EvseID cannot be pushed, as (empty), bad0, bad1"),
        (Level.WARNING, "1 EVSE with another operator inside the EvseID cannot be pushed, as DE*ZZZ*E1"),
        (Level.WARNING, "1 EVSE naming a charging spot that another row names cannot be pushed, as DEABCE1"),
        (
            Level.WARNING,
            "1 EVSE is pushed by no lane since CH-REP in operator_id is no OperatorID, as CH*REP*E1",
        ),
        (Level.WARNING, "1 EVSE is pushed by no lane since operator_id is empty, as DE*NEW*E2"),
        (Level.WARNING, "1 EVSE is pushed by no lane since no account serves operator DE*NEW, as DE*NEW*E1"),
        (Level.WARNING, "the status word Broken\\x1b[2J of 1 EVSE is published as Unknown, as DE*ABC*E2"),
        (Level.OK, "2 of 13 EVSEs are pushed"),
    ]
    assert all(finding.cure for finding in findings[:-1])
    assert [finding.cure.startswith("add it to [[operators]]") for finding in findings[3:6]] == [False, False, True]


def test_a_table_of_garbage_does_not_become_pages_of_findings(tmp_path: Path) -> None:
    findings = findings_of(
        tmp_path,
        *[(f"DE*ABC*E{n}", f"operator {n}", f"word {n}") for n in range(40)],
        *[(f"DE*ABC*EX{n}", "DE*ABC", f"word {n}") for n in range(40)],
    )
    assert len(findings) == 2 * 11 + 1
    assert findings[10].what.startswith("30 EVSEs are pushed by no lane since operator ")
    assert "(and 29 more like it)" in findings[10].what


def test_one_evse_is_spoken_of_in_the_singular(tmp_path: Path) -> None:
    assert findings_of(tmp_path, ("DE*ABC*E1", "DE*ABC", "Available"))[-1].what == "1 of 1 EVSE is pushed"


def test_an_operator_too_many_is_counted_with_the_others() -> None:
    tally = count_rows(in_key_order(*[row(f"DE*ABC*E{n}", f"operator {n}") for n in range(1200)]), [ABC])
    assert len(tally.unserved) < 1100
    assert sum(count.rows for count in tally.unserved.values()) == 1200


def test_a_row_that_is_not_pushed_is_not_called_published() -> None:
    rows = [row("DE*ABC*E1"), row("DEABCE1", status="Ready"), row("bad", status="Ready"), row("DE*ZZZ*E1", "DE*ZZZ")]
    assert count_rows(in_key_order(*rows), [ABC]).unmapped == {}


def test_a_duplicate_whose_key_is_a_blob_is_not_called_published(tmp_path: Path) -> None:
    with open_store(f"sqlite:///{tmp_path}/store.db") as store:
        upgrade(store)
        insert(store, ("DE*ABC*E1", "DE*ABC", "Available"))
        with store.writing() as connection:
            connection.exec_driver_sql(
                "INSERT INTO evse_status VALUES (CAST('DE*ABC*E1' AS BLOB), 'DE*ABC', 'x', NULL)"
            )
    told = [finding.what for finding in findings_of(tmp_path)]
    assert len(told) == 2
    assert "1 EVSE naming a charging spot that another row names" in told[0]


def test_windows_that_name_no_evse_are_named_unless_they_are_over(tmp_path: Path) -> None:
    assert lost_windows(tmp_path, "DEABCE1") == []
    (finding,) = lost_windows(tmp_path, "DE*NOP*E1")
    assert (finding.level, finding.what) == (Level.WARNING, "1 window names no EVSE of evse_status, as DE*NOP*E1")
    assert "temporary list" in finding.cure
    (finding,) = lost_windows(tmp_path, "DE*NOP*E2", "DE*NOP*E3", "DE*NOP*E4\x1b")
    assert finding.what == "4 windows name no EVSE of evse_status, as DE*NOP*E1, DE*NOP*E2, DE*NOP*E3"
    with open_store(f"sqlite:///{tmp_path}/store.db") as store, store.writing() as connection:
        connection.exec_driver_sql("UPDATE temporary_status SET ended_at = '2026-01-01 00:00:00' WHERE id < 4")
    (finding,) = lost_windows(tmp_path)
    assert finding.what == "2 windows name no EVSE of evse_status, as DE*NOP*E3, DE*NOP*E4\\x1b"


def lost_windows(folder: Path, *evse_ids: str) -> list[Finding]:
    """Add windows that never end, and return what is found of windows."""
    with open_store(f"sqlite:///{folder}/store.db") as store:
        upgrade(store)
        with store.writing() as connection:
            connection.exec_driver_sql(
                "INSERT OR IGNORE INTO evse_status (evse_id, operator_id, status) VALUES ('DE*ABC*E1', 'DE*ABC', 'x')"
            )
            for evse_id in evse_ids:
                connection.execute(
                    text("INSERT INTO temporary_status (evse_id, status) VALUES (:evse, 'Blocked')"), {"evse": evse_id}
                )
        return [found for found in row_findings(store, Settings()) if "window" in found.what]


def test_the_same_evse_in_two_lanes_is_no_duplicate() -> None:
    tally = count_rows(in_key_order(row("DE*ABC*E1"), row("DEABCE1", "DE*XYZ")), [ABC, XYZ])
    assert tally.served == 1
    assert tally.rejected[Rejection.FOREIGN_OPERATOR].examples == ["DEABCE1"]


@given(
    st.lists(
        st.builds(
            row,
            st.sampled_from(["DE*ABC*E1", "DEABCE1", "de*abc*e1", "DE*ABC*E2", "+49*810*1", "x", ""]),
            st.sampled_from(["DE*ABC", "DEABC", "+49*810", "FR*NO1", ""]),
            st.sampled_from(["Available", "removed", "what"]),
        ),
        max_size=20,
    )
)
def test_every_row_that_is_not_removed_is_pushed_or_counted_with_a_reason(rows: list[StatusRow]) -> None:
    tally = count_rows(in_key_order(*rows), [ABC, XYZ])
    rejected = sum(count.rows for count in tally.rejected.values())
    unserved = sum(count.rows for count in tally.unserved.values())
    removed = sum(each.status == "removed" for each in rows)
    assert tally.total == len(rows) - removed
    assert len(rows) - removed <= tally.served + rejected + unserved <= len(rows)

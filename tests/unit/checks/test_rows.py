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
    )
    assert [(finding.level, finding.what) for finding in findings] == [
        (Level.WARNING, "6 EVSEs with a malformed EvseID cannot be pushed, as (empty), bad0, bad1"),
        (Level.WARNING, "1 EVSEs with another operator inside the EvseID cannot be pushed, as DE*ZZZ*E1"),
        (Level.WARNING, "1 EVSEs naming a charging spot that another row names cannot be pushed, as DEABCE1"),
        (Level.WARNING, "1 EVSEs of operator CH-REP are pushed by no lane, as CH*REP*E1"),
        (
            Level.WARNING,
            "the status word Broken\\x1b[2J of 2 EVSEs is published as Unknown, as CH*REP*E1, DE*ABC*E2",
        ),
        (Level.OK, "2 of 11 EVSEs are pushed"),
    ]
    assert all(finding.cure for finding in findings[:-1])


def test_a_table_of_garbage_does_not_become_pages_of_findings(tmp_path: Path) -> None:
    findings = findings_of(tmp_path, *[(f"DE*ABC*E{n}", f"operator {n}", f"word {n}") for n in range(40)])
    assert len(findings) == 2 * 11 + 1
    assert "30 EVSEs of operator (and 30 more)" in findings[10].what


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

"""What the hub should hold, judged from the shared tables alone."""

from datetime import UTC, datetime, timedelta

from oicp_adapter.demo.judgement import Unpushable, accounts_of, judge
from oicp_adapter.demo.places import Account
from oicp_adapter.demo.tables import Shared
from oicp_adapter.domain.identifiers import EvseId, OperatorId
from oicp_adapter.domain.statuses import OicpStatus, StatusMapping, TemporaryStatus
from oicp_adapter.domain.windows import Window
from oicp_adapter.sync.model import StatusRow

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
ABC = Account("DE*ABC", "ABC", ("DE*XYZ",))
REP = Account("CH*REP", "REP")


def row(evse_id, operator_id="DE*ABC", status="Available", changed_at=None):
    return StatusRow(EvseId(evse_id), OperatorId(operator_id), status, changed_at)


def judged(*rows, windows=None, accounts=(ABC, REP)):
    return judge(Shared(rows, windows or {}), accounts, NOW, StatusMapping())


def reasons(judgement):
    return {each.what: each.count for each in judgement.unpushable}


def test_each_evse_is_wanted_in_the_lane_of_its_operator_or_of_whom_it_is_a_sub_operator():
    found = judged(row("DE*ABC*E1"), row("DE*XYZ*E1", "DE*XYZ", "Charging"), row("CH*REP*E1", "CHREP"))

    assert [(each.lane, each.row.evse_id, each.resolution.oicp) for each in found.wanted] == [
        ("DE*ABC", "DE*ABC*E1", OicpStatus.AVAILABLE),
        ("DE*ABC", "DE*XYZ*E1", OicpStatus.OCCUPIED),
        ("CH*REP", "CH*REP*E1", OicpStatus.AVAILABLE),
    ]
    assert not found.unpushable


def test_a_window_counts_whatever_its_spelling():
    window = Window(1, TemporaryStatus.MAINTENANCE, NOW - SECOND)

    (wanted,) = judged(row("DE*ABC*E1"), windows={"DEABCE1": [window]}).wanted

    assert wanted.resolution.oicp is OicpStatus.OUT_OF_SERVICE


def test_a_removed_evse_is_neither_wanted_nor_named():
    found = judged(row("DE*ABC*E1", status="Removed"))

    assert not found.wanted
    assert not found.unpushable
    assert found.left_out == 0


def test_it_last_changed_at_the_latest_boundary_or_change_that_has_come():
    windows = [
        Window(1, TemporaryStatus.RESERVED, NOW - 9 * SECOND, NOW - 3 * SECOND),
        Window(2, TemporaryStatus.RESERVED, NOW + SECOND),
    ]

    (wanted,) = judged(row("DE*ABC*E1", changed_at=NOW - 5 * SECOND), windows={"DEABCE1": windows}).wanted

    assert wanted.since == NOW - 3 * SECOND


def test_rows_that_cannot_be_pushed_are_counted_by_reason():
    found = judged(
        row("DE*ABC*1"), row("DE*ABC*E1"), row("DEABCE1"), row("AT*VLT*E1"), row("FR*AAA*E1", "FR*AAA"),
    )  # fmt: skip

    assert reasons(found) == {
        "EVSEs have a malformed EvseID": 1,
        "rows name a charging spot that another row names": 1,
        "EVSEs name another operator inside their EvseID": 1,
        "EVSEs are pushed by no lane since no account serves operator FR*AAA": 1,
    }
    assert found.left_out == 4


def test_an_operator_that_is_none_is_named_together_with_what_else_is_wrong():
    found = judged(row("CHREPE1", "CH-REP"), row("SI060E1", "CH-REP"), row("CHESWIE1", "CH*SWISSCHARGE"))

    assert reasons(found) == {
        "EVSEs are pushed by no lane since CH-REP in operator_id is no OperatorID": 2,
        "EVSEs name another operator inside their EvseID": 1,
        "EVSEs are pushed by no lane since CH*SWISSCHARGE in operator_id is no OperatorID": 1,
        "EVSEs have a malformed EvseID": 1,
    }
    assert found.left_out == 3


def test_a_reason_says_how_many_with_three_examples_and_a_cure():
    reason = Unpushable("EVSEs glow", "switch them off")
    for evse_id in ("A", "", "C\x07", "D"):
        reason.add(evse_id)

    assert str(reason) == "4 EVSEs glow, as A, (empty), C\\x07: switch them off"


def test_accounts_are_the_operators_whose_id_is_one_spelled_as_it_came_first():
    found = accounts_of(["CH*REP", "CH-REP", "CHREP", "CH*SWISSCHARGE", "+49*810", ""])

    assert [each.operator_id for each in found] == ["CH*REP", "+49*810"]

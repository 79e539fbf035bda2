from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import text

from oicp_adapter.control.desk import Desk
from oicp_adapter.control.health import approve_held, certificate_health, lane_healths, lane_standings, release_refused
from oicp_adapter.domain.access import EVERYTHING, Actor, Grant, Scope
from oicp_adapter.domain.errors import Refusal, RequestRefusedError
from oicp_adapter.domain.patterns import EvsePattern
from oicp_adapter.oicp.development_pki import Authority, create_development_pki
from oicp_adapter.settings import OperatorSettings

ANN = Actor("ann", "tokenann", EVERYTHING)
VIEWER = Actor("viewer", "tokenview", Grant(frozenset({Scope.READ}), frozenset()))
FIRST = Actor("first", "tokenone", replace(EVERYTHING, patterns=(EvsePattern("DE*ABC*E1"),)))
ZEIL = Actor("zeil", "tokenzeil", replace(EVERYTHING, locations=frozenset({"Zeil 85"})))


@pytest.fixture
def guarded(desk: Desk, tmp_path: Path) -> Desk:
    """A desk with two refused records, two held withdrawals and a row that never leaves, of one lane."""
    operator = OperatorSettings.model_construct(id="DE*ABC", name="ABC", certificate=tmp_path / "none.pem")
    at = desk.store.now()
    columns = {"DE*ABC*E1": "retry_at", "DE*ABC*E2": "retry_at", "DE*ABC*E3": "held_since", "DE*ABC*E11": "held_since"}
    with desk.store.writing() as connection:
        for evse_id, column in columns.items():
            connection.execute(
                text(
                    "INSERT INTO oicp_ledger (lane, canonical, evse_id, presence, failures, flipped, failed_singly,"
                    f" attempt, acknowledged, refusal, {column}) VALUES ('DEABC', :key, :evse, 'present', 3, false, 0,"
                    " 1, 'Available', 'poison', :at)"
                ),
                {
                    "key": evse_id.replace("*", ""),
                    "evse": evse_id,
                    "at": at if desk.store.dialect == "postgresql" else at.strftime("%Y-%m-%d %H:%M:%S.%f"),
                },
            )
    return replace(desk, settings=desk.settings.model_copy(update={"operators": (operator,)}))


def test_what_is_held_is_listed_with_the_name_of_its_set(guarded: Desk) -> None:
    [lane] = lane_healths(guarded, ANN)
    assert [each.evse_id for each in lane.held] == ["DE*ABC*E11", "DE*ABC*E3"]
    assert [each.evse_id for each in lane.detained] == ["DE*ABC*E1", "DE*ABC*E2"]
    standing = lane.standing
    assert (standing.backlog.held, standing.backlog.quarantined, standing.led) == (2, 2, False)
    assert standing.certificate.level == "unreadable"
    assert lane.held_set is not None


def test_how_a_lane_stands_is_told_without_reading_all_that_waits(
    guarded: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    [lane] = lane_healths(guarded, ANN)
    for name in ("held_withdrawals", "refused_records", "rejections"):
        monkeypatch.delattr(f"oicp_adapter.control.health.{name}")
    [standing] = lane_standings(guarded, VIEWER)
    assert (standing.operator, standing.backlog, standing.led) == ("DE*ABC", lane.standing.backlog, False)


def test_who_sees_only_a_part_can_approve_nothing_but_what_they_see(guarded: Desk) -> None:
    [lane] = lane_healths(guarded, ZEIL)
    assert [each.evse_id for each in lane.held] == ["DE*ABC*E3"]
    assert [each.evse_id for each in lane.detained] == ["DE*ABC*E1", "DE*ABC*E2"]
    assert lane.held_set is None
    [everything] = lane_healths(guarded, ANN)
    with pytest.raises(RequestRefusedError) as refused:
        approve_held(guarded, ZEIL, "DE*ABC", everything.held_set or "")
    assert refused.value.refusal is Refusal.NOT_PERMITTED
    with pytest.raises(RequestRefusedError):
        release_refused(guarded, FIRST, "DE*ABC", ["DE*ABC*E1", "DE*ABC*E2"])
    assert lane_healths(guarded, ANN)[0].standing.backlog.held == 2


def test_exactly_the_set_that_was_shown_is_approved_and_written_down(guarded: Desk) -> None:
    shown = lane_healths(guarded, ANN)[0].held_set or ""
    with pytest.raises(RequestRefusedError) as refused:
        approve_held(guarded, ANN, "DE*ABC", shown[::-1])
    assert refused.value.refusal is Refusal.CHANGED_MEANWHILE
    assert approve_held(guarded, ANN, "DE*ABC", shown) == 2
    [lane] = lane_healths(guarded, ANN)
    assert (lane.held, lane.held_set) == ([], None)
    assert _audit(guarded) == {("ann", "withdrawal.approve", "DE*ABC*E3"), ("ann", "withdrawal.approve", "DE*ABC*E11")}
    with pytest.raises(RequestRefusedError):
        approve_held(guarded, ANN, "DE*ABC", shown)


def test_refused_records_are_released_and_the_others_are_told_why_not(guarded: Desk) -> None:
    told = release_refused(guarded, ANN, "DE*ABC", ["deabce1", "DE*ABC*E12"])
    assert told == ["DE*ABC*E12 is not in quarantine: its state is pending"]
    assert [each.evse_id for each in lane_healths(guarded, ANN)[0].detained] == ["DE*ABC*E2"]
    assert _audit(guarded) == {("ann", "quarantine.release", "DE*ABC*E1")}


def test_looking_needs_read_and_deciding_needs_operate(guarded: Desk) -> None:
    assert lane_healths(guarded, VIEWER)
    for decide in (
        lambda: release_refused(guarded, VIEWER, "DE*ABC", ["DE*ABC*E1"]),
        lambda: approve_held(guarded, VIEWER, "DE*ABC", "x"),
        lambda: lane_healths(guarded, Actor("nobody", "t", Grant(frozenset(), frozenset()))),
    ):
        with pytest.raises(RequestRefusedError) as refused:
            decide()
        assert refused.value.refusal is Refusal.NOT_PERMITTED


def test_an_unknown_lane_and_nothing_named_are_told_apart(guarded: Desk) -> None:
    with pytest.raises(RequestRefusedError) as refused:
        release_refused(guarded, ANN, "DE*XYZ", ["DE*ABC*E1"])
    assert refused.value.refusal is Refusal.NOT_FOUND
    with pytest.raises(RequestRefusedError) as refused:
        release_refused(guarded, ANN, "DE*ABC", [])
    assert refused.value.refusal is Refusal.INVALID


def test_a_certificate_is_told_to_end_soon_a_month_before(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    pki = create_development_pki(tmp_path, operators=["DE*ABC"], valid_for=timedelta(days=60), now=now)
    operator = OperatorSettings.model_construct(id="DE*ABC", certificate=pki.clients["DE*ABC"].certificate)
    ages = {1: "ok", 29: "ok", 31: "soon", 59: "soon", 61: "expired"}
    found = {days: certificate_health(operator, now + timedelta(days=days)).level for days in ages}
    assert found == ages


def test_an_intermediate_that_ends_before_its_certificate_is_what_counts(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    pki = create_development_pki(tmp_path, operators=["DE*ABC"], valid_for=timedelta(days=400), now=now)
    middle = Authority.load(pki.hub_ca).issue_client("Middle", not_before=now, not_after=now + timedelta(days=3))
    file = pki.clients["DE*ABC"].certificate
    file.write_bytes(file.read_bytes() + middle.certificate.public_bytes(Encoding.PEM))
    health = certificate_health(OperatorSettings.model_construct(id="DE*ABC", certificate=file), now)
    assert (health.level, health.not_after) == ("soon", middle.certificate.not_valid_after_utc)
    assert health.intermediate is not None
    assert "CN=Middle" in health.intermediate


def _audit(desk: Desk) -> set[tuple[str, str, str]]:
    with desk.store.reading() as connection:
        rows = connection.execute(text("SELECT actor, action, subject FROM oicp_audit"))
        return {(row.actor, row.action, row.subject) for row in rows}

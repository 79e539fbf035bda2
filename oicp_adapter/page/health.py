"""Shows how the lanes stand, and lets a person decide about what their guards hold."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from starlette.responses import Response

from oicp_adapter.control.health import (
    LISTED,
    LaneHealth,
    LaneStanding,
    approve_held,
    lane_healths,
    lane_standings,
    release_refused,
)
from oicp_adapter.control.propagation import DaemonLook
from oicp_adapter.domain.access import Scope
from oicp_adapter.domain.errors import Refusal, RequestRefusedError, foreign_text
from oicp_adapter.page.live import LiveRow
from oicp_adapter.page.plot import draw
from oicp_adapter.page.rows import tone
from oicp_adapter.page.site import Call, to
from oicp_adapter.page.times import Times, lasting

SHOWN: Final = 60
_UNPROCESSABLE: Final = 422
_DONE: Final = {
    "released": "They are tried again with the next request.",
    "approved": "The withdrawals were approved: they leave with the next request.",
}

_CERTIFICATES: Final = {
    "ok": "holds",
    "soon": "ends soon",
    "expired": "has expired",
    "unreadable": "cannot be read",
}
_STATES: Final = {
    "active": "at work",
    "standby": "another process leads it",
    "settling": "waits out an unanswered request",
    "backing_off": "waits before the next attempt",
    "held": "held",
}


@dataclass(frozen=True, slots=True)
class DetainedRow:
    """An EVSE that the hub refused."""

    evse_id: str
    evse: str
    why: str
    since: str
    retry: str


@dataclass(frozen=True, slots=True)
class HeldRow:
    """A withdrawal that waits for a person."""

    evse: str
    acknowledged: str
    since: str


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """A row that never leaves the house."""

    evse: str
    why: str


@dataclass(frozen=True, slots=True)
class LaneCard:
    """
    A lane on the screen.

    Attributes:
        held_set: Names the set of withdrawals that its button approves; None: there is no button.
        detained_left_out: EVSEs that the hub refused and that are counted, not listed; likewise the other two.
    """

    operator_id: str
    operator: str
    name: str
    live: LiveRow
    detained: Sequence[DetainedRow]
    held: Sequence[HeldRow]
    held_set: str | None
    held_count: int
    rejected: Sequence[RejectedRow]
    detained_left_out: int
    held_left_out: int
    rejected_left_out: int


def show_health(call: Call) -> Response:
    """Return the page about lanes, quarantine and withdrawals that wait."""
    done = call.first("done")
    return _page(call, [_DONE[done]] if done in _DONE else [])


def live_health(call: Call) -> Sequence[LiveRow]:
    """Read how the lanes stand again."""
    times, look = call.times(), _look(call)
    return [_daemon_row(look, times), *(_live(each, look, times) for each in lane_standings(call.desk, call.actor))]


def release(call: Call) -> Response:
    """Let the hub be tried again with the ticked EVSEs."""
    left = release_refused(call.desk, call.actor, call.first("operator"), list(call.every("evse")))
    return _page(call, left, status=_UNPROCESSABLE) if left else to("/health?done=released")


def approve(call: Call) -> Response:
    """Approve exactly the withdrawals that were shown."""
    if call.first("sure") != "yes":
        raise RequestRefusedError(
            Refusal.INVALID, "nobody has looked at the list", cure="look at it, and tick that you have"
        )
    approve_held(call.desk, call.actor, call.first("operator"), call.first("set"))
    return to("/health?done=approved")


def _page(call: Call, told: Sequence[str], *, status: int = 200) -> Response:
    times, look = call.times(), _look(call)
    return call.page(
        "health",
        status=status,
        told=told,
        daemon=_daemon_row(look, times),
        lanes=[_card(each, look, times) for each in lane_healths(call.desk, call.actor)],
        plot=draw(call.site.propagation, times),
        may_operate=Scope.OPERATE in call.actor.grant.scopes,
    )


def _look(call: Call) -> DaemonLook | None:
    return call.site.propagation.latest if call.site.propagation is not None else None


def _daemon_row(look: DaemonLook | None, times: Times) -> LiveRow:
    if look is None:
        return LiveRow("daemon", {"daemon": "the daemon was not asked yet", "words": ""}, {"daemon": "none"})
    if look.silent is not None:
        words = "its lanes are shown as the store has them"
        return LiveRow("daemon", {"daemon": look.silent, "words": words}, {"daemon": "silent"})
    asked = f"asked at {times.moment(look.at, seconds=True)}"
    return LiveRow("daemon", {"daemon": "the daemon answers", "words": asked}, {"daemon": "answers"})


def _card(lane: LaneHealth, look: DaemonLook | None, times: Times) -> LaneCard:
    standing, backlog = lane.standing, lane.standing.backlog
    return LaneCard(
        operator_id=standing.operator,
        operator=foreign_text(standing.operator, SHOWN),
        name=foreign_text(standing.name, SHOWN),
        live=_live(standing, look, times),
        detained=[
            DetainedRow(
                evse_id=each.evse_id,
                evse=foreign_text(each.evse_id, SHOWN),
                why=": ".join(foreign_text(part) for part in (each.reason, each.detail) if part) or "not known",
                since=times.moment(each.since) if each.since is not None else "not known",
                retry=f"{times.relative(each.retry_at)}" if each.retry_at is not None else "not by itself",
            )
            for each in lane.detained
        ],
        held=[
            HeldRow(foreign_text(each.evse_id, SHOWN), each.acknowledged or "not known", times.moment(each.held_since))
            for each in lane.held
        ],
        held_set=lane.held_set if backlog.held <= LISTED else None,
        held_count=backlog.held,
        rejected=[RejectedRow(foreign_text(each.evse_id, SHOWN), foreign_text(each.detail)) for each in lane.rejected],
        detained_left_out=max(0, backlog.quarantined - len(lane.detained)),
        held_left_out=max(0, backlog.held - len(lane.held)),
        rejected_left_out=max(0, sum(backlog.rejected.values()) - len(lane.rejected)),
    )


def _live(lane: LaneStanding, look: DaemonLook | None, times: Times) -> LiveRow:
    backlog, position, certificate = lane.backlog, lane.backlog.position, lane.certificate
    state, state_tone, words = _state(lane, look, times)
    oldest = backlog.oldest_pending
    text = {
        "state": state,
        "state_words": words,
        "pending": str(backlog.pending) if backlog.pending else "nothing",
        "oldest": f"the oldest since {times.moment(oldest, seconds=True)}" if oldest is not None else "",
        "success": times.moment(position.last_success_at, seconds=True) if position.last_success_at else "never yet",
        "full_load": times.moment(position.full_load_at) if position.full_load_at else "never yet",
        "refused": str(backlog.quarantined) if backlog.quarantined else "none",
        "held": str(backlog.held) if backlog.held else "none",
        "rejected": str(sum(backlog.rejected.values())) if backlog.rejected else "none",
        "certificate": _CERTIFICATES[certificate.level],
        "certificate_words": foreign_text(certificate.problem) if certificate.problem is not None else "",
    }
    if certificate.not_after is not None:
        ends = "for" if certificate.not_after > lane.now else "since"
        left = lasting(abs(certificate.not_after - lane.now))
        which = f": {foreign_text(certificate.intermediate, 120)} in its file" if certificate.intermediate else ""
        text["certificate_words"] = f"until {times.moment(certificate.not_after)}, {ends} {left}{which}"
    return LiveRow(f"lane-{lane.operator}", text, {"state": state_tone, "certificate": tone(certificate.level)})


def _state(lane: LaneStanding, look: DaemonLook | None, times: Times) -> tuple[str, str, str]:
    """Return the lane's state in a word, its tone, and more of it in words."""
    position = lane.backlog.position
    told = look.lanes.get(lane.operator) if look is not None and look.silent is None else None
    words = ""
    if position.wait_until is not None and position.wait_until > lane.now:
        words = f"until {times.moment(position.wait_until, seconds=True)}"
    if position.hold_reason is not None:
        detail = f": {foreign_text(position.hold_detail)}" if position.hold_detail else ""
        words = f"{position.hold_reason}{detail}{f', {words}' if words else ''}"
    if told is not None:
        return _STATES.get(told, told), tone(told), words
    if position.hold_reason is not None:
        return _STATES["held"], "held", words
    return ("led by a process", "active", words) if lane.led else ("nobody leads it", "silent", words)

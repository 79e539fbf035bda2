"""
Brings the parts of a state into one form, so that situations that no production function can tell apart are one state.

1. An instant that has passed reads as one of few: what is only ever compared with "now" or with None needs no more.
2. What lies beyond the horizon (a re-assertion, the end of a tombstone) stays beyond it: all must converge without.
3. What is written for people only (details, refusals, edges of windows) is left out.
4. Of how long a record has been failing only the order against the lane's last success is kept, so that the waits that
   grow with it stay at their shortest: longer ones are the unit tests' to show.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from oicp_adapter.domain.windows import Window
from oicp_adapter.sync.model import Entry, Intent, Position

from .parts import COUNTED, NOW, Books, Floating, Ghost, Process, Push, Shop, earlier
from .scenario import SECOND, TINY, Scenario

HORIZON: Final = timedelta(hours=2)
FAR: Final = NOW + timedelta(days=1)
PASSED: Final = NOW - SECOND
AGE: Final = 1.5 * SECOND
"""How old something may get to be; `assess.PATIENCE` is the only age that a decision depends on, and it is less."""

DONE: Final = NOW - 2 * SECOND
"""When the hub last performed something, and since when a lost full load puts rows in doubt."""

BEFORE_DONE: Final = NOW - 3 * SECOND
LONG_AGO: Final = NOW - timedelta(seconds=60)
"""Older than every debt and every silence that an intent can lead to."""

OLDEST_ATTEMPT: Final = COUNTED - 10
OLDEST_EPOCH: Final = COUNTED - 5


def entry(row: Entry, position: Position, before: Position | None = None) -> Entry:
    """
    Return a ledger row in its one form.

    Args:
        position: The lane's row as it is now, before it is brought into its own form.
        before: As it was when the ledger row was last brought into form; None: as now.
    """
    waits = row.retry_at is not None and row.retry_at > NOW
    suspect = is_suspect(row)
    newly_doubted = before is not None and before.doubted_before != position.doubted_before
    return Entry(
        row.canonical,
        row.evse_id,
        acknowledged=row.acknowledged,
        acknowledged_at=None,
        acknowledged_since=None,
        asserted_at=_asserted(row.asserted_at, newly_doubted=newly_doubted),
        presence=row.presence,
        doubted_at=_flag(row.doubted_at),
        debt_at=_not_past(row.debt_at),
        pending_since=_age(row.pending_since, position, newly_doubted=newly_doubted and row.attempt == 0),
        withdrawn_at=_flag(row.withdrawn_at),
        held_since=_flag(row.held_since),
        approved_at=_flag(row.approved_at),
        approved_by=row.approved_by,
        failures=min(row.failures, 4),
        first_failed_at=_against(row.first_failed_at, position.last_success_at),
        retry_at=row.retry_at if waits else None,
        refused_status=row.refused_status if waits or row.flipped else None,
        batch_cap=row.batch_cap,
        flipped=row.flipped,
        failed_singly=min(row.failed_singly, 2),
        attempt=max(row.attempt, OLDEST_ATTEMPT) if suspect and row.attempt else row.attempt and OLDEST_ATTEMPT,
        due_at=_due(row.due_at),
    )


def is_suspect(row: Entry) -> bool:
    """Tell whether the order of attempts matters for a row, as `plan.is_suspect` does."""
    return row.failures > 0 or row.batch_cap is not None


def position(row: Position, scenario: Scenario) -> Position:
    """Return the lane's row in its one form; a lease that has run out is nobody's."""
    alive = row.expires_at is not None and row.expires_at > NOW
    return replace(
        row,
        holder=row.holder if alive else None,
        expires_at=row.expires_at if alive else None,
        silent_until=_future(row.silent_until),
        wait_until=_future(row.wait_until),
        failures=min(row.failures, 6) if scenario.draw else 0,
        hold_detail=None,
        last_success_at=None if row.last_success_at is None else DONE,
        refused_streak=min(row.refused_streak, 8),
        doubted_before=None if row.doubted_before is None else DONE,
        debt_at=None if row.debt_at is None or row.debt_at < LONG_AGO else row.debt_at,
        paced_at=_future(row.paced_at) if is_limited(scenario) else None,
        full_load_at=None,
        full_load_tried_at=_flag(row.full_load_tried_at),
        full_load_requested_at=_flag(row.full_load_requested_at),
    )


def is_limited(scenario: Scenario) -> bool:
    """Tell whether the rate limit can ever make a request wait."""
    return scenario.policy.requests_per_minute < TINY.requests_per_minute


def intent(row: Intent) -> Intent:
    return replace(row, started_at=max(row.started_at, LONG_AGO), silent_until=max(row.silent_until, NOW))


def window(row: Window) -> Window | None:
    """Return a window in its one form, None when it is over: the store leaves those out."""
    end = row.end
    if end is not None and end <= NOW:
        return None
    return Window(row.id, row.kind, max(row.valid_from, PASSED), end)


def age(instant: datetime | None) -> datetime | None:
    return None if instant is None else max(instant, NOW - AGE)


def _age(since: datetime | None, lane: Position, *, newly_doubted: bool) -> datetime | None:
    if since is None:
        return None
    if newly_doubted or since <= BEFORE_DONE < (lane.doubted_before or BEFORE_DONE):
        return BEFORE_DONE
    return max(since, NOW - AGE)


def _against(instant: datetime | None, other: datetime | None) -> datetime | None:
    """Keep of an instant only whether it lies before another one, which itself reads `DONE` afterwards."""
    if instant is None:
        return None
    return BEFORE_DONE if other is not None and instant < other else PASSED


def _asserted(at: datetime | None, *, newly_doubted: bool) -> datetime | None:
    """Keep only whether it lies before the lane's doubt; a push that is acknowledged began after the last one."""
    if at is None:
        return None
    return BEFORE_DONE if newly_doubted or at == BEFORE_DONE else PASSED


def _flag(instant: datetime | None) -> datetime | None:
    return None if instant is None else PASSED


def _passed(instant: datetime | None) -> datetime | None:
    return PASSED if instant is not None and instant < NOW else instant


def _future(instant: datetime | None) -> datetime | None:
    return instant if instant is not None and instant > NOW else None


def _not_past(instant: datetime | None) -> datetime | None:
    if instant is None:
        return None
    return FAR if instant - NOW > HORIZON else max(instant, NOW)


def _due(instant: datetime | None) -> datetime | None:
    if instant is None:
        return None
    return FAR if instant - NOW > HORIZON else max(instant, NOW - AGE)


# time that passes


def later_shop(shop: Shop, by: timedelta) -> Shop:
    windows = tuple(tuple(moved for row in rows if (moved := _later_window(row, by))) for rows in shop.windows)
    hinted_at = tuple(age(earlier(at, by)) for at in shop.hinted_at)
    return shop._replace(windows=windows, hinted_at=hinted_at)


def _later_window(row: Window, by: timedelta) -> Window | None:
    return window(Window(row.id, row.kind, row.valid_from - by, earlier(row.end, by)))


def later_entry(row: Entry, by: timedelta) -> Entry:
    retry_at = _future(earlier(row.retry_at, by))
    since = row.pending_since
    return replace(
        row,
        debt_at=_not_past(earlier(row.debt_at, by)),
        pending_since=since if since is None or since == BEFORE_DONE else max(since - by, NOW - AGE),
        retry_at=retry_at,
        refused_status=row.refused_status if retry_at or row.flipped else None,
        due_at=FAR if row.due_at == FAR else _due(earlier(row.due_at, by)),
    )


def later_books(books: Books, by: timedelta, scenario: Scenario) -> Books:
    lane, open_intent = books.position, books.intent
    moved = replace(
        lane,
        expires_at=earlier(lane.expires_at, by),
        silent_until=earlier(lane.silent_until, by),
        wait_until=earlier(lane.wait_until, by),
        debt_at=earlier(lane.debt_at, by),
        paced_at=earlier(lane.paced_at, by),
    )
    rows = tuple(row and later_entry(row, by) for row in books.entries)
    return Books(rows, position(moved, scenario), open_intent and later_intent(open_intent, by), books.full_load)


def later_intent(row: Intent, by: timedelta) -> Intent:
    return intent(replace(row, started_at=row.started_at - by, silent_until=row.silent_until - by))


def later_process(process: Process, by: timedelta) -> Process:
    push = process.push
    if push is None:
        return process
    notes = tuple((max(since - by, NOW - AGE), earlier(until, by), flipped) for since, until, flipped in push.notes)
    moved = Push(
        later_intent(push.intent, by),
        notes,
        PASSED if push.send_before - by < NOW else push.send_before - by,
        push.body,
        _passed(earlier(push.deadline, by)),
        _passed(earlier(push.lands_by, by)),
        push.reply,
    )
    return process._replace(push=moved)


def later_net(net: tuple[Floating, ...], by: timedelta) -> tuple[Floating, ...]:
    return tuple(one._replace(lands_by=one.lands_by - by) for one in net)


def later_ghost(ghost: Ghost, by: timedelta) -> Ghost:
    starts = tuple(at - by for at in ghost.starts if at - by > NOW - 60 * SECOND)
    quiet_until = tuple(_future(earlier(at, by)) for at in ghost.quiet_until)
    return ghost._replace(quiet_until=quiet_until, starts=starts)


def older_attempts(process: Process, epochs: int, attempts: int) -> Process:
    """Return what a process remembers after the lane's row has counted on."""
    push = process.push
    if push is None or not (epochs or attempts):
        return process
    intent = push.intent
    attempt = max(intent.attempt - attempts, OLDEST_ATTEMPT) if attempts else intent.attempt
    renumbered = replace(intent, epoch=max(intent.epoch - epochs, OLDEST_EPOCH), attempt=attempt)
    return process._replace(push=push._replace(intent=renumbered))

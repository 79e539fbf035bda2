from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oicp_adapter.domain.resolution import Resolution, resolve
from oicp_adapter.domain.statuses import OicpStatus, Status, StatusMapping, TemporaryStatus
from oicp_adapter.domain.windows import Window

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
INSTANT = timedelta(microseconds=1)
PLAIN = StatusMapping()
LESS_USABLE_FIRST = [OicpStatus.OUT_OF_SERVICE, OicpStatus.OCCUPIED, OicpStatus.RESERVED, OicpStatus.AVAILABLE]

instants = st.integers(0, 8).map(lambda n: NOON + n * HOUR)
kinds = st.sampled_from(list(TemporaryStatus))
windows = st.lists(
    st.builds(Window, st.integers(1, 50), kinds, instants, st.none() | instants, st.none() | instants),
    max_size=5,
    unique_by=lambda window: window.id,
)
words = st.sampled_from([status.value for status in Status]) | st.just("nonsense")
mappings = st.dictionaries(
    st.sampled_from([Status.OFFLINE, Status.BLOCKED, Status.RESERVED, Status.CHARGING]),
    st.sampled_from(list(OicpStatus)),
).map(StatusMapping)


def now(technical: str, *kinds: TemporaryStatus, mapping: StatusMapping = PLAIN) -> Resolution:
    applying = [Window(place, kind, NOON - HOUR) for place, kind in enumerate(kinds, 1)]
    return resolve(technical, applying, NOON, mapping)


@given(st.sets(kinds, min_size=1), words)
def test_the_winner_is_maintenance_then_commissioning_then_blocked_then_reserved(
    kinds: set[TemporaryStatus], technical: str
) -> None:
    wanted = next(kind for kind in TemporaryStatus if kind in kinds)
    winner = now(technical, *kinds).window
    assert winner is not None
    assert winner.kind is wanted


@pytest.mark.parametrize("kind", [TemporaryStatus.MAINTENANCE, TemporaryStatus.COMMISSIONING])
@pytest.mark.parametrize("technical", [*(status.value for status in Status), "nonsense"])
def test_maintenance_and_commissioning_replace_whatever_the_charger_says(kind: TemporaryStatus, technical: str) -> None:
    found = now(technical, kind)
    assert found.effective.value == kind.value
    assert found.oicp is OicpStatus.OUT_OF_SERVICE


@pytest.mark.parametrize("kind", [TemporaryStatus.BLOCKED, TemporaryStatus.RESERVED])
@pytest.mark.parametrize("technical", [status.value for status in Status])
def test_blocked_and_reserved_never_make_a_charger_look_better_than_it_is(
    kind: TemporaryStatus, technical: str
) -> None:
    charger, temporary = PLAIN.oicp(Status(technical)), PLAIN.oicp(Status(kind.value))
    wanted = temporary if charger is OicpStatus.UNKNOWN else min(charger, temporary, key=LESS_USABLE_FIRST.index)
    assert now(technical, kind).oicp is wanted


def test_unknown_yields_to_the_temporary_status() -> None:
    for technical in ("Unknown", "Offline", "nonsense", ""):
        assert now(technical, TemporaryStatus.RESERVED).oicp is OicpStatus.RESERVED
        assert now(technical, TemporaryStatus.BLOCKED).oicp is OicpStatus.OCCUPIED


@pytest.mark.parametrize("kind", list(TemporaryStatus))
@pytest.mark.parametrize("translation", [status for status in OicpStatus if status is not OicpStatus.AVAILABLE])
def test_no_window_lets_a_charger_look_available_unless_its_kind_is_translated_so(
    kind: TemporaryStatus, translation: OicpStatus
) -> None:
    mapping = StatusMapping({Status(kind.value): translation})
    published = {now(technical, kind, mapping=mapping).oicp for technical in (*Status, "nonsense")}
    assert OicpStatus.AVAILABLE not in published


def test_on_a_tie_the_temporary_status_is_shown_for_it_was_set() -> None:
    assert now("Charging", TemporaryStatus.BLOCKED).effective is Status.BLOCKED


def test_the_window_that_won_is_named_even_when_the_charger_is_less_usable() -> None:
    found = now("Faulted", TemporaryStatus.BLOCKED)
    assert found.effective is Status.FAULTED
    assert found.window is not None


def test_of_two_windows_of_one_kind_the_one_that_started_last_is_named() -> None:
    old = Window(9, TemporaryStatus.BLOCKED, NOON - 2 * HOUR)
    young = Window(1, TemporaryStatus.BLOCKED, NOON - HOUR)
    twin = Window(2, TemporaryStatus.BLOCKED, NOON - HOUR)
    assert resolve("Available", [old, young], NOON, PLAIN).window is young
    assert resolve("Available", [young, twin, old], NOON, PLAIN).window is twin


def test_a_word_that_the_table_does_not_know_is_unknown_and_named() -> None:
    found = now("Levitating")
    assert (found.effective, found.oicp, found.unmapped) == (Status.UNKNOWN, OicpStatus.UNKNOWN, True)
    assert not now("Unknown").unmapped


def test_an_override_decides_what_is_less_usable() -> None:
    mapping = StatusMapping({Status.OFFLINE: OicpStatus.OUT_OF_SERVICE})
    assert now("Offline", TemporaryStatus.BLOCKED, mapping=mapping).oicp is OicpStatus.OUT_OF_SERVICE


def test_no_transient_status_where_one_window_ends_and_another_starts() -> None:
    chain = [
        Window(1, TemporaryStatus.MAINTENANCE, NOON, NOON + HOUR),
        Window(2, TemporaryStatus.MAINTENANCE, NOON + HOUR, NOON + 2 * HOUR),
    ]
    for at in (NOON + HOUR - INSTANT, NOON + HOUR, NOON + HOUR + INSTANT):
        assert resolve("Available", chain, at, PLAIN).oicp is OicpStatus.OUT_OF_SERVICE


@given(words, windows, mappings, instants, st.permutations(range(5)))
def test_the_order_of_the_windows_does_not_matter(
    technical: str, some: list[Window], mapping: StatusMapping, at: datetime, order: list[int]
) -> None:
    shuffled = [some[place] for place in order if place < len(some)]
    assert resolve(technical, shuffled, at, mapping) == resolve(technical, some, at, mapping)


@given(words, windows, mappings, instants)
def test_the_answer_holds_until_the_instant_named_and_that_instant_is_a_boundary(
    technical: str, some: list[Window], mapping: StatusMapping, at: datetime
) -> None:
    found = resolve(technical, some, at, mapping)
    until = found.valid_until
    probes = [at + step * HOUR / 2 for step in range(24)]
    if until is not None:
        assert until > at
        assert any(until in (window.valid_from, window.end) for window in some)
        probes = [*(probe for probe in probes if probe < until), until - INSTANT]
    for probe in probes:
        later = resolve(technical, some, probe, mapping)
        assert (later.effective, later.oicp, later.window) == (found.effective, found.oicp, found.window)

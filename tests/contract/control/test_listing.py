"""Lists come in pages that miss nothing and repeat nothing, and show what somebody may see."""

from datetime import timedelta

import pytest

from oicp_adapter.control import listing
from oicp_adapter.control.listing import WindowFilter, WindowOrder, count_windows, list_windows
from oicp_adapter.control.windows import end_windows
from oicp_adapter.domain.access import Actor
from oicp_adapter.domain.errors import Refusal, RequestRefusedError
from oicp_adapter.domain.statuses import TemporaryStatus
from oicp_adapter.store.windows import WindowState

from .conftest import ANN, HOUR, PLACES, grant

EVSES = list(PLACES)


@pytest.fixture
def many(now, blocked, desk):
    """Twelve windows over five EVSEs: four ended, four active, four ahead; returned by number."""
    made = []
    for number in range(12):
        start = now + (HOUR if number % 3 == 2 else -HOUR) * (1 + number % 4)
        end = None if number % 5 == 0 else start + timedelta(days=1 + number % 2)
        made.append(blocked(EVSES[number % 5], valid_from=start, valid_to=end, reason=f"why {number}").record)
    end_windows(desk, ANN, [each.window.id for each in made[::3]])
    return made


def keys(page):
    return [each.record.window.id for each in page.items]


@pytest.mark.parametrize("order", WindowOrder)
@pytest.mark.parametrize("descending", [False, True])
def test_pages_together_are_the_whole_list_in_order(desk, many, order, descending):
    whole = keys(list_windows(desk, ANN, WindowFilter(), order=order, descending=descending))
    assert sorted(whole) == [each.window.id for each in many]
    found, after = [], None
    for _ in range(20):
        page = list_windows(desk, ANN, WindowFilter(), order=order, descending=descending, after=after, limit=5)
        found += keys(page)
        after = page.next
        if after is None:
            break
    assert found == whole
    by_start = {each.window.id: each.window.valid_from for each in many}
    if order is WindowOrder.START:
        assert [by_start[key] for key in whole] == sorted(by_start.values(), reverse=descending)


@pytest.mark.parametrize("state", WindowState)
def test_a_state_is_that_of_the_store_s_clock_and_the_counts_agree(desk, many, state):
    page = list_windows(desk, ANN, WindowFilter(states=frozenset({state})))
    assert {each.state for each in page.items} == {state}
    assert len(page.items) == 4 == count_windows(desk, ANN, WindowFilter())[state]


@pytest.mark.parametrize(
    ("wanted", "numbers"),
    [
        (WindowFilter(evse_ids=frozenset({"deabce1", "DE*ABC*E2"})), [0, 1, 5, 6, 10, 11]),
        (WindowFilter(search="WHY 7"), [7]),
        (WindowFilter(search="abc*e11"), [3, 8]),
        (WindowFilter(search="100%"), []),
        (WindowFilter(search="ANN"), list(range(12))),
        (WindowFilter(location="Zeil 85"), [0, 1, 2, 5, 6, 7, 10, 11]),
        (WindowFilter(location="Zeil"), []),
        (WindowFilter(kinds=frozenset({TemporaryStatus.RESERVED})), []),
        (WindowFilter(reference="T-1"), []),
    ],
)
def test_a_filter_lets_pass_what_it_names(desk, many, wanted, numbers):
    assert keys(list_windows(desk, ANN, wanted)) == [many[number].window.id for number in numbers]
    assert sum(count_windows(desk, ANN, wanted).values()) == len(numbers)


@pytest.mark.parametrize(
    "facts", [{"patterns": ("DE*ABC*E1%",)}, {"locations": frozenset({"Zeil 85"})}, {"patterns": ("DE*ABC*E9",)}]
)
def test_who_may_see_some_evses_sees_their_windows_however_small_the_pages(desk, many, monkeypatch, facts):
    some = Actor("some", "tokensom", grant(TemporaryStatus.BLOCKED, **facts))
    visible = [each.window.id for each in many if some.grant.covers(each.evse_id, PLACES[each.evse_id][0])]
    monkeypatch.setattr(listing, "LOOKED_AT", 3)
    found, after = [], None
    for _ in range(30):
        page = list_windows(desk, some, WindowFilter(), after=after, limit=2)
        found += keys(page)
        after = page.next
        if after is None:
            break
    assert found == visible
    assert sum(count_windows(desk, some, WindowFilter()).values()) == len(visible)


@pytest.mark.parametrize(
    "cursor", ["", "x", "W10", "eyJhIjoxfQ", "Wzk5OTk5OTk5OTk5OTk5OTk5OTk5XQ", "\x00", "ü", "WyIxIiwgLTFd"]
)
@pytest.mark.parametrize("order", [WindowOrder.ID, WindowOrder.END])
def test_a_cursor_that_was_not_made_here_is_refused(desk, cursor, order):
    with pytest.raises(RequestRefusedError) as caught:
        list_windows(desk, ANN, WindowFilter(), after=cursor, order=order)
    assert (caught.value.refusal, caught.value.field) == (Refusal.INVALID, "after")

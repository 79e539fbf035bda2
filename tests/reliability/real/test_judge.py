"""The judgement of a site finds what it is there to find."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from oicp_adapter.simulator.journal import Journal
from reliability.real.judge import outcries, overlaps, rate

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def after(seconds):
    return NOON + timedelta(seconds=seconds)


@pytest.fixture
def seen():
    """A site of which only the hub's journal, the settings and the logs are there."""
    journal = Journal(100)
    return SimpleNamespace(
        journal=journal,
        hub=SimpleNamespace(hub=SimpleNamespace(journal=journal)),
        entries=lambda: list(journal.entries),
        way=SimpleNamespace(lost=[]),
        sections={"push": {"settle": 1.0, "requests_per_minute": 3}},
        processes=[],
    )


def exchange(site, begins, ends, *, answered=True, whole=True):
    entry = site.journal.begin(key="DEABC", operator="DE*ABC", received_at=after(begins))
    entry.http_status = 200 if whole else None
    site.journal.end(entry, key="DEABC", now=after(ends), answered=answered)
    return entry


def test_requests_one_after_the_other_are_fine(seen):
    for start in range(3):
        exchange(seen, start, start + 0.5)
    assert overlaps(seen) == []
    assert rate(seen) == []


def test_an_overlap_is_found(seen):
    exchange(seen, 0, 2)
    exchange(seen, 1, 3)
    assert len(overlaps(seen)) == 1


def test_a_request_within_the_silence_after_an_unanswered_one_is_found(seen):
    exchange(seen, 0, 2, answered=False)
    exchange(seen, 2.5, 3)
    assert len(overlaps(seen)) == 1


def test_a_request_that_never_came_whole_demands_no_silence(seen):
    exchange(seen, 0, 2, answered=False, whole=False)
    exchange(seen, 2.1, 3)
    assert overlaps(seen) == []


def test_a_request_soon_after_an_answer_was_cut_off_is_found(seen):
    exchange(seen, 0, 1)
    seen.way.lost.append(after(1))
    exchange(seen, 1.5, 2)
    assert len(overlaps(seen)) == 1


def test_too_many_requests_in_a_minute_are_found(seen):
    for start in range(4):
        exchange(seen, start, start + 0.5)
    assert rate(seen) == ["4 requests in a minute, 3 allowed"]


@pytest.mark.parametrize(("text", "found"), [("Traceback (most", 1), ('"level": "critical"', 1), ("all is well", 0)])
def test_a_traceback_or_a_critical_line_in_a_log_is_found(seen, text, found):
    seen.processes.append(SimpleNamespace(pid=1, text=lambda: text))
    assert len(outcries(seen)) == found

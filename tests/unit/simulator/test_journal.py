from datetime import UTC, datetime, timedelta

from oicp_adapter.simulator.journal import Exchange, Journal, Rolling

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def begin(journal: Journal, seconds: float, operator: str = "DE*ABC") -> Exchange:
    return journal.begin(key=operator.replace("*", ""), operator=operator, received_at=at(seconds))


def end(journal: Journal, entry: Exchange, seconds: float, *, answered: bool = True) -> None:
    journal.end(entry, key=entry.operator.replace("*", ""), now=at(seconds), answered=answered)


def test_a_request_after_the_answer_of_the_last_one_is_no_overlap():
    journal = Journal(10)
    end(journal, begin(journal, 0), 1)
    assert not begin(journal, 1).overlap
    assert journal.counters["overlaps"] == 0


def test_a_request_whose_first_byte_came_before_the_answer_of_the_last_one_is_an_overlap():
    journal = Journal(10)
    end(journal, begin(journal, 0), 1)
    assert begin(journal, 0.9).overlap


def test_a_request_after_one_that_was_given_up_is_no_overlap():
    journal = Journal(10)
    given_up = begin(journal, 0)
    end(journal, given_up, 1, answered=False)
    assert (given_up.answered_at, given_up.given_up_at) == (None, at(1))
    assert not begin(journal, 2).overlap
    assert journal.counters["unanswered"] == 1


def test_the_second_end_of_a_request_says_nothing_new():
    journal = Journal(10)
    entry = begin(journal, 0)
    end(journal, entry, 1)
    end(journal, entry, 2, answered=False)
    assert (entry.answered_at, entry.given_up_at) == (at(1), None)


def test_entries_are_bounded_and_counters_are_not():
    journal = Journal(3)
    for number in range(10):
        end(journal, begin(journal, number), number)
    assert [entry.number for entry in journal.entries] == [8, 9, 10]
    assert journal.counters["requests"] == 10


def test_the_peak_is_the_most_of_any_rolling_minute():
    rolling = Rolling()
    for seconds in (0, 10, 59, 60, 69, 200):
        rolling.add(at(seconds))
    assert rolling.peak == 4
    assert rolling.count(at(260)) == 0


def test_an_entry_is_shown_with_foreign_text_made_harmless():
    journal = Journal(1)
    assert begin(journal, 0, "DE*ABC\n").as_json()["operator"] == "DE*ABC\\n"

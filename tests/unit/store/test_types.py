from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.dialects import postgresql, sqlite

from oicp_adapter.store.schema import ledger
from oicp_adapter.store.types import (
    ForeignText,
    OddText,
    UtcTimestamp,
    array_type,
    read_instant,
    read_text,
    timestamp_text,
)

SQLITE = sqlite.dialect()
POSTGRESQL = postgresql.dialect()
AWARE = st.tuples(st.timedeltas(timedelta(days=1), timedelta(days=3_650_000)), st.sampled_from([-11, 0, 14])).map(
    lambda drawn: (datetime(1, 1, 2, tzinfo=UTC) + drawn[0]).astimezone(timezone(timedelta(hours=drawn[1])))
)


@given(AWARE)
def test_an_instant_survives_sqlite_text(instant):
    text = UtcTimestamp().process_bind_param(instant, SQLITE)
    assert read_instant(text) == instant


@given(st.lists(AWARE, min_size=2, max_size=2))
def test_the_order_of_texts_is_the_order_of_instants(instants):
    one, other = instants
    assert (timestamp_text(one) < timestamp_text(other)) == (one < other)


@pytest.mark.parametrize("dialect", [SQLITE, POSTGRESQL])
def test_a_naive_datetime_is_refused_with_the_cure(dialect):
    with pytest.raises(ValueError, match=r"naive datetime .* use UTC"):
        UtcTimestamp().process_bind_param(datetime(2026, 1, 1, tzinfo=UTC).replace(tzinfo=None), dialect)


@pytest.mark.parametrize("garbage", ["yesterday", "", "2026-02-31 00:00:00", 17, b"2026"])
def test_what_is_no_instant_reads_as_none(garbage):
    assert read_instant(garbage) is None


def test_text_without_offset_is_utc():
    assert read_instant("2026-01-01 00:00:00.5") == datetime(2026, 1, 1, 0, 0, 0, 500000, tzinfo=UTC)


def test_text_that_is_not_utf8_is_shown_and_its_bytes_are_kept():
    odd = read_text(b"DE\xff")
    assert isinstance(odd, OddText)
    assert (odd, odd.raw) == ("DE\N{REPLACEMENT CHARACTER}", b"DE\xff")
    assert type(read_text("ä".encode())) is str


@pytest.mark.parametrize(
    ("value", "shown"), [(b"\xff", "\N{REPLACEMENT CHARACTER}"), (17, "17"), (None, None), ("x", "x")]
)
def test_odd_types_read_as_text(value, shown):
    assert ForeignText().result_processor(SQLITE, None)(value) == shown


def test_arrays_are_named_as_postgresql_names_them():
    assert array_type(ledger.c.due_at.type) == "TIMESTAMP WITH TIME ZONE[]"
    assert array_type(ledger.c.attempt.type) == "BIGINT[]"
    assert array_type(ledger.c.flipped.type) == "BOOLEAN[]"
    assert "COLLATE" not in array_type(ledger.c.canonical.type)

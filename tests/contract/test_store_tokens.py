"""What is kept of tokens and sessions comes back as it was, and no secret is kept at all."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.exc import IntegrityError

from oicp_adapter.domain.access import Grant, Scope
from oicp_adapter.domain.patterns import EvsePattern
from oicp_adapter.domain.statuses import TemporaryStatus
from oicp_adapter.store.sessions import (
    SessionKind,
    SessionRecord,
    add_session,
    delete_session,
    find_session,
    take_link,
)
from oicp_adapter.store.tokens import TokenRecord, add_token, all_tokens, find_token, note_use, revoke

NOON = datetime(2026, 12, 3, 12, 0, 0, 123456, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
GRANT = Grant(
    scopes=frozenset({Scope.READ, Scope.SET}),
    kinds=frozenset({TemporaryStatus.BLOCKED}),
    patterns=(EvsePattern("DE*ABC*E1%"), EvsePattern("DE*ABC*E2")),
    locations=frozenset({"Mainz, Rheinufer", "Köln"}),
    longest=timedelta(hours=4),
)


def record(key="abcdefgh", *, created_at=NOON):
    return TokenRecord(
        id=key,
        name="bay sensors",
        secret_sha256="ab" * 32,
        grant=GRANT,
        requests_per_minute=120,
        created_at=created_at,
        created_by="ann",
        expires_at=NOON + timedelta(days=90),
        revoked_at=None,
        revoked_by=None,
        last_used_at=None,
    )


@pytest.fixture
def kept(store):
    with store.writing() as connection:
        add_token(connection, record())
    return record()


def found(store, key="abcdefgh"):
    with store.reading() as connection:
        return find_token(connection, key)


def test_a_token_comes_back_as_it_was(store, kept):
    assert found(store) == kept


def test_an_id_that_no_token_has_finds_none(store, kept):
    assert found(store, "hgfedcba") is None


def test_a_second_token_of_the_same_id_is_refused(store, kept):
    with pytest.raises(IntegrityError), store.writing() as connection:
        add_token(connection, record())


def test_tokens_are_listed_in_the_order_in_which_they_were_made(store, kept):
    with store.writing() as connection:
        add_token(connection, record("zzzzzzzz", created_at=NOON - MINUTE))
    assert [each.id for each in all_tokens(store)] == ["zzzzzzzz", "abcdefgh"]


def test_a_revoked_token_keeps_who_did_it_and_when(store, kept):
    with store.writing() as connection:
        revoke(connection, kept.id, by="bob", at=NOON + MINUTE)
    assert (found(store).revoked_at, found(store).revoked_by) == (NOON + MINUTE, "bob")


def test_a_use_is_noted_unless_one_was_noted_since(store, kept):
    note_use(store, kept.id, at=NOON, unless_since=NOON - MINUTE)
    note_use(store, kept.id, at=NOON + MINUTE / 2, unless_since=NOON - MINUTE / 2)
    assert found(store).last_used_at == NOON
    note_use(store, kept.id, at=NOON + MINUTE, unless_since=NOON)
    assert found(store).last_used_at == NOON + MINUTE


def opening(secret, kind, *, lasts=MINUTE, at=NOON):
    return SessionRecord(secret, "abcdefgh", "csrf", kind, at, at + lasts)


def test_a_session_is_found_until_it_is_deleted(store):
    kept = opening("11", SessionKind.SESSION)
    with store.writing() as connection:
        add_session(connection, kept)
        assert find_session(connection, "11") == kept
    delete_session(store, "11")
    delete_session(store, "11")
    with store.reading() as connection:
        assert find_session(connection, "11") is None


def test_a_link_is_no_session_and_a_session_no_link(store):
    with store.writing() as connection:
        add_session(connection, opening("11", SessionKind.SESSION))
        add_session(connection, opening("22", SessionKind.LINK))
        assert find_session(connection, "22") is None
        assert take_link(connection, "11") is None


def test_a_link_is_taken_once(store):
    link = opening("22", SessionKind.LINK)
    with store.writing() as connection:
        add_session(connection, link)
    with store.writing() as connection:
        assert take_link(connection, "22") == link
    with store.writing() as connection:
        assert take_link(connection, "22") is None


def test_what_has_expired_is_deleted_with_the_next_one(store, sql):
    with store.writing() as connection:
        add_session(connection, opening("11", SessionKind.SESSION))
        add_session(connection, opening("22", SessionKind.SESSION, lasts=2 * MINUTE))
        add_session(connection, opening("33", SessionKind.SESSION, at=NOON + MINUTE))
    rows = sql("SELECT secret_sha256 FROM oicp_session ORDER BY secret_sha256")
    assert [row.secret_sha256 for row in rows] == ["22", "33"]

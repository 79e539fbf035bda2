"""Who comes with a token is who it was made for, as long as it holds; and nobody else comes in."""

import threading
from datetime import timedelta

import pytest

from oicp_adapter.control.access import (
    LINK_LASTS,
    ROLES,
    SESSION_LASTS,
    NewToken,
    authenticate,
    create_link,
    create_token,
    identify,
    list_tokens,
    redeem_link,
    revoke_token,
    session,
    sign_in,
    sign_out,
)
from oicp_adapter.control.desk import Desk
from oicp_adapter.domain.access import EVERYTHING, Actor, Scope
from oicp_adapter.domain.errors import Refusal, RequestRefusedError
from oicp_adapter.domain.patterns import EvsePattern
from oicp_adapter.domain.statuses import StatusMapping, TemporaryStatus
from oicp_adapter.settings import Settings

ANN = Actor("ann", None, EVERYTHING)
HOUR = timedelta(hours=1)
OPERATOR = ROLES["operator"]


@pytest.fixture
def desk(store):
    return Desk(store, {}, StatusMapping(), Settings())


def make(desk, **other):
    facts = {"name": "bay sensors", "scopes": frozenset({Scope.READ})}
    return create_token(desk, ANN, NewToken(**(facts | other)))


def refusal(call, *arguments):
    with pytest.raises(RequestRefusedError) as caught:
        call(*arguments)
    return caught.value


def test_a_token_says_who_comes_and_what_they_may(desk):
    made, text = make(
        desk,
        scopes=OPERATOR.scopes,
        kinds=frozenset({TemporaryStatus.BLOCKED}),
        patterns=(EvsePattern("DE*ABC*E1"), EvsePattern("DE*ABC*E2%")),
        locations=frozenset({"Mainz"}),
        longest=HOUR,
    )
    actor = authenticate(desk, text)
    assert actor == made.actor
    assert (actor.name, actor.token_id, actor.grant.longest) == ("bay sensors", made.id, HOUR)
    assert actor.grant.covers("DEABCE1", None)
    assert actor.grant.covers("DE*ABC*E23", None)
    assert not actor.grant.covers("DE*ABC*E3", "Wiesbaden")
    assert actor.grant.covers("DE*ABC*E3", "Mainz")


def test_the_secret_has_256_bits_and_is_nowhere_in_the_store(desk, sql):
    _, text = make(desk)
    prefix, token_id, secret = text.split("_", 2)
    assert (prefix, len(token_id)) == ("oicp", 8)
    assert len(secret) == 43, "32 bytes in base64url"
    for table in ("oicp_token", "oicp_session", "oicp_audit"):
        assert secret not in str(sql(f"SELECT * FROM {table}"))


def test_no_two_tokens_are_alike(desk):
    texts = {make(desk)[1] for _ in range(20)}
    assert len(texts) == 20


def altered(text):
    return f"{text[:-1]}{'A' if text[-1] != 'A' else 'Q'}"


@pytest.mark.parametrize(
    "spoil",
    [
        altered,
        lambda text: text[:-1],
        lambda text: f"{text}A",
        lambda text: text.upper(),
        lambda text: text.replace("oicp", "oidc"),
        lambda text: "_".join(text.split("_")[:2]),
        lambda text: text.split("_", 2)[2],
        lambda _: "",
        lambda _: "oicp_\x00_\x00",
        lambda _: "oicp_abcdefgh_\ud800",
        lambda _: "oicp_äbcdefgh_secret",
    ],
)
def test_what_is_not_the_token_lets_nobody_in_and_does_not_say_why(desk, spoil):
    _, text = make(desk)
    error = refusal(authenticate, desk, spoil(text))
    assert error.refusal is Refusal.UNAUTHENTICATED
    assert "is not known" in str(error)


def test_the_secret_of_one_token_does_not_open_another(desk):
    (first, one), (_, other) = make(desk), make(desk)
    stolen = f"oicp_{first.id}_{other.split('_', 2)[2]}"
    assert authenticate(desk, one).token_id == first.id
    assert refusal(authenticate, desk, stolen).refusal is Refusal.UNAUTHENTICATED


def test_a_refusal_shows_nothing_of_the_secret(desk):
    _, text = make(desk)
    assert text.split("_", 2)[2] not in str(refusal(authenticate, desk, f"{text}x"))


def test_a_revoked_token_holds_no_longer_from_that_moment(desk):
    made, text = make(desk)
    authenticate(desk, text)
    ended = revoke_token(desk, ANN, made.id)
    assert not ended.holds
    error = refusal(authenticate, desk, text)
    assert (error.refusal, "was revoked" in str(error)) == (Refusal.UNAUTHENTICATED, True)


def test_who_revoked_first_stays(desk):
    made, _ = make(desk)
    first = revoke_token(desk, ANN, made.id)
    again = revoke_token(desk, Actor("bob", None, EVERYTHING), made.id)
    assert (again.revoked_by, again.revoked_at) == ("ann", first.revoked_at)


def test_a_token_that_is_not_there_cannot_be_revoked(desk):
    assert refusal(revoke_token, desk, ANN, "abcdefgh").refusal is Refusal.NOT_FOUND


def test_a_token_expires_by_the_clock_of_the_store(desk, sql):
    made, text = make(desk, expires_at=desk.store.now() + HOUR)
    authenticate(desk, text)
    move(desk, sql, "oicp_token", "expires_at", -2 * HOUR)
    error = refusal(authenticate, desk, text)
    assert (error.refusal, "expired" in str(error)) == (Refusal.UNAUTHENTICATED, True)
    assert [each.holds for each in list_tokens(desk) if each.id == made.id] == [False]


def move(desk, sql, table, column, by):
    """Let time pass for a table: move an instant of all its rows."""
    seconds = by.total_seconds()
    if desk.store.dialect == "sqlite":
        shifted = f"strftime('%Y-%m-%d %H:%M:%f', {column}, '{seconds} seconds')"
    else:
        shifted = f"{column} + interval '{seconds} seconds'"
    sql(f"UPDATE {table} SET {column} = {shifted}")


def test_the_last_use_is_noted_to_the_minute(desk, sql):
    _, text = make(desk)
    assert list_tokens(desk)[0].last_used_at is None
    authenticate(desk, text)
    used = list_tokens(desk)[0].last_used_at
    assert used is not None
    authenticate(desk, text)
    assert list_tokens(desk)[0].last_used_at == used
    move(desk, sql, "oicp_token", "last_used_at", -timedelta(minutes=2))
    authenticate(desk, text)
    assert list_tokens(desk)[0].last_used_at >= used


def test_a_spoilt_token_is_no_use_of_the_real_one(desk):
    _, text = make(desk)
    refusal(authenticate, desk, altered(text))
    assert list_tokens(desk)[0].last_used_at is None


def test_what_is_done_with_tokens_is_in_the_audit(desk, sql):
    made, _ = make(desk)
    revoke_token(desk, Actor("bob", None, EVERYTHING), made.id)
    revoke_token(desk, ANN, made.id)
    rows = sql("SELECT actor, action, subject FROM oicp_audit ORDER BY id")
    assert [tuple(row) for row in rows] == [("ann", "token.create", made.id), ("bob", "token.revoke", made.id)]


@pytest.mark.parametrize(
    ("field", "facts"),
    [
        ("name", {"name": " "}),
        ("name", {"name": "x" * 101}),
        ("name", {"name": "a\nb"}),
        ("scopes", {"scopes": frozenset()}),
        ("kinds", {"scopes": frozenset({Scope.SET})}),
        ("patterns", {"patterns": (EvsePattern("*"),)}),
        ("patterns", {"patterns": (EvsePattern("E" * 65),)}),
        ("locations", {"locations": frozenset({" "})}),
        ("longest", {"longest": timedelta(0)}),
        ("requestsPerMinute", {"requests_per_minute": 0}),
        ("requestsPerMinute", {"requests_per_minute": 60_001}),
    ],
)
def test_a_token_that_contradicts_itself_is_not_made(desk, field, facts):
    with pytest.raises(RequestRefusedError) as caught:
        make(desk, **facts)
    assert (caught.value.refusal, caught.value.field) == (Refusal.INVALID, field)
    assert list_tokens(desk) == []


def test_a_token_that_would_have_expired_is_not_made(desk):
    with pytest.raises(RequestRefusedError, match="would have expired"):
        make(desk, expires_at=desk.store.now())


@pytest.mark.parametrize(
    ("role", "scopes", "kinds"),
    [
        ("operator", set(Scope), set(TemporaryStatus)),
        ("sensor", {Scope.READ, Scope.SET}, {TemporaryStatus.BLOCKED}),
        ("booking", {Scope.READ, Scope.SET}, {TemporaryStatus.RESERVED}),
        ("viewer", {Scope.READ}, set()),
    ],
)
def test_a_role_is_as_narrow_as_its_work(role, scopes, kinds):
    assert (ROLES[role].scopes, ROLES[role].kinds) == (scopes, kinds)


def test_who_signs_in_is_the_token_until_they_sign_out(desk):
    made, text = make(desk)
    begun = sign_in(desk, text)
    seen = session(desk, begun.secret)
    assert (seen.actor, seen.csrf, seen.expires_at) == (made.actor, begun.csrf, begun.expires_at)
    sign_out(desk, begun.secret)
    sign_out(desk, begun.secret)
    assert refusal(session, desk, begun.secret).refusal is Refusal.UNAUTHENTICATED


def test_the_secrets_of_sessions_are_not_in_the_store(desk, sql):
    _, text = make(desk)
    begun = sign_in(desk, text)
    code = create_link(desk, identify(desk, text).id)
    rows = str(sql("SELECT * FROM oicp_session"))
    assert begun.secret not in rows
    assert code not in rows
    assert len({begun.secret, begun.csrf, code}) == 3


def test_nobody_signs_in_with_anything_but_a_token(desk):
    _, text = make(desk)
    begun = sign_in(desk, text)
    for other in (begun.secret, begun.csrf, altered(text)):
        assert refusal(sign_in, desk, other).refusal is Refusal.UNAUTHENTICATED


def test_a_session_ends_after_its_time(desk, sql):
    _, text = make(desk)
    begun = sign_in(desk, text)
    move(desk, sql, "oicp_session", "expires_at", -SESSION_LASTS + timedelta(minutes=1))
    session(desk, begun.secret)
    move(desk, sql, "oicp_session", "expires_at", -timedelta(minutes=2))
    assert refusal(session, desk, begun.secret).refusal is Refusal.UNAUTHENTICATED


def test_a_session_lasts_no_longer_than_its_token(desk):
    expires_at = desk.store.now() + HOUR
    _, text = make(desk, expires_at=expires_at)
    assert sign_in(desk, text).expires_at == expires_at


def test_a_session_ends_with_the_revocation_of_its_token(desk):
    made, text = make(desk)
    begun = sign_in(desk, text)
    revoke_token(desk, ANN, made.id)
    assert refusal(session, desk, begun.secret).refusal is Refusal.UNAUTHENTICATED


def test_a_link_signs_in_once(desk):
    made, _ = make(desk)
    code = create_link(desk, made.id)
    assert session(desk, redeem_link(desk, code).secret).actor == made.actor
    assert refusal(redeem_link, desk, code).refusal is Refusal.UNAUTHENTICATED


def test_of_many_who_follow_a_link_one_is_signed_in(desk):
    made, _ = make(desk)
    code = create_link(desk, made.id)
    ready, results = threading.Barrier(4), []

    def follow():
        ready.wait(10)
        try:
            results.append(redeem_link(desk, code))
        except RequestRefusedError as error:
            results.append(error.refusal)

    threads = [threading.Thread(target=follow) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert results.count(Refusal.UNAUTHENTICATED) == 3
    assert len(results) == 4


def test_a_link_opens_nothing_after_its_time(desk, sql):
    made, _ = make(desk)
    code = create_link(desk, made.id)
    move(desk, sql, "oicp_session", "expires_at", -LINK_LASTS - timedelta(seconds=1))
    assert refusal(redeem_link, desk, code).refusal is Refusal.UNAUTHENTICATED


def test_a_link_is_no_session(desk):
    made, _ = make(desk)
    assert refusal(session, desk, create_link(desk, made.id)).refusal is Refusal.UNAUTHENTICATED


def test_a_link_of_a_token_that_was_revoked_meanwhile_opens_nothing(desk):
    made, _ = make(desk)
    code = create_link(desk, made.id)
    revoke_token(desk, ANN, made.id)
    assert refusal(redeem_link, desk, code).refusal is Refusal.UNAUTHENTICATED
    assert refusal(create_link, desk, made.id).refusal is Refusal.NOT_FOUND

"""Nobody comes in without a token that allows it, nobody asks too often or sends too much, and every answer says so."""

import socket
import time
from datetime import timedelta

import httpx
import pytest
from fastapi.routing import APIRoute

from oicp_adapter.api.app import DOCUMENT, api_app, serves
from oicp_adapter.api.guard import MOST_BYTES, Guard, GuardedRoute, guarded
from oicp_adapter.api.routes import ROUTES, SCOPES
from oicp_adapter.control.access import list_tokens, revoke_token
from oicp_adapter.control.rates import FAILURES_PER_MINUTE, RateLimits
from oicp_adapter.domain.access import Scope
from oicp_adapter.domain.errors import StoreUnavailableError
from oicp_adapter.domain.patterns import EvsePattern
from oicp_adapter.domain.statuses import TemporaryStatus
from tests.api.conftest import ANN, WINDOWS, problem, soon

PATHS = {"{id}": "1", "{reference}": "booking-17", "{evseId}": "DE*ABC*E1"}
ROUTE = pytest.mark.parametrize("spec", ROUTES, ids=lambda spec: f"{spec.method} {spec.documented_path}")


def path_of(spec):
    path = spec.documented_path
    for name, value in PATHS.items():
        path = path.replace(name, value)
    return path


def unguarded(app):
    """The routes that anybody enters, or whose scope nobody has declared."""
    return [
        route.path
        for route in app.routes
        if not (isinstance(route, GuardedRoute) and all((m, route.path) in SCOPES for m in route.methods))
    ]


def test_every_route_but_the_openapi_document_is_guarded_by_a_scope(desk):
    assert unguarded(api_app(desk, RateLimits())) == [DOCUMENT]


def test_a_route_that_is_added_without_a_scope_is_found(desk):
    app = api_app(desk, RateLimits())
    app.router.routes.append(APIRoute("/v2/new", lambda: None))
    assert unguarded(app) == [DOCUMENT, "/v2/new"]


def test_a_guarded_route_that_declares_no_scope_cannot_be_made(desk):
    with pytest.raises(KeyError):
        guarded(Guard(desk, RateLimits(), SCOPES))("/v2/new", lambda: None, methods=["GET"])


def test_a_path_is_the_api_s_or_the_page_s():
    assert all(serves(path) for path in ("/v2", "/v2/evses", "/v2/nowhere", DOCUMENT))
    assert not any(serves(path) for path in ("/", "/v2x", "/windows", "/static/v2/", "/openapi.jsonx"))


@ROUTE
def test_a_route_lets_nobody_in_without_a_token_or_without_its_scope(spec, client_of, token):
    method, path = spec.method, path_of(spec)
    for headers in ({}, {"Authorization": "Bearer"}, {"Authorization": "Basic b3A6b3A="}):
        answer = client_of(None).request(method, path, headers=headers, content=b"{")
        problem(answer, 401, "unauthenticated")
        assert answer.headers["www-authenticate"] == "Bearer"
    problem(client_of("oicp_abcdefgh_x").request(method, path, content=b"{"), 401, "unauthenticated")
    others = frozenset(Scope) - {spec.scope}
    without = token(scopes=others, kinds=frozenset(TemporaryStatus))
    problem(client_of(without).request(method, path, content=b"{"), 403, "not-permitted")


def test_no_answer_shows_the_token(client_of):
    secret = "oicp_abcdefgh_s3cretS3cretS3cret"
    answer = client_of(secret).get("/v2/evses")
    assert "s3cret" not in f"{answer.text}{answer.headers}"


def test_the_word_bearer_has_no_case(address, token):
    headers = {"Authorization": f"bEARER  {token()}"}
    assert httpx.get(f"{address}/v2/evses", headers=headers, trust_env=False).status_code == 200


def test_a_revoked_token_is_out_at_once(client_of, token, desk):
    client = client_of(token())
    assert client.get("/v2/evses").status_code == 200
    revoke_token(desk, ANN, list_tokens(desk)[0].id)
    assert "was revoked" in problem(client.get("/v2/evses"), 401, "unauthenticated")["detail"]


@pytest.mark.parametrize(("role", "kind"), [("sensor", "BLOCKED"), ("booking", "RESERVED")])
def test_a_role_sets_its_kind_and_no_other(client_of, token, role, kind):
    client = client_of(token(role))
    for each in TemporaryStatus:
        answer = client.post(WINDOWS, json={"evseId": "DE*ABC*E1", "temporaryStatus": each.upper()})
        if each.upper() == kind:
            assert answer.status_code == 201
        else:
            problem(answer, 403, "not-permitted")


def test_a_token_for_some_evses_sets_and_sees_no_others(client_of, token, api, made):
    made(evseId="DE*ABC*E1")
    beyond = made(evseId="DE*ABC*E4")
    client = client_of(token(patterns=(EvsePattern("DE*ABC*E1"),), locations=frozenset({"Nowhere"})))
    body = {"evseId": "DE*ABC*E4", "temporaryStatus": "BLOCKED"}
    problem(client.post(WINDOWS, json=body), 403, "not-permitted")
    assert client.post(WINDOWS, json=body | {"evseId": "deabce1"}).status_code == 201
    assert {each["evseId"] for each in client.get(WINDOWS).json()} <= {"DE*ABC*E1", "deabce1"}
    assert [each["evseId"] for each in client.get("/v2/evses").json()] == ["DE*ABC*E1"]
    url = f"{WINDOWS}/{beyond['id']}"
    problem(client.get(url), 403, "not-permitted")
    problem(client.patch(url, json={"reason": "mine"}), 403, "not-permitted")
    problem(client.delete(url), 403, "not-permitted")
    problem(client.get("/v2/evses/DE*ABC*E4"), 403, "not-permitted")
    assert api.get(url).json() == beyond


def test_a_token_for_a_location_sets_there_alone(client_of, token):
    client = client_of(token(locations=frozenset({"Köln, Dom"})))
    body = {"evseId": "DE*ABC*E4", "temporaryStatus": "BLOCKED"}
    assert client.post(WINDOWS, json=body).status_code == 201
    problem(client.post(WINDOWS, json=body | {"evseId": "DE*ABC*E5"}), 403, "not-permitted")


def test_no_status_is_longer_than_the_token_allows(client_of, token):
    client = client_of(token(longest=timedelta(hours=2)))
    body = {"evseId": "DE*ABC*E1", "temporaryStatus": "BLOCKED"}
    problem(client.post(WINDOWS, json=body), 403, "not-permitted")
    problem(client.post(WINDOWS, json=body | {"validTo": soon(hours=3)}), 403, "not-permitted")
    made = client.post(WINDOWS, json=body | {"validTo": soon(hours=1)})
    assert made.status_code == 201
    url = f"{WINDOWS}/{made.json()['id']}"
    problem(client.post(f"{url}/extend", json={"by": "PT3H"}), 403, "not-permitted")
    problem(client.patch(url, json={"validTo": None}), 403, "not-permitted")


def test_only_an_operator_changes_what_others_set(client_of, token, api):
    first, second = client_of(token("sensor")), client_of(token("sensor", name="other"))
    made = first.post(WINDOWS, json={"evseId": "DE*ABC*E1", "temporaryStatus": "BLOCKED"}).json()
    url = f"{WINDOWS}/{made['id']}"
    problem(second.delete(url), 403, "not-permitted")
    assert first.patch(url, json={"reason": "mine"}).status_code == 200
    assert api.delete(url).status_code == 204


def test_every_answer_to_a_token_says_how_much_of_its_rate_is_left(client_of, token):
    client = client_of(token(requests_per_minute=4))
    answers = [
        client.get("/v2/evses"),
        client.get(f"{WINDOWS}/77"),
        client.post(WINDOWS, content=b"{"),
        client.patch(f"{WINDOWS}/77", json={}),
    ]
    assert [answer.status_code for answer in answers] == [200, 404, 422, 404]
    assert [answer.headers["x-ratelimit-limit"] for answer in answers] == ["4"] * 4
    assert [answer.headers["x-ratelimit-remaining"] for answer in answers] == ["3", "2", "1", "0"]
    assert all(0 < int(answer.headers["x-ratelimit-reset"]) <= 60 for answer in answers)


def test_who_asks_too_often_is_told_how_long_to_wait_and_others_are_not_held_up(client_of, token):
    hasty, patient = client_of(token(requests_per_minute=2)), client_of(token())
    for _ in range(2):
        assert hasty.get("/v2/evses").status_code == 200
    answer = hasty.get("/v2/evses")
    problem(answer, 429, "rate-limited")
    assert 0 < int(answer.headers["retry-after"]) <= 60
    assert answer.headers["x-ratelimit-remaining"] == "0"
    assert patient.get("/v2/evses").status_code == 200


def test_an_address_that_comes_with_bad_tokens_is_limited_but_a_good_token_is_let_in(client_of, token):
    stranger = client_of("oicp_abcdefgh_x")
    answers = [stranger.get("/v2/evses") for _ in range(FAILURES_PER_MINUTE + 1)]
    assert [answer.status_code for answer in answers] == [401] * FAILURES_PER_MINUTE + [429]
    problem(answers[-1], 429, "rate-limited")
    assert int(answers[-1].headers["retry-after"]) > 0
    assert client_of(token()).get("/v2/evses").status_code == 200


def sent(address, text, head, chunks):
    """Send a request as it stands, slowly enough that an answer may come before its end; return the status."""
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        lines = [
            "POST /v2/temporary-evse-statuses HTTP/1.1",
            "Host: api",
            f"Authorization: Bearer {text}",
            *head,
            "",
            "",
        ]
        connection.sendall("\r\n".join(lines).encode())
        for chunk in chunks:
            try:
                connection.sendall(chunk)
            except OSError:
                break
        return int(connection.recv(65536).split()[1])


def test_a_body_that_is_announced_as_too_large_is_not_read(address, token):
    head = ["Content-Type: application/json", f"Content-Length: {MOST_BYTES + 1}"]
    began = time.monotonic()
    assert sent(address, token(), head, []) == 413
    assert time.monotonic() - began < 10, "the answer waited for a body that never came"


def test_a_body_that_turns_out_to_be_too_large_is_not_read_to_its_end(address, token):
    head = ["Content-Type: application/json", "Transfer-Encoding: chunked"]
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    assert sent(address, token(), head, [chunk] * 17) == 413


def test_a_body_is_not_read_for_who_may_not_come_in(address):
    head = ["Content-Type: application/json", "Content-Length: 1000000"]
    assert sent(address, "oicp_abcdefgh_x", head, []) == 401


def test_the_largest_body_is_read(api):
    body = b'{"evseId": "DE*ABC*E1", "temporaryStatus": "BLOCKED"'
    body += b" " * (MOST_BYTES - len(body) - 1) + b"}"
    headers = {"Content-Type": "application/json"}
    assert api.post(WINDOWS, content=body, headers=headers).status_code == 201
    problem(api.post(WINDOWS, content=b" " + body, headers=headers), 413, "body-too-large")


@pytest.mark.parametrize("content", [b"{", b"\xff", b"[" * 100_000, b'{"evseId": 1e}', b"9" * 5000])
def test_a_body_that_is_no_json_is_malformed(api, content):
    answer = api.post(WINDOWS, content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code in {400, 422}
    problem(answer, answer.status_code, "malformed-request" if answer.status_code == 400 else "invalid")


@pytest.mark.parametrize("content", [b"", b"[]", b"null", b'"x"'])
def test_a_body_that_is_no_object_is_invalid(api, content):
    problem(api.post(WINDOWS, content=content, headers={"Content-Type": "application/json"}), 422, "invalid")


def test_a_path_or_method_that_is_not_known_is_a_problem_too(api):
    for path in ("/v2", "/v2/", "/v2/nowhere", f"{WINDOWS}/", "/v2/evses/", f"{WINDOWS}/1/nothing"):
        problem(api.get(path), 404, "not-found")
    answer = api.put(WINDOWS, json={})
    problem(answer, 405, "method-not-allowed")
    assert answer.headers["allow"] == "GET, POST"
    assert api.request("DELETE", "/v2/locations").headers["allow"] == "GET"


def test_the_interactive_pages_of_the_framework_are_not_there(client_of):
    for path in ("/docs", "/redoc", "/docs/oauth2-redirect"):
        assert client_of(None).get(path).status_code == 404


def test_a_store_that_does_not_answer_is_unavailable_for_a_while(desk, api, monkeypatch):
    def fail(*_, **__):
        raise StoreUnavailableError("no connection to db.internal", cure="wait for it to come back")

    with monkeypatch.context() as broken:
        broken.setattr(type(desk.store), "reading", fail)
        answer = api.get("/v2/evses")
    assert "does not answer" in problem(answer, 503, "store-unavailable")["detail"]
    assert "db.internal" not in answer.text, "anybody may be told this, with a token or without"
    assert int(answer.headers["retry-after"]) > 0
    assert api.get("/v2/evses").status_code == 200


def test_an_error_that_nobody_foresaw_says_nothing_about_itself(api, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("password=hunter2")

    monkeypatch.setattr("oicp_adapter.api.evses.locations", fail)
    answer = api.get("/v2/locations")
    problem(answer, 500, "internal-error")
    assert "hunter2" not in answer.text
    assert answer.headers["x-ratelimit-remaining"]
    assert api.get("/v2/evses").status_code == 200

"""`token create|list|revoke`: what is printed is a token that does what was asked for, and nothing shows it again."""

import json
from datetime import datetime

import pytest
from typer.testing import CliRunner

from oicp_adapter.cli.token import token as command
from oicp_adapter.control.access import authenticate, list_tokens
from oicp_adapter.domain.access import Scope
from oicp_adapter.domain.errors import RequestRefusedError
from oicp_adapter.domain.statuses import TemporaryStatus


@pytest.fixture
def run(desk, request):
    """Run the command against the test's own store."""
    path = desk.store.path
    env = {
        "OICP_ADAPTER_STORE__URL": f"sqlite:///{path}" if path else request.getfixturevalue("pg_url"),
        "OICP_ADAPTER_OPERATORS": json.dumps([{"id": "DE*ABC", "certificate": "c", "private_key": "k"}]),
    }
    return lambda *arguments: CliRunner().invoke(command, list(arguments), env=env)


def test_stdout_is_the_token_alone_and_it_lets_in(run, desk):
    result = run("create", "bay sensors", "--role", "sensor")
    assert result.exit_code == 0
    (text,) = result.stdout.splitlines()
    actor = authenticate(desk, text)
    assert (actor.name, actor.grant.scopes, actor.grant.kinds) == (
        "bay sensors",
        {Scope.READ, Scope.SET},
        {TemporaryStatus.BLOCKED},
    )
    assert text not in result.stderr
    assert "shown this once" in result.stderr


def test_everything_that_narrows_a_token_is_taken(run, desk):
    options = ["--kind", "blocked", "--kind", "RESERVED", "--evse", "DE*ABC*E1%", "--evse", "DE*ABC*E2"]
    options += ["--location", "Mainz, Rheinufer", "--longest", "4h", "--per-minute", "60", "--for", "90d"]
    result = run("create", "room", "--role", "operator", *options, "--json")
    document = json.loads(result.stdout)
    grant = authenticate(desk, document.pop("token")).grant
    assert grant.kinds == {TemporaryStatus.BLOCKED, TemporaryStatus.RESERVED}
    assert [pattern.text for pattern in grant.patterns] == ["DE*ABC*E1%", "DE*ABC*E2"]
    assert (grant.locations, grant.longest.total_seconds()) == ({"Mainz, Rheinufer"}, 14_400)
    expires = datetime.fromisoformat(document["expiresAt"]) - datetime.fromisoformat(document["createdAt"])
    assert (round(expires.total_seconds() / 86_400), document["requestsPerMinute"]) == (90, 60)


def test_an_end_may_be_a_local_time(run, desk):
    assert (
        run("create", "room", "--role", "viewer", "--to", "2036-12-03 08:00", "--zone", "Europe/Berlin").exit_code == 0
    )
    assert list_tokens(desk)[0].expires_at.isoformat() == "2036-12-03T07:00:00+00:00"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--role", "king"], "is no role"),
        (["--role", "sensor", "--kind", "reserved"], "sets Blocked"),
        (["--role", "viewer", "--kind", "reserved"], "sets nothing"),
        (["--role", "operator", "--kind", "broken"], "is none of"),
        (["--role", "operator", "--for", "1d", "--to", "2036-12-03T08:00Z"], "exclude each other"),
        (["--role", "operator", "--longest", "long"], "is no duration"),
    ],
)
def test_a_wrong_option_is_wrong_usage_and_makes_no_token(run, desk, options, words):
    result = run("create", "room", *options)
    assert (result.exit_code, words in result.stderr) == (2, True)
    assert list_tokens(desk) == []


def test_the_list_shows_everything_but_the_secret(run):
    text = run("create", "room", "--role", "operator").stdout.strip()
    shown, document = run("list").stdout, json.loads(run("list", "--json").stdout)
    for secret in (text, text.split("_", 2)[2]):
        assert secret not in shown
        assert secret not in json.dumps(document)
    assert (document[0]["name"], document[0]["holds"], document[0]["id"] in shown) == ("room", True, True)


def test_a_revoked_token_lets_nobody_in(run, desk):
    text = run("create", "room", "--role", "operator").stdout.strip()
    token_id = list_tokens(desk)[0].id
    assert run("revoke", token_id).exit_code == 0
    with pytest.raises(RequestRefusedError, match="was revoked"):
        authenticate(desk, text)
    assert json.loads(run("list", "--json").stdout)[0]["holds"] is False


def test_a_token_that_is_not_there_cannot_be_revoked(run):
    result = run("revoke", "abcdefgh")
    assert isinstance(result.exception, RequestRefusedError)
    assert result.exception.exit_code == 2

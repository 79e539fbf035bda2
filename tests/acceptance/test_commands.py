"""What commands answer: to people as tables and notes, to programs as JSON, to wrong arguments with what to do."""

import json
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from typer.testing import CliRunner

from oicp_adapter.cli.main import app
from oicp_adapter.domain.identifiers import CanonicalEvseId, EvseId
from oicp_adapter.domain.statuses import OicpStatus, StatusMapping
from oicp_adapter.store.lanes import LaneStore
from oicp_adapter.store.scope import LaneScope
from oicp_adapter.sync.model import Entry, Presence


@pytest.fixture
def call(site):
    """Run a command in this process with the settings of the site."""

    def run(*arguments, code=0):
        result = CliRunner().invoke(app, ["--config", str(site.config()), *arguments])
        assert result.exit_code == code, result.output
        return result

    return run


@pytest.fixture
def save(site):
    """Write rows of the ledger of DE*ABC, all of EVSEs that the hub has."""

    def write(**entries):
        lane = LaneStore(site.store, LaneScope("DEABC", frozenset({"DEABC"})), StatusMapping())
        with closing(lane), lane.transaction() as books:
            for name, facts in entries.items():
                known = {"presence": Presence.PRESENT, "acknowledged": OicpStatus.AVAILABLE, "attempt": 1}
                key = CanonicalEvseId(f"DEABC{name}")
                books.save([Entry(key, EvseId(f"DE*ABC*{name}"), acknowledged_at=books.now, **(known | facts))])

    return write


def words(text):
    """Return what is said without the frame and the line ends that a terminal of 80 columns brings."""
    return " ".join(text.replace("│", " ").split())


def later(**span):
    return datetime.now(UTC) + timedelta(**span)


@pytest.mark.parametrize(
    "arguments",
    [
        ("plan",),
        ("full-load", "--yes"),
        ("quarantine", "list"),
        ("quarantine", "release", "--all"),
        ("withdrawals", "list"),
        ("withdrawals", "approve", "abc"),
    ],
)
def test_a_question_about_lanes_is_refused_where_there_is_none(site, call, arguments):
    site.operators.clear()
    result = call(*arguments, code=78)
    assert result.stdout == ""
    assert result.stderr.startswith("oicp-adapter: no operator is configured: add an [[operators]] entry")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("temporary", "set", "DE*ABC*E0", "blocked", "--for", "99999999999h"), "beyond the years 1 to 9999"),
        (("temporary", "extend", "99999999999999999999", "--for", "1h"), "there is no temporary status"),
        (("temporary", "end", "99999999999999999999"), "there is no temporary status"),
        (("temporary", "end", "0"), "there is no temporary status"),
        (
            ("temporary", "set", "DE*ABC*E0", "blocked", "--from", "2030-01-02T00:00Z", "--to", "2030-01-01T00:00Z"),
            "let it end after it starts",
        ),
        (("hub", "--operator", "XX"), "is no OperatorID"),
        (("hub", "--sub-operator", "NL*XYZ=DE*XYZ"), "belongs to no partner"),
        (("demo", "--from", "nofile.csv"), "cannot be read"),
    ],
)
def test_wrong_arguments_are_wrong_usage_with_their_cause(site, call, arguments, said):
    site.fleet(1)
    result = call(*arguments, code=2)
    assert said in words(result.stderr)
    assert result.stdout == ""


@pytest.mark.parametrize("content", ["", "\ufeff", "evse_id,status\n"])
def test_a_file_without_content_has_no_columns(call, tmp_path, content):
    path = tmp_path / "empty.csv"
    path.write_text(content, encoding="utf-8")
    result = call("demo", "--from", str(path), code=2)
    assert "has no column" in result.stderr
    assert "name evse_id, operator_id, status in the first line, separated by commas" in result.stderr


def test_an_end_before_the_start_is_wrong_usage_when_it_is_moved(site, call):
    site.fleet(1)
    call("temporary", "set", "DE*ABC*E0", "blocked", "--from", "2030-01-02T00:00Z")
    refused = call("temporary", "extend", "1", "--to", "2030-01-01T00:00Z", code=2)
    assert "2030-01-01 00:00:00 UTC is not after validFrom" in words(refused.stderr)


def test_a_window_that_lies_in_the_past_is_wrong_usage(site, call):
    site.fleet(1)
    past = ("--from", "2020-01-01T00:00Z", "--to", "2020-01-02T00:00Z")
    over = call("temporary", "set", "DE*ABC*E0", "maintenance", *past, code=2)
    assert "validTo 2020-01-02 00:00:00 UTC has passed" in words(over.stderr)
    assert call("temporary", "list", "--past", "--json").stdout == "[]\n"


def test_many_evses_are_set_extended_and_ended_at_once_and_a_dry_run_does_nothing(site, call):
    site.fleet(3)
    site.sql("INSERT INTO evse_location (evse_id, location, charge_box) VALUES ('DE*ABC*E0', 'Zeil 85', 'CB1')")
    tried = call("temporary", "set", "DE*ABC*E%", "maintenance", "--for", "2h", "--dry-run")
    assert tried.stdout.count("Out of Service") == 3
    assert "3 EVSEs; nothing was set" in tried.stderr
    (one,) = json.loads(
        call("temporary", "set", "all", "blocked", "--location", "Zeil 85", "--dry-run", "--json").stdout
    )
    assert (one["evseId"], one["now"], one["during"], one["after"]) == ("DE*ABC*E0", "Available", "Blocked", None)
    assert call("temporary", "list", "--json").stdout == "[]\n"
    made = json.loads(call("temporary", "set", "DE*ABC*E0,deabce1", "blocked", "--for", "2h", "--json").stdout)
    assert [each["evseId"] for each in made] == ["DE*ABC*E0", "DE*ABC*E1"]
    assert "nothing was changed" in call("temporary", "extend", "1", "2", "--for", "1h", "--dry-run").stderr
    longer = json.loads(call("temporary", "extend", "1", "2", "--for", "1h", "--json").stdout)
    assert all(new["validTo"] > old["validTo"] for new, old in zip(longer, made, strict=True))
    assert "nothing was changed" in call("temporary", "end", "1", "2", "--dry-run").stderr
    assert len(json.loads(call("temporary", "list", "--json").stdout)) == 2
    call("temporary", "end", "1", "2")
    assert call("temporary", "list", "--json").stdout == "[]\n"
    assert "no EVSE DE*ABC*E9 is in the store" in words(
        call("temporary", "set", "DE*ABC*E1,DE*ABC*E9", "blocked", code=2).stderr
    )


def test_temporary_statuses_have_their_fields_in_json(site, call):
    site.fleet(1)
    start = ("--from", "2030-01-01T08:00+01:00", "--for", "1h")
    call("temporary", "set", "DE*ABC*E0", "blocked", *start, "--reason", "snow", "--reference", "T-1")
    (shown,) = json.loads(call("temporary", "list", "--json").stdout)
    assert {
        name: shown[name] for name in ("id", "evseId", "status", "validFrom", "validTo", "reason", "reference")
    } == {
        "id": 1,
        "evseId": "DE*ABC*E0",
        "status": "Blocked",
        "validFrom": "2030-01-01T07:00:00+00:00",
        "validTo": "2030-01-01T08:00:00+00:00",
        "reason": "snow",
        "reference": "T-1",
    }
    assert set(shown) > {"createdBy", "createdAt", "updatedAt", "endedAt", "endedBy"}
    assert all(name.isidentifier() and not name[0].isupper() for name in shown)


def test_held_withdrawals_name_their_set_in_json_and_it_can_be_approved(call, save):
    at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    save(E1={"held_since": at}, E2={"held_since": at})
    listed = call("withdrawals", "list", "--json")
    first, second = json.loads(listed.stdout)
    assert first == {
        "operatorId": "DE*ABC",
        "evseId": "DE*ABC*E1",
        "acknowledgedStatus": "Available",
        "heldSince": "2026-01-02T03:04:05+00:00",
        "set": first["set"],
    }
    assert first["set"] == second["set"]
    assert f"withdrawals approve {first['set']}" in listed.stderr
    assert "2 withdrawals approved by ann" in call("withdrawals", "approve", first["set"], "--by", "ann").stderr
    assert json.loads(call("withdrawals", "list", "--json").stdout) == []


def test_quarantine_lists_what_was_refused_and_what_never_leaves_the_house(site, call, save):
    site.write("DE*ABC*E1")
    site.write("DE*ABC*E2")
    site.write("nonsense")
    site.write("DE*NOB*E1", operator="DE*NOB")
    refusal = {"refusal": "record_refused", "refusal_detail": "fieldReference: x", "failures": 3}
    save(E1={"retry_at": later(hours=1), "first_failed_at": later(hours=-1), **refusal}, E2={})
    shown = {each["evseId"]: each for each in json.loads(call("quarantine", "list", "--json").stdout)}
    assert {name: (each["releasable"], each["reason"]) for name, each in shown.items()} == {
        "DE*ABC*E1": (True, "record_refused"),
        "nonsense": (False, "malformed_evse_id"),
        "DE*NOB*E1": (False, "operator_not_served"),
    }
    assert shown["DE*ABC*E1"]["detail"] == "fieldReference: x"
    assert shown["DE*ABC*E1"]["nextAttemptAt"].endswith("+00:00")
    assert shown["nonsense"]["whatToDo"] == "correct its evse_id"
    assert "DE*NOB" in shown["DE*NOB*E1"]["detail"]
    states = {each["evseId"]: each["state"] for each in json.loads(call("status", "--json").stdout)}
    assert set(shown) == {name for name, state in states.items() if state == "quarantined"}
    assert {
        each["evseId"] for each in json.loads(call("quarantine", "list", "--operator", "deabc", "--json").stdout)
    } == {
        "DE*ABC*E1",
        "nonsense",
    }
    assert "correct its evse_id" in call("quarantine", "list").stdout


def test_what_cannot_be_released_is_named(site, call, save):
    site.write("DE*ABC*E1")
    site.write("DE*ABC*E2")
    site.write("nonsense")
    save(E1={"retry_at": later(hours=1), "failures": 3}, E2={})
    said = call("quarantine", "release", "deabce1", "DE*ABC*E2", "DE*ABC*E9", "nonsense").stderr.splitlines()
    assert said[0] == "DE*ABC: 1 released"
    assert said[1] == "DE*ABC*E2 is not in quarantine: its state is in_sync"
    assert said[2] == "DE*ABC*E9 is not in quarantine: no such EVSE is in the store"
    assert said[3].startswith("nonsense cannot be released: its row never leaves the house ('nonsense' is no EvseID")
    assert said[3].endswith("correct its evse_id")
    assert call("quarantine", "release", "--all").stderr == "DE*ABC: 0 released\n"


def test_the_table_of_status_has_everything_and_stays_narrow(site, call, save):
    site.write("DE*ABC*E1", "x" * 10_000)
    call("temporary", "set", "DE*ABC*E1", "commissioning")
    save(E1={})
    head, row = call("status").stdout.splitlines()
    for column in (
        "charger says",
        "since",
        "temporary",
        "effective",
        "OICP",
        "acknowledged",
        "acknowledged at",
        "state",
    ):
        assert column in head
    assert f"{'x' * 60}… (10000 characters)" in row
    assert len(row) < 400
    assert row.count("Commissioning") == 2
    assert row.count(f"{datetime.now(UTC):%Y-}") == 2
    (shown,) = json.loads(call("status", "--json").stdout)
    assert shown["technicalStatus"] == f"{'x' * 200}… (10000 characters)"


def test_status_says_who_leads(site, call, save):
    save(E1={})
    assert call("status").stderr == "lane DE*ABC: no process leads it\n"
    until = f"{later(minutes=1):%Y-%m-%d %H:%M:%S.%f}"
    site.sql("UPDATE oicp_lane SET holder = 'host/17\x1b[31m', expires_at = :until", until=until)
    assert call("status").stderr == "lane DE*ABC: host/17\\x1b[31m leads it\n"


def test_a_removed_row_that_was_never_at_the_hub_is_explained(site, call):
    site.write("DE*ABC*E1", "removed")
    assert "says Removed since" in call("explain", "deabce1").stdout
    assert "It was never at the hub" in call("explain", "DE*ABC*E1").stdout
    assert "It was never at the hub" in call("status", "DE*ABC*E1").stderr
    assert "no EVSE DE*ABC*E2 is in the store" in words(call("explain", "DE*ABC*E2", code=2).stderr)


def test_a_removed_row_that_was_withdrawn_says_when(site, call, save):
    site.write("DE*ABC*E1", "Removed")
    at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    save(E1={"withdrawn_at": at, "acknowledged": None, "presence": Presence.ABSENT})
    assert "confirmed its withdrawal at 2026-01-02 03:04:05" in call("explain", "DE*ABC*E1").stdout

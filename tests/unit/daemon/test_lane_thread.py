"""A lane's thread goes on through whatever goes wrong, and stops between turns when it is asked to."""

import threading
from datetime import UTC, datetime, timedelta
from functools import partial
from types import SimpleNamespace

import psycopg
import pytest
from structlog.testing import capture_logs
from tenacity import wait_none

from oicp_adapter.daemon import lane_thread as module
from oicp_adapter.daemon.lane_thread import LaneThread
from oicp_adapter.daemon.metrics import Metrics
from oicp_adapter.domain.errors import CertificateError, StoreFault, StoreSchemaError, StoreUnavailableError
from oicp_adapter.domain.identifiers import operator_key
from oicp_adapter.store.failures import WAIT, mapped_errors

PATIENCE = 10.0
AWAY = StoreUnavailableError("the store is away", cure="wait")


class FakeWorker:
    """
    Takes turns as told.

    Attributes:
        script: What the next turns do: raise, or pause that long; after it, every turn pauses for an hour.
        turned: Set when the script is at its end.
    """

    def __init__(self, *script):
        self.script = list(script)
        self.turns = 0
        self.turned = threading.Event()
        self.calls = []
        self.unrecorded = False
        self.release_error = None

    def turn(self):
        self.turns += 1
        step = self.script.pop(0) if self.script else timedelta(milliseconds=1)
        if not self.script:
            self.turned.set()
        if isinstance(step, Exception):
            raise step
        return step

    def retry_now(self):
        self.calls.append("retry_now")

    def release(self):
        self.calls.append("release")
        if self.release_error:
            raise self.release_error


class FakeCertificate:
    """A pair on disk that is replaced, or cannot be loaded, when the test says so."""

    def __init__(self):
        self.last_error = None
        self.doubt = None
        self.replaced = False
        ends = datetime(2030, 1, 1, tzinfo=UTC)
        first = SimpleNamespace(not_after=ends - timedelta(days=9))
        self.facts = SimpleNamespace(not_after=ends, serial="1", endings=[first])

    def refresh(self):
        was, self.replaced = self.replaced, False
        return was


class Closable:
    def __init__(self):
        self.calls = []

    def close(self):
        self.calls.append("close")

    def abort(self):
        self.calls.append("abort")


@pytest.fixture
def log():
    with capture_logs() as events:
        yield events


@pytest.fixture
def run(log, monkeypatch):
    """Make a lane thread around a worker; every one of them is stopped at the end."""
    monkeypatch.setattr(module, "wait_random_exponential", lambda **_: wait_none())
    monkeypatch.setattr(module, "CERTIFICATE_LOOK", 0.0)
    made = []

    def make(worker, *, clock=lambda: 1.0):
        lane = LaneThread(
            "DE*ABC",
            operator_keys=frozenset({operator_key("DE*ABC")}),
            worker=worker,
            store=Closable(),
            client=Closable(),
            certificate=FakeCertificate(),
            metrics=Metrics(["DE*ABC"]),
            clock=clock,
        )
        made.append(lane)
        return lane

    yield make
    for lane in made:
        lane.stop()
        assert not lane._thread.ident or lane.join(PATIENCE)


def test_an_exception_in_each_turn_never_ends_the_thread(run, log):
    worker = FakeWorker(*[AWAY, ValueError("a bug"), KeyError("another")] * 20)
    lane = run(worker)
    lane.start()
    assert worker.turned.wait(PATIENCE)
    assert lane.alive
    assert worker.turns >= 60
    assert {event["kind"] for event in log if event["event"] == "lane.trouble"} == {
        "StoreUnavailableError",
        "ValueError",
        "KeyError",
    }


def test_an_error_of_our_own_is_told_with_its_trace_and_one_of_the_store_without(run, log):
    worker = FakeWorker(AWAY, ValueError("a bug"))
    lane = run(worker)
    lane.start()
    assert worker.turned.wait(PATIENCE)
    lane.stop()
    assert lane.join(PATIENCE)
    traces = {event["kind"]: event["exc_info"] for event in log if event["event"] == "lane.trouble"}
    assert traces["StoreUnavailableError"] is None
    assert isinstance(traces["ValueError"], ValueError)


def test_trouble_is_shown_while_it_lasts_and_a_lane_in_trouble_still_turns(run):
    entered, go_on = threading.Event(), threading.Event()
    worker = FakeWorker()

    def turn():
        worker.turns += 1
        if worker.turns == 1:
            raise AWAY
        if worker.turns == 2:
            entered.set()
            assert go_on.wait(PATIENCE)
        elif worker.turns == 3:
            worker.turned.set()
        return timedelta(milliseconds=1)

    worker.turn = turn
    lane = run(worker)
    assert (lane.trouble, lane.turned_at) == (None, None)
    lane.start()
    assert entered.wait(PATIENCE)
    assert lane.trouble == "the store is away: wait"
    assert lane.turned_at == 1.0
    go_on.set()
    assert worker.turned.wait(PATIENCE)
    assert lane.trouble is None


@pytest.fixture
def turns(run):
    """Let a lane's turns end as told, each at an instant; the lane has no thread."""

    def play(*steps):
        now = [0.0]
        lane = run(FakeWorker(), clock=lambda: now[0])
        for at, error in steps:
            now[0] = at
            if error is None:
                lane._turn()
            else:
                lane._report(SimpleNamespace(outcome=SimpleNamespace(exception=lambda error=error: error)))

    return play


REFUSED = StoreUnavailableError("the store refused the login", cure="correct it", fault=StoreFault.LOGIN_REFUSED)


def test_a_trouble_says_which_of_a_closed_set_it_is(turns, log):
    schema = StoreSchemaError("no tables", cure="upgrade")
    turns((0.0, AWAY), (1.0, REFUSED), (2.0, schema), (3.0, ValueError("a bug")))
    assert [event["reason"] for event in log] == ["other", "login_refused", "store_schema", "internal"]


def test_what_is_not_ready_has_its_cure_however_much_the_store_said(run):
    worker = FakeWorker()
    lane = run(worker)
    said = psycopg.OperationalError("connection failed: " + "x" * 300)
    with pytest.raises(StoreUnavailableError) as caught, mapped_errors():
        raise said
    lane._report(SimpleNamespace(outcome=SimpleNamespace(exception=lambda: caught.value)))
    assert "(319 characters)" in lane.trouble
    assert lane.trouble.endswith(WAIT)


def test_a_recovery_is_told_once_turns_have_gone_well_for_a_while(turns, log):
    turns((10.0, AWAY), (12.0, AWAY), (15.5, None), (44.0, None), (45.5, None), (100.0, None))
    assert [event["event"] for event in log] == ["lane.trouble", "lane.trouble", "lane.recovered"]
    assert log[-1] == {
        "event": "lane.recovered",
        "log_level": "info",
        "operator": "DE*ABC",
        "over": "lane.trouble",
        "lasted_seconds": 5.5,
        "failures": 2,
    }


def test_a_store_that_comes_and_goes_is_one_trouble(turns, log):
    turns(*[(float(at), None if at % 20 else AWAY) for at in range(600)], *[(600.0 + at, None) for at in range(100)])
    (told,) = [event for event in log if event["event"] == "lane.recovered"]
    assert (told["lasted_seconds"], told["failures"]) == (581.0, 30)


def test_a_request_to_stop_ends_a_pause_and_hands_the_lane_back(run, log):
    worker = FakeWorker(timedelta(hours=1))
    lane = run(worker)
    lane.start()
    assert worker.turned.wait(PATIENCE)
    lane.stop()
    assert lane.join(PATIENCE)
    assert worker.calls == ["release"]
    assert lane._client.calls == ["close"]
    assert lane._store.calls == ["close"]
    assert log[-1]["event"] == "lane.stopped"


def test_a_request_to_stop_ends_the_wait_for_a_store_that_is_away(run, monkeypatch):
    monkeypatch.setattr(module, "wait_random_exponential", lambda **_: lambda _state: 3600.0)
    worker = FakeWorker(AWAY)
    lane = run(worker)
    lane.start()
    assert worker.turned.wait(PATIENCE)
    lane.stop()
    assert lane.join(PATIENCE)


def test_the_end_is_reached_although_the_lease_cannot_be_given_back(run, log):
    worker = FakeWorker(timedelta(hours=1))
    worker.release_error = AWAY
    worker.unrecorded = True
    lane = run(worker)
    lane.start()
    assert worker.turned.wait(PATIENCE)
    lane.stop()
    assert lane.join(PATIENCE)
    events = {event["event"]: event for event in log}
    assert events["lane.not_released"]["error"] == "the store is away: wait"
    assert events["lane.stopped"]["unrecorded"] is True
    assert lane._store.calls == ["close"]


def test_an_abort_cuts_the_exchange_under_way(run):
    lane = run(FakeWorker(timedelta(hours=1)))
    lane.start()
    lane.abort()
    assert lane.join(PATIENCE)
    assert lane._client.calls == ["abort", "close"]


def test_a_replaced_certificate_is_taken_up_and_ends_the_wait_of_a_held_lane(run, log):
    worker = FakeWorker()
    lane = run(worker)
    lane._certificate.replaced = True
    lane._look_at_certificate()
    assert worker.calls == ["retry_now"]
    assert [event["event"] for event in log] == ["certificate.replaced"]
    expiry = lane._metrics.registry.get_sample_value(
        "oicp_adapter_client_certificate_not_after_timestamp_seconds", {"operator": "DE*ABC"}
    )
    assert expiry == datetime(2029, 12, 23, tzinfo=UTC).timestamp(), "the intermediate ends first"


def test_a_doubtful_certificate_is_taken_up_with_a_warning(run, log):
    lane = run(FakeWorker())
    lane._certificate.replaced = True
    lane._certificate.doubt = "names nobody: look at it"
    lane._look_at_certificate()
    told = [(event["event"], event["log_level"], event.get("reason")) for event in log]
    assert told[1:] == [("certificate.doubtful", "warning", "names nobody: look at it")]


def test_a_pair_that_does_not_load_is_told_once_and_retries_nothing(run, log):
    worker = FakeWorker()
    lane = run(worker)

    def refresh():
        lane._certificate.last_error = broken
        return False

    broken = CertificateError("private key does not belong to certificate", cure="put both in place")
    lane._certificate.refresh = refresh
    lane._look_at_certificate()
    lane._look_at_certificate()
    assert worker.calls == []
    assert [(event["event"], event["log_level"]) for event in log] == [("certificate.not_replaced", "error")]
    reloaded = partial(
        lane._metrics.registry.get_sample_value,
        "oicp_adapter_client_certificate_last_reload_successful",
        {"operator": "DE*ABC"},
    )
    assert reloaded() == 0
    lane.tell_certificate()
    lane._look_at_certificate()
    lane._look_at_certificate()
    assert [event.get("asked", False) for event in log] == [False, True]
    broken = None  # somebody put the pair back that is in use
    lane._look_at_certificate()
    lane.tell_certificate()
    lane._look_at_certificate()
    assert reloaded() == 1
    assert [(event["event"], event.get("over")) for event in log[2:]] == [
        ("certificate.unchanged", "certificate.not_replaced")
    ]


def test_a_pair_that_is_replaced_by_a_good_one_ends_the_failure_of_a_bad_one(run, log):
    lane = run(FakeWorker())

    def refresh():
        lane._certificate.last_error = None
        return True

    lane._certificate.last_error = CertificateError("half a file", cure="put both in place")
    lane._certificate.refresh = refresh
    lane._look_at_certificate()
    assert [(event["event"], event["over"]) for event in log] == [("certificate.replaced", "certificate.not_replaced")]


def test_the_files_are_looked_at_once_a_second_at_most(run, monkeypatch):
    monkeypatch.setattr(module, "CERTIFICATE_LOOK", 1.0)
    now = [100.0]
    lane = run(FakeWorker(), clock=lambda: now[0])
    looks = []
    lane._certificate.refresh = lambda: looks.append(now[0])
    for _ in range(25):
        lane._look_at_certificate()
        now[0] += 0.125
    assert looks == [100.0, 101.0, 102.0, 103.0]


def test_a_lane_turns_only_when_the_one_that_it_replaces_has_ended(run):
    before, after = FakeWorker(timedelta(hours=1)), FakeWorker(timedelta(hours=1))
    old, new = run(before), run(after)
    old.start()
    assert before.turned.wait(PATIENCE)
    new.start(after=[old])
    assert new.waiting
    assert not after.turned.wait(0.2)
    old.stop()
    assert after.turned.wait(PATIENCE)
    assert not new.waiting
    assert before.calls == ["release"]


def test_a_lane_that_waits_for_others_waits_for_all_and_ends_when_asked(run):
    workers = [FakeWorker(timedelta(hours=1)) for _ in range(3)]
    first, second, third = map(run, workers)
    first.start()
    assert workers[0].turned.wait(PATIENCE)
    second.start(after=[first])
    second.stop()
    assert second.join(PATIENCE)
    third.start(after=[second, first])
    assert not workers[2].turned.wait(0.3)
    first.stop()
    assert workers[2].turned.wait(PATIENCE)
    assert workers[1].turns == 0


def test_a_lane_that_never_began_has_ended(run):
    assert run(FakeWorker()).join(PATIENCE)

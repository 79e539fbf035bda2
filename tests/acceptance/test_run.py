"""What the operator sees of a running daemon: statuses and windows at the hub, metrics, health, the log."""

import json
import re
import time
from datetime import UTC, datetime, timedelta

import pytest

from oicp_adapter.oicp.certificates import inspect_certificate

SECOND = timedelta(seconds=1)


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request, store_url):
    """Each kind of store."""
    return store_url if request.param == "sqlite" else request.getfixturevalue("pg_url")


def test_statuses_arrive_are_acknowledged_and_stay_equal(site, eventually):
    site.sections["push"]["lease"] = 60.0  # so long that a machine with much to do renews it, too
    site.fleet(5)
    site.write("DE*ABC*E1", "Charging")
    daemon = site.daemon()
    eventually(lambda: site.at_hub() == {f"DEABCE{n}": "Occupied" if n == 1 else "Available" for n in range(5)})
    site.write("DE*ABC*E2", "Faulted")
    site.write("DE*ABC*E7", "SuspendedEV")
    site.sql("DELETE FROM evse_status WHERE evse_id = 'DE*ABC*E0'")
    site.arrives("DE*ABC*E2", "OutOfService")
    site.arrives("DE*ABC*E7", "Occupied")
    eventually(lambda: site.hub.hub.find("DE*ABC*E0") is None)
    eventually(lambda: daemon.log("push.acknowledged", action="delete"))
    status = {each["evseId"]: each for each in json.loads(site.command("status", "--json").stdout)}
    assert {each["state"] for each in status.values()} == {"in_sync"}
    assert status["DE*ABC*E2"]["acknowledgedStatus"] == "OutOfService"
    asked = site.command("status", "--json", "DEABCE2", "DE*ABC*E99")
    assert [each["evseId"] for each in json.loads(asked.stdout)] == ["DE*ABC*E2"]
    assert asked.stderr.count("is in the store") == 1
    assert site.hub.hub.journal.counters["overlaps"] == 0
    ((epoch, ends),) = site.sql("SELECT epoch, expires_at FROM oicp_lane")
    eventually(lambda: site.sql("SELECT expires_at FROM oicp_lane")[0][0] > ends)
    assert len(daemon.log("lane.taken")) == epoch == 1, "the lease is renewed, not taken anew"
    assert daemon.stop() == 0


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
def test_a_window_starts_and_ends_to_the_second(site, eventually):
    site.fleet(3)
    daemon = site.daemon()
    eventually(lambda: len(site.at_hub()) == 3)
    start = datetime.now(UTC) + 2 * SECOND
    site.window("DE*ABC*E1", "Maintenance", start, start + 2 * SECOND)
    site.window("DE*ABC*E2", "Reserved", start + SECOND, start + 2 * SECOND)
    eventually(lambda: daemon.metric("window_lag_seconds_count", edge="end") == 2, within=20)
    assert daemon.metric("window_lag_seconds_count", edge="start") == 2
    for edge in ("start", "end"):
        assert daemon.metric("window_lag_seconds_bucket", edge=edge, le="1.0") == 2, "acknowledged within a second"
    boundaries = {"DE*ABC*E1": (start, start + 2 * SECOND), "DE*ABC*E2": (start + SECOND, start + 2 * SECOND)}
    for evse, expected in boundaries.items():
        _, *changes = site.hub.hub.history(evse)
        assert [change.status for change in changes] == ["OutOfService" if evse[-1] == "1" else "Reserved", "Available"]
        for change, at in zip(changes, expected, strict=True):
            assert timedelta() <= change.at - at < SECOND


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
def test_metrics_and_health_tell_what_is(site, eventually):
    site.fleet(4)
    site.write("DE*ABC*E1", "Charging")
    site.write("DE*ABC*E2", "Ready")
    site.write("DE*ABC*1", "Available")
    now = datetime.now(UTC)
    site.window("DE*ABC*E3", "Blocked", now + timedelta(hours=1), now + timedelta(hours=2))
    daemon = site.daemon()
    eventually(lambda: daemon.metric("evses", status="Available") == 2)
    assert daemon.get("/livez") == (200, "ok\n")
    assert daemon.get("/readyz") == (200, "ok\n")
    for name, labels, value in (
        ("evses", {"status": "Occupied"}, 1),
        ("evses", {"status": "Unknown"}, 1),
        ("pending_evses", {}, 0),
        ("oldest_pending_timestamp_seconds", {}, 0),
        ("quarantined_evses", {}, 1),
        ("rejected_evses", {"reason": "malformed_evse_id"}, 1),
        ("held_withdrawals", {}, 0),
        ("windows", {"kind": "Blocked", "state": "upcoming"}, 1),
        ("lane_state", {"state": "active"}, 1),
        ("lane_state", {"state": "held"}, 0),
        ("pushes_total", {"action": "fullLoad"}, 1),
        ("status_codes_total", {"code": "000"}, 1),
    ):
        assert daemon.metric(name, **labels) == value, name
    assert daemon.metric("unmapped_statuses_total") >= 1
    for name in ("last_successful_push", "last_full_load", "last_store_read"):
        assert now.timestamp() - 1 < daemon.metric(f"{name}_timestamp_seconds") < time.time() + 1
    expiry = inspect_certificate(site.pki.clients["DE*ABC"].certificate).not_after
    assert daemon.metric("client_certificate_not_after_timestamp_seconds") == expiry.timestamp()
    assert "DE*ABC*E" not in daemon.get("/metrics")[1]
    site.write("DE*ABC*E1", "Faulted")
    eventually(lambda: daemon.metric("status_propagation_seconds_count") == 1)
    assert daemon.metric("status_propagation_seconds_bucket", le="1.0") == 1


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
def test_the_log_is_json_names_the_process_id_and_holds_no_secret(site, eventually):
    issued = site.client_pair("locked", "DE*ABC")
    encrypt(issued, site.secret)
    site.operators[0] |= {
        "certificate": issued.certificate,
        "private_key": issued.private_key,
        "private_key_password": site.secret,
    }
    site.fleet(2)
    site.will("status_code", code="009")
    daemon = site.daemon()
    site.arrives("DE*ABC*E1", "Available")
    (done,) = eventually(lambda: daemon.log("push.acknowledged"))
    assert daemon.stop() == 0
    served = {entry.process_id for entry in site.hub.hub.journal.entries}
    (unknown,) = daemon.log("push.unknown")
    assert {done["process_id"], unknown["process_id"]} <= served
    notes = [line for line in daemon.text().splitlines() if not line.startswith("{")]
    assert all(line.startswith("warning: store: SQLite") for line in notes), notes
    assert {"daemon.started", "lane.taken", "daemon.stopping", "lane.stopped", "daemon.stopped"} <= {
        line["event"] for line in daemon.log()
    }
    for line in daemon.log():
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", line["timestamp"])
    everything = daemon.text() + daemon.output()
    assert site.secret not in everything
    assert "PRIVATE KEY" not in everything
    assert issued.private_key.read_text().splitlines()[2] not in everything


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
def test_bad_rows_are_named_everywhere_and_stop_nothing(site, eventually):
    site.fleet(2)
    bad = {
        "DE*ABC*E2": ("DE*ABC", "Ready"),
        "DEABCE1": ("DE*ABC", "Available"),
        "": ("DE*ABC", "Available"),
        "DE*ABC*" + "9" * 10_000: ("DE*ABC", "Available"),
        "DE*XYZ*E9": ("DE*ABC", "Available"),
        "DE*ZZZ*E1": ("DE*ZZZ", "Available"),
    }
    for evse, (operator, status) in bad.items():
        site.write(evse, status, operator)
    daemon = site.daemon()
    eventually(lambda: site.at_hub() == {"DEABCE0": "Available", "DEABCE1": "Available", "DEABCE2": "Unknown"})
    eventually(lambda: daemon.metric("quarantined_evses") == 4)
    states = {each["evseId"]: each["state"] for each in json.loads(site.command("status", "--json").stdout)}
    assert {evse for evse, state in states.items() if state == "quarantined"} == set(bad) - {"DE*ABC*E2"}
    checked = site.command("check", "--offline", "--json")
    assert checked.returncode == 0
    told = " ".join(found["what"] for found in json.loads(checked.stdout))
    for words in ("malformed", "another operator inside", "another row names", "pushed by no lane", "Ready"):
        assert words in told
    assert daemon.log("status.unmapped")[0]["words"] == ["Ready"]
    assert set().union(*(event["reasons"] for event in daemon.log("evses.rejected"))) == {
        "malformed_evse_id",
        "foreign_operator",
        "duplicate",
    }
    assert "9" * 1000 not in daemon.text()
    assert set(site.hub.hub.journal.counters) <= {"requests", "records", "applied", "answer:200/000"}


def encrypt(pair, password):
    """Encrypt a private key on disk."""
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - for one test only

    key = serialization.load_pem_private_key(pair.private_key.read_bytes(), password=None)
    sealed = serialization.BestAvailableEncryption(password.encode())
    pair.private_key.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, sealed)
    )

"""A daemon waits for what it depends on, says in words what is missing, and refuses to start on what is wrong."""

import socket

import pytest


def test_a_hub_that_is_down_at_the_start_is_waited_for(site, free_port, eventually):
    site.sections["hub"]["url"] = f"https://localhost:{free_port}/api/oicp"
    site.fleet(3)
    daemon = site.daemon()
    eventually(lambda: daemon.metric("push_failures_total", action="fullLoad", reason="connect"))
    eventually(lambda: daemon.metric("lane_state", state="backing_off"))
    assert daemon.get("/readyz") == (200, "ok\n"), "a hub outage does not make it unready"
    hub = site.simulator(port=free_port)
    eventually(lambda: len(hub.hub.statuses("DE*ABC")) == 3, within=30)
    assert site.sql("SELECT count(*) FROM oicp_ledger WHERE debt_at IS NOT NULL")[0][0] == 0, "nothing was ever sent"


def test_a_hub_that_goes_away_and_comes_back_gets_what_it_missed(site, free_port, eventually):
    site.sections["hub"]["url"] = f"https://localhost:{free_port}/api/oicp"
    site.fleet(3)
    first = site.simulator(port=free_port)
    daemon = site.daemon()
    eventually(lambda: daemon.log("push.acknowledged"))
    first.stop()
    site.write("DE*ABC*E1", "Charging")
    site.write("DE*ABC*E1", "Faulted")
    eventually(lambda: daemon.metric("push_failures_total", action="update", reason="connect"))
    second = site.simulator(port=free_port)  # as forgetful as new
    site.write("DE*ABC*E2", "Faulted")
    expected = {"DEABCE1": "OutOfService", "DEABCE2": "OutOfService"}
    eventually(lambda: dict(second.hub.statuses("DE*ABC")) == expected, within=30)


def test_a_store_that_goes_away_makes_it_unready_in_words_until_it_is_back(site, eventually):
    site.fleet(3)
    daemon = site.daemon()
    site.arrives("DE*ABC*E2", "Available")
    path = site.folder / "store.db"
    away = site.folder / "away.db"
    path.rename(away)
    eventually(lambda: daemon.get("/readyz")[0] == 503)
    assert "DE*ABC" in daemon.get("/readyz")[1]
    assert daemon.get("/livez") == (200, "ok\n")
    away.rename(path)
    eventually(lambda: daemon.get("/readyz")[0] == 200)
    site.write("DE*ABC*E1", "Faulted")
    site.arrives("DE*ABC*E1", "OutOfService")


def unknown_key(site):
    site.sections["push"]["maxrecords"] = 5


def readable_key(site):
    pair = site.client_pair("open", "DE*ABC")
    pair.private_key.chmod(0o644)
    site.operators[0] |= {"certificate": pair.certificate, "private_key": pair.private_key}


def foreign_key(site):
    site.operators[0]["private_key"] = site.pki.clients["DE*XYZ"].private_key


def not_migrated(site):
    (site.folder / "store.db").write_bytes(b"")


def no_database(site):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    site.sections["store"] = {"url": f"postgresql://me:{site.secret}@127.0.0.1:{port}/none"}


@pytest.mark.parametrize(
    ("damage", "code", "words"),
    [
        (unknown_key, 78, "max_records"),
        (readable_key, 78, "readable by its group"),
        (foreign_key, 78, "does not belong to certificate"),
        (not_migrated, 69, "db upgrade"),
        (no_database, 69, "store"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_what_is_wrong_ends_the_start_with_its_code_and_its_words(site, damage, code, words):
    site.fleet(1)
    damage(site)
    process = site.start()
    assert process.ended() == code
    assert words in process.text()
    assert site.secret not in process.text()
    assert "Traceback" not in process.text()
    assert site.requests() == 0


def test_a_monitoring_port_that_is_taken_is_a_wrong_setting(site):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        site.sections["monitoring"]["port"] = taken.getsockname()[1]
        done = site.command("run")
    assert done.returncode == 78
    assert "monitoring endpoint cannot listen" in done.stderr

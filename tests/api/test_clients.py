"""The example clients of the documentation do what they say, against a real server."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from oicp_adapter.api.app import api_app
from oicp_adapter.control.rates import RateLimits
from oicp_adapter.serving import BackgroundServer
from reliability.real.process import eventually
from tests.api.conftest import WINDOWS, soon

CLIENTS = Path(__file__).parents[2] / "docs" / "clients"
BOOKING = f"{WINDOWS}/by-reference/B%2017%2Fx"


def environment(address, text, **other):
    hidden = {"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"}
    kept = {name: value for name, value in os.environ.items() if name not in hidden}
    return kept | {"OICP_ADAPTER_URL": address, "OICP_ADAPTER_TOKEN": text} | other


@pytest.fixture
def sensor(address, token):
    """Start the sensor's client with a time to live in seconds; it is fed by its standard input."""
    started = []

    def start(time_to_live, *, url=address):
        command = [sys.executable, str(CLIENTS / "parking_sensor.py"), "bay 17", "DE*ABC*E1"]
        env = environment(url, token("sensor"), TIME_TO_LIVE=str(time_to_live))
        pipe = subprocess.PIPE
        started.append(subprocess.Popen(command, env=env, stdin=pipe, stdout=pipe, stderr=pipe, text=True))
        return started[-1]

    yield start
    for each in started:
        each.kill()
        each.communicate()


def tell(process, reading):
    process.stdin.write(f"{reading}\n")
    process.stdin.flush()


def blocked(api):
    return [each["evseId"] for each in api.get(WINDOWS).json() if each["temporaryStatus"] == "BLOCKED"]


def test_a_sensor_blocks_its_bay_and_frees_it(sensor, api):
    process = sensor(300)
    tell(process, "blocked")
    eventually(lambda: blocked(api) == ["DE*ABC*E1"])
    tell(process, "a cat")
    tell(process, "free")
    eventually(lambda: blocked(api) == [])
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, "a cat" in err) == (0, "blocked: reported\nfree: reported\n", True)


def test_a_sensor_repeats_itself_while_nothing_changes(sensor, api):
    process = sensor(10)
    tell(process, "blocked")
    (first,) = eventually(lambda: api.get(WINDOWS).json())
    eventually(lambda: api.get(f"{WINDOWS}/{first['id']}").json()["validTo"] > first["validTo"])
    assert process.poll() is None


def test_a_sensor_that_is_refused_says_why_and_stops(sensor, api, desk):
    with desk.store.writing() as connection:
        connection.exec_driver_sql("DELETE FROM evse_status WHERE evse_id = 'DE*ABC*E1'")
    process = sensor(300)
    tell(process, "blocked")
    _, err = process.communicate(timeout=30)
    assert (process.returncode, "unknown-evse" in err) == (1, True)


def test_a_sensor_tries_again_until_the_adapter_is_there(sensor, desk, api):
    server = BackgroundServer(api_app(desk, RateLimits()), host="127.0.0.1", port=0, what="API")
    url = server.url
    server.stop()  # its port is free, and nobody answers there
    process = sensor(300, url=url)
    tell(process, "blocked")
    assert process.stdout.readline().startswith("blocked: trying again in")
    again = BackgroundServer(
        api_app(desk, RateLimits()), host="127.0.0.1", port=int(url.rpartition(":")[2]), what="API"
    )
    again.start()
    try:
        assert process.stdout.readline() == "blocked: reported\n"
        assert blocked(api) == ["DE*ABC*E1"]
    finally:
        again.stop()


@pytest.fixture
def platform(address, token):
    """Run the booking platform's client; its bookings belong to one token."""
    env = environment(address, token("booking"))

    def run(*arguments):
        command = [sys.executable, str(CLIENTS / "booking_platform.py"), *arguments]
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)

    return run


def test_a_booking_is_made_changed_shown_and_cancelled(platform, api):
    begins, ends, later = soon(hours=1), soon(hours=2), soon(hours=3)
    made = platform("book", "B 17/x", "DE*ABC*E1", begins, ends)
    assert (made.returncode, made.stdout) == (0, f"DE*ABC*E1 upcoming from {begins} to {ends}\n")
    changed = platform("book", "B 17/x", "DE*ABC*E1", begins, later)
    assert platform("show", "B 17/x").stdout == changed.stdout == f"DE*ABC*E1 upcoming from {begins} to {later}\n"
    (only,) = api.get(WINDOWS, params={"activeOnly": "false"}).json()
    assert (only["temporaryStatus"], only["reference"], only["createdBy"]) == ("RESERVED", "B 17/x", "booking")
    assert "ended" in platform("cancel", "B 17/x").stdout
    assert platform("cancel", "B 17/x").returncode == 0


def test_a_platform_that_is_refused_says_why(platform):
    refused = platform("book", "B-17", "DE*ABC*E77", soon(hours=1), soon(hours=2))
    assert (refused.returncode, refused.stderr.split(":")[0]) == (1, "unknown-evse")
    assert platform("show", "B-17").stderr.startswith("not-found")

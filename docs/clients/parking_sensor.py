#!/usr/bin/env python3
"""
Tells the adapter whether a bay is blocked. Python 3.11, standard library only.

    export OICP_ADAPTER_URL=https://adapter.example OICP_ADAPTER_TOKEN=oicp_…
    parking_sensor.py bay-17 'DE*ABC*E1234*1' < readings

It reads `blocked` or `free` a line, reports each change at once, and repeats the last one while nothing changes. A
report lives for TIME_TO_LIVE seconds: if this program dies, or the bay's network does, the bay is free after that.
"""

# ruff: noqa: PLR2004, S310, T201 - a script: it knows HTTP's numbers, asks where its user says, and prints
import json
import os
import queue
import sys
import threading
import urllib.error
import urllib.parse
import urllib.request

TIME_TO_LIVE = int(os.environ.get("TIME_TO_LIVE", "300"))
REPEAT_EVERY = TIME_TO_LIVE / 3
"""Two reports may be lost before a bay is freed by mistake."""

WAIT_AT_MOST = 60.0
TIMEOUT = 10.0


class RefusedError(Exception):
    """The adapter will never accept this report; sending it again makes no sense."""


def report(reference: str, evse_id: str, *, blocked: bool) -> float:
    """
    Send one report.

    Returns:
        Seconds after which to try again; 0: it was accepted.
    """
    url = f"{os.environ['OICP_ADAPTER_URL'].rstrip('/')}/v2/sensors/{urllib.parse.quote(reference, safe='')}"
    body = {"evseId": evse_id, "blocked": blocked, "timeToLive": TIME_TO_LIVE}
    headers = {
        "Authorization": f"Bearer {os.environ['OICP_ADAPTER_TOKEN']}",
        "Content-Type": "application/json",
    }
    request = urllib.request.Request(url, json.dumps(body).encode(), headers, method="PUT")
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT):
            return 0.0
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 429 or error.code >= 500:
                return float(error.headers.get("Retry-After", "5"))
            raise RefusedError(f"{error.code} {error.read().decode(errors='replace')}") from error
    except OSError:  # no connection, or it broke
        return 5.0


def read_into(readings: "queue.Queue[str | None]") -> None:
    """Pass on what the sensor says; None: there will be no more."""
    for line in sys.stdin:
        readings.put(line.strip())
    readings.put(None)


def main(reference: str, evse_id: str) -> int:
    """Report until the readings end; then leave the bay to its time to live."""
    readings: queue.Queue[str | None] = queue.Queue()
    threading.Thread(target=read_into, args=[readings], daemon=True).start()
    last, wait, failures = None, None, 0
    while True:
        try:
            reading = readings.get(timeout=wait)
        except queue.Empty:
            reading = last
        if reading is None:
            return 0
        if reading not in {"blocked", "free"}:
            print(f"not understood: {reading!r}", file=sys.stderr)
            continue
        last = reading
        try:
            again_in = report(reference, evse_id, blocked=reading == "blocked")
        except RefusedError as refused:
            print(refused, file=sys.stderr)
            return 1
        failures = failures + 1 if again_in else 0
        wait = min(again_in * 2 ** (failures - 1), WAIT_AT_MOST) if again_in else REPEAT_EVERY
        print(f"{reading}: {'reported' if not again_in else f'trying again in {wait:.0f} s'}", flush=True)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

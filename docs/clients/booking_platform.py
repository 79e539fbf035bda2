#!/usr/bin/env python3
"""
Keeps an EVSE reserved for a booking. Python 3.11, standard library only.

    export OICP_ADAPTER_URL=https://adapter.example OICP_ADAPTER_TOKEN=oicp_…
    booking_platform.py book B-17 'DE*ABC*E1234*1' 2026-12-03T08:00:00+01:00 2026-12-03T09:00:00+01:00
    booking_platform.py show B-17
    booking_platform.py cancel B-17

The booking's number is the reference: to book it again with other times changes the booking, and a request that is sent
twice because the first answer was lost reserves once.
"""

# ruff: noqa: PLR2004, S310, T201 - a script: it knows HTTP's numbers, asks where its user says, and prints
import json
import os
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

TRIES = 5
TIMEOUT = 10.0


class RefusedError(Exception):
    """
    The adapter refused, and says why.

    Attributes:
        problem: The last part of the problem's type, as `unknown-evse`.
    """

    def __init__(self, status: int, text: bytes) -> None:
        try:
            body = json.loads(text)
            self.problem = body["type"].removeprefix("/problems/")
            super().__init__(body["detail"])
        except (ValueError, KeyError, TypeError):  # it was not the adapter that answered
            self.problem = "no-problem-json"
            super().__init__(f"{status} {text[:200]!r}")


def call(method: str, booking: str, body: dict[str, str] | None = None) -> dict[str, object] | None:
    """
    Do one thing with a booking; every one may be repeated, so it is, until there is an answer.

    Returns:
        The temporary status; None: there is nothing to say.
    """
    base = os.environ["OICP_ADAPTER_URL"].rstrip("/")
    url = f"{base}/v2/temporary-evse-statuses/by-reference/{urllib.parse.quote(booking, safe='')}"
    headers = {
        "Authorization": f"Bearer {os.environ['OICP_ADAPTER_TOKEN']}",
        "Content-Type": "application/json",
    }
    data = json.dumps(body).encode() if body is not None else None
    for attempt in range(1, TRIES + 1):
        request = urllib.request.Request(url, data, headers, method=method)
        wait = float(2**attempt)
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
                text = answer.read()
                return json.loads(text) if text else None
        except urllib.error.HTTPError as error:
            with error:
                if error.code != 429 and error.code < 500:
                    raise RefusedError(error.code, error.read()) from error
                wait = float(error.headers.get("Retry-After", wait))
        except OSError as error:  # no connection, or it broke
            print(f"attempt {attempt}: {error}", file=sys.stderr)
        time.sleep(wait)
    raise SystemExit("the adapter does not answer; the booking is as it was, or as it was to be: ask again")


def book(booking: str, evse_id: str, begins: str, ends: str) -> None:
    """Reserve an EVSE for a booking, or change the times of one that is to come."""
    body = {"evseId": evse_id, "temporaryStatus": "RESERVED", "validFrom": begins, "validTo": ends}
    show_status(call("PUT", booking, body))


def show(booking: str) -> None:
    """Show what stands under a booking."""
    show_status(call("GET", booking))


def cancel(booking: str) -> None:
    """Free the EVSE; a booking that is over already is no error."""
    call("DELETE", booking)
    show(booking)


def show_status(status: dict[str, object] | None) -> None:
    """Print what people ask for first."""
    if status is not None:
        print("{evseId} {state} from {validFrom} to {validTo}".format(**status))


if __name__ == "__main__":
    command, *arguments = sys.argv[1:]
    try:
        {"book": book, "show": show, "cancel": cancel}[command](*arguments)
    except RefusedError as refused:
        sys.exit(f"{refused.problem}: {refused}")

"""
Pushes statuses in the way in which one would write it in an afternoon: the peer with which the adapter is compared.

1. Every second it scans `evse_status` and `temporary_status`, compares with what it pushed last, and pushes change by
   change with httpx, five attempts each with tenacity; it begins with one full load.
2. It imports nothing of this project, and runs as a script: `python peer.py STORE_URL HUB_URL OPERATOR CA CERT KEY`.
"""

import contextlib
import json
import signal
import sqlite3
import ssl
import sys
import time
from collections.abc import Mapping
from typing import Any, Final

import httpx
import psycopg
from tenacity import retry, stop_after_attempt, wait_exponential

SCAN_EVERY: Final = 1.0
"""Seconds."""

_STATUSES: Final = "SELECT evse_id, status FROM evse_status"
_WINDOWS: Final = (
    "SELECT evse_id, status FROM temporary_status WHERE ended_at IS NULL AND valid_from <= {now}"
    " AND (valid_to IS NULL OR valid_to > {now})"
)
_OICP: Final = {"Available": "Available", "Charging": "Occupied", "Faulted": "OutOfService"}
_OICP_OF_WINDOW: Final = {"Blocked": "Occupied", "Reserved": "Reserved"}


class Database:
    """Reads the two tables."""

    def __init__(self, url: str) -> None:
        sqlite = url.startswith("sqlite")
        self._driver: Any = sqlite3.connect(url.removeprefix("sqlite:///")) if sqlite else psycopg.connect(url)
        self._windows = _WINDOWS.format(now="strftime('%Y-%m-%d %H:%M:%f', 'now')" if sqlite else "now()")

    def effective(self) -> Mapping[str, str]:
        """Return the OICP status of each EVSE, windows first."""
        statuses = {evse_id: _OICP.get(word, "Unknown") for evse_id, word in self._driver.execute(_STATUSES).fetchall()}
        windows = self._driver.execute(self._windows).fetchall()
        self._driver.rollback()
        return statuses | {
            evse_id: _OICP_OF_WINDOW.get(kind, "OutOfService") for evse_id, kind in windows if evse_id in statuses
        }


class HubClient:
    """Pushes over one keep-alive connection."""

    def __init__(self, url: str, operator: str, context: ssl.SSLContext) -> None:
        self._http = httpx.Client(verify=context, timeout=60, trust_env=False)
        self._url = f"{url}/evsepush/v21/operators/{operator}/status-records"
        self._operator = operator

    @retry(stop=stop_after_attempt(5), wait=wait_exponential(multiplier=0.5, max=10), reraise=True)
    def push(self, action: str, records: Mapping[str, str]) -> None:
        """
        Push these statuses in one request.

        Raises:
            httpx.HTTPError: The fifth attempt failed, too.
            RuntimeError: The hub refused the fifth attempt, too.
        """
        document = {
            "ActionType": action,
            "OperatorEvseStatus": {
                "OperatorID": self._operator,
                "EvseStatusRecord": [{"EvseID": evse_id, "EvseStatus": status} for evse_id, status in records.items()],
            },
        }
        answer = self._http.post(self._url, json=document)
        answer.raise_for_status()
        if not answer.json()["Result"]:
            raise RuntimeError(answer.text[:200])


def main() -> None:
    """Push until it is told to stop."""
    store_url, hub_url, operator, ca_file, certificate, key = sys.argv[1:]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    context = ssl.create_default_context(cafile=ca_file)
    context.load_cert_chain(certificate, key)
    database, hub = Database(store_url), HubClient(hub_url, operator, context)
    pushed = dict(database.effective())
    hub.push("fullLoad", pushed)
    print(json.dumps({"pushed": len(pushed)}), flush=True)  # whoever started it waits for this line
    while True:
        began = time.monotonic()
        for evse_id, status in database.effective().items():
            if pushed.get(evse_id) != status:
                with contextlib.suppress(httpx.HTTPError, RuntimeError):  # the next scan finds it again
                    hub.push("update" if evse_id in pushed else "insert", {evse_id: status})
                    pushed[evse_id] = status
        time.sleep(max(0.0, SCAN_EVERY - (time.monotonic() - began)))


if __name__ == "__main__":
    main()

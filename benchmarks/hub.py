"""Runs the simulator as a process of its own and reads from its side what arrived, and when."""

import http.client
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import quote, urlsplit

from pydantic_core import from_json

from benchmarks.children import Child
from benchmarks.figures import MeasurementError
from benchmarks.fleet import BARE_OPERATOR, OPERATOR

UNLIMITED: Final = 100_000_000
"""Requests a minute: the bare client knows no limit, and the daemon keeps its own."""

LOOK_EVERY: Final = 0.05
"""Seconds between two looks; a look at the counters costs the simulator well below a millisecond."""

_NO_ENTRIES: Final = "since=999999999999&limit=0"


_ASK_WITHIN: Final = 120.0
"""Seconds; the state of a million EVSEs is a hundred megabytes of JSON, and the simulator does one thing at a time."""


class Held(NamedTuple):
    """What the hub holds of one EVSE, and when that last became another."""

    status: str
    changed_at: str

    @property
    def received_at(self) -> float:
        """Seconds since 1970; made when it is asked for, which few of a million are."""
        return datetime.fromisoformat(self.changed_at).timestamp()


class Request(NamedTuple):
    """One push as the hub noted it; the instants are seconds since 1970."""

    action: str
    records: int
    first_byte_at: float
    performed_at: float
    answered_at: float


class Hub(Child):
    """A strict simulator for both operators, without a rate limit."""

    def __init__(self, directory: Path) -> None:
        arguments = ["hub", "--dir", str(directory / "pki"), "--rate-limit", str(UNLIMITED)]
        for operator in (OPERATOR, BARE_OPERATOR):
            arguments += ["--operator", operator]
        super().__init__(arguments, log=directory / "hub.log", directory=directory)
        admin = urlsplit(self.announced["admin_url"])
        self._admin = admin.hostname or "", admin.port

    @property
    def url(self) -> str:
        """The base that the daemon's settings name."""
        return str(self.announced["url"])

    @property
    def ca_file(self) -> str:
        """Path of the authority that signed the hub's certificate."""
        return str(self.announced["ca_file"])

    def client(self, operator: str) -> Mapping[str, str]:
        """Return the paths `certificate` and `private_key` of an operator."""
        client: Mapping[str, str] = self.announced["operators"][operator]
        return client

    def answer_after(self, seconds: float) -> None:
        """Let each push be answered so long after its end."""
        self._ask("PUT", "/settings", {"delay": seconds})

    def counters(self) -> Mapping[str, int]:
        """Return what the hub counted since it started; `records` are those of the requests that it performed."""
        counters: Mapping[str, int] = self._ask("GET", f"/journal?{_NO_ENTRIES}")["counters"]
        return counters

    def held(self, operator: str) -> dict[str, Held]:
        """Return what the hub holds of an operator by EvseID."""
        document = self._ask("GET", f"/state?operator={quote(operator)}")
        return {one["evse_id"]: Held(one["status"], one["changed_at"]) for one in document["operators"][operator]}

    def performed(self, operator: str, *, since: int) -> Sequence[Request]:
        """Return the requests of an operator that were performed and answered, of those after the first *since*."""
        entries = self._ask("GET", f"/journal?since={since}&limit=10000")["requests"]
        return [
            Request(one["action"], one["records"], *map(_seconds, (one["received_at"], done, one["answered_at"])))
            for one in entries
            for done in one["applied_at"][:1]
            if one["operator"] == operator and one["answered_at"] is not None
        ]

    def wait_for_records(self, count: int, *, patience: float, daemon: Child) -> None:
        """
        Wait until so many records were performed since the start.

        Args:
            patience: Seconds without a single further record after which it is given up.
            daemon: Who sends them; what it said last is told when it does not.

        Raises:
            MeasurementError: They did not come.
        """
        moved_at, before = time.monotonic(), -1
        while (seen := self.counters().get("records", 0)) < count:
            daemon.require_alive()
            if seen != before:
                moved_at, before = time.monotonic(), seen
            elif time.monotonic() - moved_at > patience:
                raise MeasurementError(f"{count} records were due, {seen} came; the daemon said:\n{daemon.log_end()}")
            time.sleep(LOOK_EVERY)

    def wait_for_push(self, *, since: int, patience: float, daemon: Child) -> Request:
        """
        Wait for the first push of the daemon's operator after the first *since* requests.

        Raises:
            MeasurementError: It did not come.
        """
        end = time.monotonic() + patience
        while not (found := self.performed(OPERATOR, since=since)):
            daemon.require_alive()
            if time.monotonic() > end:
                raise MeasurementError(f"no push came within {patience:.0f} s; the daemon said:\n{daemon.log_end()}")
            time.sleep(LOOK_EVERY)
        return found[0]

    def wait_until_equal(self, operator: str, expected: Mapping[str, str], *, within: float) -> dict[str, Held]:
        """
        Wait until the hub holds exactly what it should, and return it.

        Raises:
            MeasurementError: It did not become equal in time.
        """
        end = time.monotonic() + within
        while True:
            held = self.held(operator)
            if {evse_id: one.status for evse_id, one in held.items()} == expected:
                return held
            if time.monotonic() > end:
                wrong = sum(
                    evse_id not in held or held[evse_id].status != status for evse_id, status in expected.items()
                )
                raise MeasurementError(f"the hub did not become equal: {wrong} of {len(expected)} EVSEs differ")
            time.sleep(0.5)

    def _ask(self, method: str, path: str, document: object = None) -> Any:
        self.require_alive()
        connection = http.client.HTTPConnection(*self._admin, timeout=_ASK_WITHIN)
        try:
            connection.request(method, path, None if document is None else json.dumps(document))
            answer = connection.getresponse()
            body = answer.read()
        finally:
            connection.close()
        if answer.status != http.client.OK:
            raise MeasurementError(f"the simulator's {path} answered {answer.status}: {body[:200]!r}")
        return from_json(body)


def times(held: Mapping[str, Held], wanted: Iterable[str]) -> dict[str, float]:
    """Return when the hub received the last change of each of these EVSEs, in seconds since 1970."""
    return {evse_id: held[evse_id].received_at for evse_id in wanted if evse_id in held}


def _seconds(instant: str) -> float:
    return datetime.fromisoformat(instant).timestamp()

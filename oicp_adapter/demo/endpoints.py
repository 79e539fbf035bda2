"""Asks the simulated hub's admin endpoint and the daemon's metrics; who does not answer has said nothing."""

import http.client
import json
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from prometheus_client.parser import text_string_to_metric_families

from oicp_adapter.domain.identifiers import evse_key
from oicp_adapter.sync.model import LaneState

PATIENCE: Final = 2.0
"""Seconds that one question may take; both live on this machine."""

_JOURNAL: Final = 10_000
"""Requests that the hub remembers."""

_LANE_STATE: Final = "oicp_adapter_lane_state"

# The environment's proxies are not asked for what is on this machine.
_OPENER: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True, slots=True)
class Metrics:
    """What the demo shows of the daemon's metrics: the state of each lane by OperatorID."""

    lanes: Mapping[str, LaneState]


@dataclass(frozen=True, slots=True)
class Requests:
    """
    The requests that the hub received.

    Attributes:
        by_action: Of the newest ones, how many by action.
        refused: Of these, how many it did not perform or not answer.
        overlaps: How many came while another one of the same operator was under way, ever.
    """

    by_action: Mapping[str, int]
    refused: int
    overlaps: int


def ask_ready(url: str) -> str | None:
    """Return why the daemon is not ready, in words; None: it is."""
    status, body = _get(f"{url}/readyz")
    if status == http.client.OK:
        return None
    return body.decode(errors="replace").strip() or "the daemon does not answer"


def ask_metrics(url: str) -> Metrics | None:
    """Return what the daemon's metrics say; None: they do not answer."""
    status, body = _get(f"{url}/metrics")
    if status != http.client.OK:
        return None
    # Only these lines are parsed: all of them would cost more than the rest of a look.
    lines = [line for line in body.decode(errors="replace").splitlines() if line.startswith(f"{_LANE_STATE}{{")]
    samples = [each for family in text_string_to_metric_families("\n".join(lines)) for each in family.samples]
    return Metrics({each.labels["operator"]: LaneState(each.labels["state"]) for each in samples if each.value})


def ask_held(admin_url: str) -> Mapping[str, Mapping[str, str]] | None:
    """Return the statuses that the hub holds by OperatorID and canonical EvseID; None: it does not answer."""
    state = _json(f"{admin_url}/state")
    if state is None:
        return None
    return {
        operator: {evse_key(each["evse_id"]): each["status"] for each in held}
        for operator, held in state["operators"].items()
    }


def ask_requests(admin_url: str) -> Requests | None:
    """Return what the hub remembers of the requests; None: it does not answer."""
    journal = _json(f"{admin_url}/journal?limit={_JOURNAL}")
    if journal is None:
        return None
    entries: Sequence[Mapping[str, Any]] = journal["requests"]
    refused = sum(entry["code"] != "000" or entry["answered_at"] is None for entry in entries)
    by_action = Counter(str(entry["action"] or "unreadable") for entry in entries)
    return Requests(by_action, refused, journal["counters"].get("overlaps", 0))


def _json(url: str) -> Any:
    status, body = _get(url)
    return json.loads(body) if status == http.client.OK else None


def _get(url: str) -> tuple[int, bytes]:
    """Return status and body; the status is 0 when nobody answered."""
    try:
        with _OPENER.open(url, timeout=PATIENCE) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as exc:
        with exc:
            return exc.code, exc.read()
    except (OSError, http.client.HTTPException):
        return 0, b""

"""Says at the end of the demo what came of it, in lines for people, and whether it passed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from oicp_adapter.demo.children import Ending
from oicp_adapter.demo.comparison import Comparison
from oicp_adapter.demo.endpoints import Requests
from oicp_adapter.demo.judgement import Unpushable
from oicp_adapter.demo.progress import percentile
from oicp_adapter.demo.tables import WindowCount
from oicp_adapter.domain.errors import StoreError

_NAMED: Final = 20
"""Differing EVSEs that are named; a dead worker would fill pages."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """
    What came of a demo.

    Attributes:
        comparison: None: it was stopped before, so nothing was compared.
        skipped: Rows of the fleet's file that were not loaded.
        changes: Changes of chargers that were written.
        lags: Seconds that changes took, as far as seen.
        requests: None: the hub does not answer.
        refused: Why the fleet could not write to the store any more; None: it always could.
    """

    comparison: Comparison | None
    skipped: Sequence[Unpushable]
    changes: int
    windows: WindowCount
    lags: Sequence[float]
    requests: Requests | None
    daemon: Ending
    hub: Ending
    refused: StoreError | None = None

    @property
    def passed(self) -> bool:
        """Whether the hub holds what the store says, no write of the fleet failed, and both processes ended cleanly."""
        equal = self.comparison is not None and self.comparison.is_equal
        return equal and self.refused is None and self.daemon.clean and self.hub.clean


def summary(outcome: Outcome) -> Iterator[str]:
    """Yield the lines of the summary."""
    unpushable = (*outcome.skipped, *(outcome.comparison.unpushable if outcome.comparison else ()))
    if outcome.comparison is not None:
        count = outcome.comparison.left_out + sum(each.count for each in outcome.skipped)
        different = len(outcome.comparison.differences)
        yield f"compared     {outcome.comparison.equal} EVSEs equal, {different} different, {count} cannot be pushed"
    windows = outcome.windows
    yield (
        f"changed      {outcome.changes} statuses; {windows.set} windows set, {windows.started} of them started and "
        f"{windows.ended} ended"
    )
    yield f"propagation  {_lags(outcome.lags)}"
    yield f"requests     {_requests(outcome.requests)}"
    yield f"daemon       {_ending(outcome.daemon)}"
    if not outcome.hub.clean:
        yield f"hub          {_ending(outcome.hub)}"
    for each in unpushable:
        yield f"not pushed   {each}"
    yield from _verdict(outcome)


def _verdict(outcome: Outcome) -> Iterator[str]:
    comparison = outcome.comparison
    if comparison is None:
        yield "stopped before the end: nothing was compared"
        return
    if not comparison.answered:
        yield "FAILED: the hub does not answer"
    elif not comparison.is_equal:
        for difference in comparison.differences[:_NAMED]:
            yield f"different    {difference}"
        if len(comparison.differences) > _NAMED:
            yield f"different    and {len(comparison.differences) - _NAMED} more"
        yield "FAILED: the hub does not hold what the store says"
    elif outcome.passed:
        yield "passed: the hub holds exactly what the store says"
    if outcome.refused is not None:
        yield f"FAILED: {outcome.refused}"
    if not outcome.daemon.clean or not outcome.hub.clean:
        yield "FAILED: a process did not end cleanly"


def _lags(lags: Sequence[float]) -> str:
    if not lags:
        return "no change was seen to arrive"
    p50, p95, longest = percentile(lags, 0.5), percentile(lags, 0.95), max(lags)
    return f"p50 {p50:.3f} s, p95 {p95:.3f} s, longest {longest:.3f} s, over {len(lags)} changes of the OICP status"


def _requests(requests: Requests | None) -> str:
    if requests is None:
        return "the hub does not answer"
    actions = ", ".join(f"{count} {action}" for action, count in sorted(requests.by_action.items())) or "none"
    return f"{actions}; {requests.refused} not performed or not answered, {requests.overlaps} overlapping"


def _ending(ending: Ending) -> str:
    if ending.forced:
        return f"did not end within {ending.seconds:.1f} s of SIGTERM and was killed"
    return f"ended with {ending.code} after {ending.seconds:.1f} s"

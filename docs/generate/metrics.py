"""Documents every metric that the daemon really exports, with its labels and their values."""

from enum import StrEnum
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from docs.generate import markdown
from docs.generate.markdown import UndescribedError, code, described
from docs.generate.meanings import meanings
from oicp_adapter.daemon.metrics import Metrics, WindowState
from oicp_adapter.domain.statuses import OicpStatus, TemporaryStatus
from oicp_adapter.settings import PushMode
from oicp_adapter.sync.answers import Reason
from oicp_adapter.sync.model import Action, LaneState, Rejection, WindowEdge

OPERATOR: Final = "DE*ABC"

_SUFFIXES: Final = {"counter": "_total", "info": "_info"}
_OF_HISTOGRAMS: Final = {"le"}
_INTRO: Final = """\
`GET /metrics` on `monitoring.host` and `monitoring.port`. Each series of a known label value is there from the start,
so a rate never begins with a gap. An EVSE ID is never a label. Rules, alerts and a dashboard stand in
[`deploy/monitoring`](../../deploy/monitoring/README.md)."""

_LABELS: Final[dict[str, tuple[str, type[StrEnum] | None]]] = {
    "operator": ("The OperatorID of the lane, as the settings spell it; empty for rows that no lane serves.", None),
    "status": ("The OICP status that the hub acknowledged.", OicpStatus),
    "state": ("Of `lane_state`, what the lane is doing; of `windows`, where the window stands.", None),
    "kind": ("The kind of the temporary status.", TemporaryStatus),
    "action": ("ActionType of the request.", Action),
    "reason": ("Why a request was not acknowledged, or a row never leaves the house: see [reasons](reasons.md).", None),
    "code": ("Hubject's status code: see [reasons](reasons.md#status-codes-of-the-hub).", None),
    "mode": ("What becomes of the requests that a lane plans.", PushMode),
    "edge": ("The boundary of the window.", WindowEdge),
    "version": ("The version that runs.", None),
}
"""What each label says, and the enumeration of its values where it has one of its own."""

VALUES: Final[dict[tuple[str, str], type[StrEnum]]] = {
    ("oicp_adapter_lane_state", "state"): LaneState,
    ("oicp_adapter_windows", "state"): WindowState,
    ("oicp_adapter_push_failures", "reason"): Reason,
    ("oicp_adapter_rejected_evses", "reason"): Rejection,
}
"""The enumerations of labels whose values depend on the metric."""


def page() -> str:
    """Return the whole page."""
    return page_of(Metrics([OPERATOR]).registry)


def page_of(registry: CollectorRegistry) -> str:
    """Return the page for the metrics of a registry."""
    families = sorted(registry.collect(), key=lambda family: family.name)
    used = sorted({label for family in families for label in _labels(family, registry)})
    if unknown := [label for label in used if label not in _LABELS]:
        raise UndescribedError(f"label {unknown[0]}")
    blocks = [_INTRO, "## Metrics"]
    rows = [
        [code(name_of(family)), family.type, ", ".join(map(code, _labels(family, registry))), _help(family)]
        for family in families
    ]
    blocks.append(markdown.table(["metric", "type", "labels", "meaning"], rows))
    blocks += ["## Labels", markdown.table(["label", "meaning"], [[code(each), _LABELS[each][0]] for each in used])]
    blocks += _values(used)
    return markdown.page("Metrics", *blocks)


def name_of(family: Metric) -> str:
    """Return the name of a family as queries use it; a histogram has `_bucket`, `_sum` and `_count` after it."""
    return f"{family.name}{_SUFFIXES.get(family.type, '')}"


def _values(used: list[str]) -> list[str]:
    own = {f"`{label}`": kind for label in used if (kind := _LABELS[label][1]) is not None}
    states = {f"`{label}` of `{name}`": kind for (name, label), kind in VALUES.items() if label == "state"}
    blocks = []
    for heading, kind in (own | states).items():
        rows = [[code(str(member.value)), meaning] for member, meaning in meanings(kind).items()]
        blocks += [f"### {heading}", markdown.table(["value", "meaning"], rows)]
    return blocks


def _help(family: Metric) -> str:
    buckets = sorted({float(sample.labels["le"]) for sample in family.samples if "le" in sample.labels})
    shown = f" Buckets: {', '.join(f'{bound:.10g}' for bound in buckets[:-1])}." if buckets else ""
    return described(f"metric {family.name}", family.documentation) + shown


def _labels(family: Metric, registry: CollectorRegistry) -> list[str]:
    """Return the labels of a family in their order, also while it has no series yet."""
    seen = [label for sample in family.samples for label in sample.labels if label not in _OF_HISTOGRAMS]
    return list(dict.fromkeys(seen)) or list(getattr(_collector(family, registry), "_labelnames", ()))


def _collector(family: Metric, registry: CollectorRegistry) -> Collector | None:
    return registry._names_to_collectors.get(family.name)  # noqa: SLF001 - the library has no other way to ask

"""
Traces each push, from the oldest change that it carries to its acknowledgement, with OpenTelemetry.

1. Nothing is traced unless the environment names a collector, by OpenTelemetry's own variables, and the extra
   `tracing` is installed.
2. The spans of a push are made when it is recorded, out of moments noted on the way: an error between two of them
   leaves no span open, and a lane that has nothing to push makes none.
3. A collector that is away costs spans and nothing else.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import urlsplit

import structlog
from opentelemetry.trace import (
    Link,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    Tracer,
    format_span_id,
    format_trace_id,
    set_span_in_context,
)
from opentelemetry.util.types import Attributes

from oicp_adapter import __version__
from oicp_adapter.domain.errors import foreign_text
from oicp_adapter.sync.answers import Answer, Effect, Verdict
from oicp_adapter.sync.model import CHANGES, Intent, Work

EVENTS: Final = 100
"""Changes of a push that are named in its trace; the library keeps 128 events of a span."""

FLUSH_WITHIN: Final = 2.0
"""Seconds that a collector may take at the end for the last spans."""

_ADDRESSES: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_SPOKEN: Final = "http/protobuf"
_DETAIL: Final = 200


@dataclass(frozen=True, slots=True)
class Tracing:
    """
    Where the spans of this process go.

    Attributes:
        tracer: None: nowhere.
        close: Sends what is left, and ends.
    """

    tracer: Tracer | None = None
    close: Callable[[], None] = lambda: None


def configure_tracing(environ: Mapping[str, str]) -> Tracing:
    """
    Send spans to the collector that the environment names; what keeps us from it is a log line, never an end.

    Args:
        environ: `OTEL_EXPORTER_OTLP_ENDPOINT` and the other variables of OpenTelemetry's SDK and its OTLP exporter; the
            library reads them from the process itself.
    """
    said = {name: environ.get(name, "").lower() for name in ("OTEL_SDK_DISABLED", "OTEL_TRACES_EXPORTER")}
    off = said["OTEL_SDK_DISABLED"] == "true" or said["OTEL_TRACES_EXPORTER"] == "none"
    address = _first(environ, _ADDRESSES)
    if off or address is None:
        return Tracing()
    log = structlog.get_logger()
    protocol = _first(environ, _PROTOCOLS) or _SPOKEN
    if protocol != _SPOKEN:
        log.warning("tracing.off", reason=f"OTLP over {foreign_text(protocol)} is not spoken", cure=f"use {_SPOKEN}")
        return Tracing()
    try:
        collector = _host_of(address)
        tracing = _connected(environ)
    except ImportError as error:
        log.warning("tracing.off", reason=foreign_text(error), cure="pip install 'oicp-adapter[tracing]'")
        return Tracing()
    except Exception as error:  # noqa: BLE001 - wrong variables of a library must not keep statuses from the hub
        log.warning("tracing.off", reason=foreign_text(error), cure="correct the OTEL_ variables of the environment")
        return Tracing()
    log.info("tracing.on", collector=collector)
    return tracing


def _connected(environ: Mapping[str, str]) -> Tracing:
    """
    Set the SDK up.

    Raises:
        ImportError: The extra is not installed.
        ValueError: A variable has a value that the SDK refuses.
    """
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415 - of the optional extra
        OTLPSpanExporter,
    )
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 - as above
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 - as above
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415 - as above

    # Its warnings of each attempt differ in their seconds, so that no filter could count them; others show a header.
    logging.getLogger("opentelemetry").setLevel(logging.ERROR)
    named_by_user = environ.get("OTEL_SERVICE_NAME") or "service.name=" in environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    named = {} if named_by_user else {"service.name": "oicp-adapter"}
    resource = Resource.create({**named, "service.version": __version__})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))

    def close() -> None:
        ending = threading.Thread(target=provider.shutdown, name="last spans", daemon=True)
        ending.start()
        ending.join(FLUSH_WITHIN)

    return Tracing(provider.get_tracer("oicp_adapter", __version__), close)


def _host_of(address: str) -> str:
    """
    Return the host of a collector's address.

    Raises:
        ValueError: It is no http or https URL.
    """
    url = urlsplit(address)
    if url.scheme not in {"http", "https"} or not url.hostname or url.port == 0:
        raise ValueError("the collector's address is no http:// or https:// URL with a host")
    return url.hostname


def _first(environ: Mapping[str, str], names: Sequence[str]) -> str | None:
    return next((environ[name] for name in names if environ.get(name)), None)


class PushTracer:
    """Makes the spans of one lane's pushes; for the one thread of the lane."""

    def __init__(self, operator_id: str, tracer: Tracer | None) -> None:
        self._operator = operator_id
        self._tracer = tracer
        self._failed: SpanContext | None = None
        self._looked_at = self._sent_at = self._answered_at = time.time_ns()

    def looks(self) -> None:
        """Note that the lane looks at the store; the last look before a push begins its transaction."""
        self._looked_at = self._sent_at = self._answered_at = time.time_ns()

    def sends(self) -> None:
        """Note that the intent is committed."""
        self._sent_at = self._answered_at = time.time_ns()

    def answered(self) -> None:
        """Note that the exchange with the hub is over."""
        self._answered_at = time.time_ns()

    def recorded(
        self, intent: Intent, work: Sequence[Work], *, answer: Answer, verdict: Verdict, size: int
    ) -> Mapping[str, str]:
        """
        Make the spans of a push whose outcome is in the books.

        Returns:
            The fields that tie log lines to the trace; none when it is not recorded.
        """
        if self._tracer is None:
            return {}
        changes = [item for item in work if item.reason in CHANGES]
        began = min([self._looked_at, *(_ns(item.since) for item in changes)])
        root = self._tracer.start_span(
            f"push {intent.action}",
            start_time=began,
            links=[Link(self._failed, {"oicp.link": "earlier failure of the lane"})] if self._failed else (),
            attributes=_present({
                "oicp.operator_id": self._operator,
                "oicp.action": intent.action,
                "oicp.attempt": intent.attempt,
                "oicp.records": size,
                "oicp.changes": len(changes),
                "oicp.effect": verdict.effect,
                "oicp.status_code": verdict.code,
                "oicp.process_id": answer.process_id,
            }),
        )  # fmt: skip
        for item in changes[:EVENTS]:
            named = {"oicp.evse_id": item.record.evse_id, "oicp.evse_status": item.record.status, "reason": item.reason}
            root.add_event("change", named, timestamp=_ns(item.since))
        self._steps(self._tracer, root, began, answer)
        self._judge(root, verdict)
        root.end()
        context = root.get_span_context()
        sampled = context.trace_flags.sampled
        self._failed = context if sampled and verdict.effect is not Effect.APPLIED else None
        if not sampled:
            return {}
        return {"trace_id": format_trace_id(context.trace_id), "span_id": format_span_id(context.span_id)}

    def _steps(self, tracer: Tracer, root: Span, began: int, answer: Answer) -> None:
        """Make the spans of what was done one after the other."""
        sent = _present({
            "http.request.method": "POST",
            "http.response.status_code": answer.http_status,
            "error.type": answer.fault,
            "oicp.process_id": answer.process_id,
        })  # fmt: skip
        steps: Sequence[tuple[str, int, int, SpanKind, Attributes]] = (
            ("wait", began, self._looked_at, SpanKind.INTERNAL, None),
            ("commit intent", self._looked_at, self._sent_at, SpanKind.INTERNAL, None),
            ("POST", self._sent_at, self._answered_at, SpanKind.CLIENT, sent),
            ("record outcome", self._answered_at, time.time_ns(), SpanKind.INTERNAL, None),
        )
        parent = set_span_in_context(root)
        for name, start, end, kind, attributes in steps:
            span = tracer.start_span(name, parent, kind=kind, attributes=attributes, start_time=start)
            span.end(end)

    @staticmethod
    def _judge(root: Span, verdict: Verdict) -> None:
        if verdict.effect is not Effect.APPLIED:
            root.set_attribute("error.type", str(verdict.reason))
            root.set_status(Status(StatusCode.ERROR, foreign_text(verdict.detail or verdict.reason, _DETAIL)))


def _ns(instant: datetime) -> int:
    return int(instant.timestamp() * 1e9)


def _present(attributes: Mapping[str, str | int | None]) -> Attributes:
    return {name: value for name, value in attributes.items() if value is not None}

"""The one place where the parts are put together."""

import os
import random
import secrets
import socket
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import structlog
from opentelemetry.trace import Tracer
from pydantic import SecretStr

from oicp_adapter.control.lanes import configured_lanes
from oicp_adapter.daemon.configuration import Configuration
from oicp_adapter.daemon.crew import Crew
from oicp_adapter.daemon.daemon import Daemon
from oicp_adapter.daemon.lane import LaneIdentity, LaneResources
from oicp_adapter.daemon.lane_thread import LaneThread
from oicp_adapter.daemon.metrics import Metrics
from oicp_adapter.daemon.service_manager import ServiceManager
from oicp_adapter.daemon.sole import SoleStores
from oicp_adapter.daemon.survey import Survey
from oicp_adapter.daemon.telemetry import LaneTelemetry
from oicp_adapter.daemon.tracing import configure_tracing
from oicp_adapter.daemon.witness import MemoryWitness, WitnessFile
from oicp_adapter.daemon.worker import LaneWorker
from oicp_adapter.logs import RepeatFilter, configure_logging
from oicp_adapter.oicp.client import HubClient, boottime
from oicp_adapter.oicp.client_identity import ClientIdentity
from oicp_adapter.settings import OperatorSettings, PushMode, Settings
from oicp_adapter.store.configured import configured_store
from oicp_adapter.store.engine import Store, system_clock
from oicp_adapter.store.full_load import full_load_records
from oicp_adapter.store.lanes import LaneStore
from oicp_adapter.store.scope import LaneScope


def build_daemon(
    settings: Settings,
    *,
    read: Callable[[], Settings],
    examine: Callable[[Settings], None],
    files: Callable[[Settings], Sequence[Path]],
    repeats: RepeatFilter,
) -> Daemon:
    """
    Put the daemon together: one worker, one client and one store connection a lane.

    Args:
        settings: Just read.
        read: Reads them again.
        examine: Raises AdapterError when a daemon with such settings would not work.
        files: Returns the files that settings come from, which are watched.
        repeats: The log's filter of repeated failures, whose counts are told from time to time.

    Raises:
        ConfigurationError: No operator is configured, or the monitoring address cannot be had.
        CertificateError: A certificate or key does not load.
        LaneHeldElsewhereError: Another daemon uses the SQLite store.
    """
    metrics = Metrics()
    tracing = configure_tracing(os.environ)
    process = _Process(metrics, tracing.tracer, SoleStores(), _counted_on(system_clock(), boottime()))
    return Daemon(
        Configuration(settings, read=read, examine=examine, files=files, metrics=metrics),
        build=partial(_crew, process=process),
        in_use=lambda taken_up: configure_logging(taken_up.log, repeats=repeats),
        metrics=metrics,
        manager=ServiceManager(os.environ),
        housekeeping=partial(_tell_repeats, repeats),
        closing=tracing.close,
    )


@dataclass(frozen=True, slots=True)
class _Process:
    """
    What stays when settings change.

    Attributes:
        tracer: None: nothing is traced.
        counted: What the time should be by the clock that this host started the process with.
    """

    metrics: Metrics
    tracer: Tracer | None
    stores: SoleStores
    counted: Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class _Shared:
    """
    What all lanes of one crew have in common.

    Attributes:
        holder: Names this crew in leases; lanes that replace others never pass for them.
        served: The keys of all its lanes.
        witnesses: None: the store is a server's, which other processes use too.
    """

    process: _Process
    store: Store
    holder: str
    served: frozenset[str]
    witnesses: WitnessFile | None


def _crew(settings: Settings, *, process: _Process) -> Crew:
    scopes = configured_lanes(settings)
    with ExitStack() as undo:
        store = configured_store(settings)
        witnesses = undo.enter_context(process.stores.held(Path(store.path))) if store.path is not None else None
        undo.callback(store.close)  # before others may have the file
        shared = _Shared(
            process=process,
            store=store,
            holder=f"{socket.gethostname()}/{os.getpid()}/{secrets.token_hex(2)}",
            served=frozenset(scope.lane for scope in scopes.values()),
            witnesses=witnesses,
        )
        working = settings.operators if settings.push.mode is not PushMode.OFF else ()
        return Crew(
            [_lane(settings, operator, scopes[operator.id], shared) for operator in working],
            operators=list(scopes),
            mode=settings.push.mode,
            survey=Survey(store, scopes, process.metrics, policy=settings.policy()),
            request_timeout=settings.hub.request_timeout,
            clock=boottime,
            closing=undo.pop_all().close,
        )


def _lane(settings: Settings, operator: OperatorSettings, scope: LaneScope, shared: _Shared) -> LaneThread:
    password = _reveal(operator.private_key_password)
    certificate = ClientIdentity(
        certificate=operator.certificate,
        private_key=operator.private_key,
        password=password.encode() if password is not None else None,
        ca_file=settings.hub.ca_file,
        operator=operator.canonical,
    )
    client = HubClient(
        base_url=settings.hub.url, identity=certificate, request_timeout=settings.hub.request_timeout, clock=boottime
    )
    mapping = settings.status_mapping()
    lane_store = LaneStore(shared.store, scope, mapping, hub_url=settings.hub.url)
    worker = LaneWorker(
        LaneIdentity(
            operator_id=operator.id,
            operator_name=operator.name,
            operator_keys=operator.operator_keys,
            lane=scope.lane,
            served=shared.served,
            holder=shared.holder,
            sole=shared.witnesses is not None,
        ),
        LaneResources(
            store=lane_store,
            client=client,
            telemetry=LaneTelemetry(operator.id, shared.process.metrics, shared.process.tracer),
            full_load_records=partial(full_load_records, shared.store, scope.lane),
            draw=random.SystemRandom().random,
            clock=boottime,
            counted=shared.process.counted,
            witness=shared.witnesses.of(scope.lane) if shared.witnesses is not None else MemoryWitness(),
        ),
        policy=settings.policy(),
        mapping=mapping,
        sweep_every=settings.store.sweep_every,
        shadow=settings.push.mode is PushMode.SHADOW,
    )
    return LaneThread(
        operator.id,
        operator_keys=operator.operator_keys,
        worker=worker,
        store=lane_store,
        client=client,
        certificate=certificate,
        metrics=shared.process.metrics,
        clock=boottime,
    )


def _counted_on(started: datetime, at: float) -> Callable[[], datetime]:
    """Return a clock that counts on from an instant by seconds alone, whatever is done to the host's time."""
    return lambda: started + timedelta(seconds=boottime() - at)


def _tell_repeats(repeats: RepeatFilter) -> None:
    """Log how often each failure came again."""
    log = structlog.get_logger()
    for summary in repeats.summaries():
        log.info("log.repeated", **summary)


def _reveal(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret is not None else None

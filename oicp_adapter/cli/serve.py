"""Serves the control API and the operator page until told to stop."""

import os
import signal
import threading
from contextlib import suppress
from functools import partial
from types import FrameType
from typing import Annotated, Final

import typer

from oicp_adapter.cli import invocation
from oicp_adapter.cli.output import note, print_json
from oicp_adapter.control.desk import desk_of
from oicp_adapter.control.lanes import configured_lanes
from oicp_adapter.control_server import ControlServer
from oicp_adapter.daemon.service_manager import ServiceManager
from oicp_adapter.logs import configure_logging
from oicp_adapter.store.configured import configured_store

_BEHIND_THE_DAEMON: Final = 5
"""Steps of niceness: where both want the processor, pushes go first."""


def serve(
    context: typer.Context,
    *,
    host: Annotated[str | None, typer.Option(help="Instead of control.host.")] = None,
    port: Annotated[int | None, typer.Option(help="Instead of control.port; 0: a free one.")] = None,
    announce: Annotated[bool, typer.Option("--announce", help="Print the address as JSON.")] = False,
) -> None:
    """
    Serve the control API and the operator page until told to stop (SIGTERM, SIGINT).

    A certificate that was replaced is taken up, and looked for on SIGHUP, too; changed settings want a restart.
    """
    stop = threading.Event()

    def leave(number: int, _: FrameType | None) -> None:
        note(f"oicp-adapter: {signal.Signals(number).name}: the control server stops")
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, leave)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # settings and certificate are about to be read anyhow
    given = {"control.host": host, "control.port": port}
    overrides = {key: value for key, value in given.items() if value is not None}
    read = partial(invocation(context).settings, overrides)
    settings = read()
    with suppress(PermissionError):  # the unit of systemd sets it, and forbids the call
        os.nice(_BEHIND_THE_DAEMON)
    configure_logging(settings.log)
    configured_lanes(settings)  # an answer about no lane would look as if all were well
    server = ControlServer(desk_of(settings, configured_store(settings)), read=read, manager=ServiceManager(os.environ))
    signal.signal(signal.SIGHUP, lambda *_: server.reload())
    if announce:
        print_json({"control": server.url, "pid": os.getpid()})
    note(f"oicp-adapter: the operator page is at {server.url}/, the API at {server.url}/v2/")
    server.run(stop)

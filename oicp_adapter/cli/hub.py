"""Runs the Hubject simulator alone, over mutual TLS, until it is told to stop."""

import os
import signal
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Final

import typer

from oicp_adapter.cli import LONGEST, operator_id_argument
from oicp_adapter.cli.output import note, print_json
from oicp_adapter.cli.stopping import stop_on
from oicp_adapter.domain.errors import WrongArgumentError, foreign_text
from oicp_adapter.domain.identifiers import operator_key
from oicp_adapter.logs import configure_logging
from oicp_adapter.oicp.development_pki import DEFAULT_HUB_NAMES, DevelopmentPki, create_development_pki
from oicp_adapter.settings import LogSettings
from oicp_adapter.simulator.hub import HubOptions
from oicp_adapter.simulator.server import SimulatorConfig, SimulatorServer

DEFAULT_OPERATOR: Final = "DE*ABC"
DEFAULT_DIRECTORY: Final = Path("hub-certs")
LOOPBACK: Final = "127.0.0.1"
VALID_FOR: Final = timedelta(days=90)
"""Life time of the development certificates that are made where there are none."""


def hub(  # noqa: PLR0917 - every one is an option on the command line
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the hub; 0: a free one.")] = 0,
    admin_port: Annotated[int, typer.Option(min=0, max=65535, help="Port for faults, journal and state.")] = 0,
    directory: Annotated[
        Path, typer.Option("--dir", help="Development certificates; made if absent.")
    ] = DEFAULT_DIRECTORY,
    host: Annotated[
        str, typer.Option(help="Address of both ports; faults and journal ask for no password.")
    ] = LOOPBACK,
    hub_name: Annotated[
        list[str] | None, typer.Option(help="DNS name or address of the hub, the first for its URL; may be repeated.")
    ] = None,
    operator: Annotated[list[str] | None, typer.Option(help="OperatorID of a partner; may be repeated.")] = None,
    sub_operator: Annotated[
        list[str] | None, typer.Option(metavar="OPERATOR=SUB", help="A partner's sub operator; may be repeated.")
    ] = None,
    delay: Annotated[float, typer.Option(min=0, max=LONGEST, help="Seconds from a push to its answer.")] = 0.0,
    rate_limit: Annotated[int, typer.Option(min=0, help="Requests a minute of one operator.")] = 2000,
    seconds: Annotated[float | None, typer.Option(min=0, max=LONGEST, help="Stop by itself after this long.")] = None,
    *,
    lenient: Annotated[bool, typer.Option("--lenient", help="insert and update do either.")] = False,
) -> None:
    """Run a simulated Hubject over mutual TLS; prints its addresses as one line of JSON."""
    configure_logging(LogSettings())
    partners = _partners(operator or [DEFAULT_OPERATOR], sub_operator or [])
    names = hub_name or DEFAULT_HUB_NAMES
    pki = create_development_pki(
        directory.absolute(),
        operators=tuple(partners),
        hub_names=names,
        valid_for=VALID_FOR,
        now=datetime.now(UTC),
    )
    config = SimulatorConfig(
        certificate=pki.hub.certificate,
        private_key=pki.hub.private_key,
        client_ca=pki.client_ca.certificate,
        options=HubOptions(strict=not lenient, partners=partners, rate_limit=rate_limit),
        delay=timedelta(seconds=delay),
        port=port,
        admin_port=admin_port,
        host=host,
        name=names[0],
    )
    with stop_on(signal.SIGTERM, signal.SIGINT) as stop, SimulatorServer(config) as server:
        _announce(server, pki, lenient=lenient)
        stop.wait(seconds)
    note("hub: stopped")


def _announce(server: SimulatorServer, pki: DevelopmentPki, *, lenient: bool) -> None:
    clients = {
        name: {"certificate": pair.certificate, "private_key": pair.private_key} for name, pair in pki.clients.items()
    }
    print_json(
        {
            "url": server.url,
            "admin_url": server.admin_url,
            "ca_file": pki.hub_ca.certificate,
            "pid": os.getpid(),
            "operators": clients,
        }
    )
    sys.stdout.flush()  # whoever started it waits for this line on a pipe
    manner = "lenient" if lenient else "strict"
    note(f"hub: {manner}, listening on {server.url} for {', '.join(clients)}; faults and journal at {server.admin_url}")


def _partners(operators: Sequence[str], sub_operators: Sequence[str]) -> dict[str, frozenset[str]]:
    """
    Return each partner's sub operators.

    Raises:
        WrongArgumentError: An OperatorID is malformed, or a sub operator names no partner.
    """
    partners: dict[str, frozenset[str]] = {operator_id_argument(text, "--operator"): frozenset() for text in operators}
    for text in sub_operators:
        partner, _, sub_operator = text.partition("=")
        known = [name for name in partners if operator_key(name) == operator_key(partner)]
        if not known:
            raise WrongArgumentError(
                f"--sub-operator {foreign_text(text, 60)!r} belongs to no partner",
                cure="write OPERATOR=SUB, with OPERATOR an --operator",
            )
        partners[known[0]] |= {operator_id_argument(sub_operator, "--sub-operator")}
    return partners

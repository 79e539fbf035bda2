"""
Finds what stands in the way of a working daemon before it starts, each with its cause and cure.

1. An error keeps `run` from starting; one of the handshake with the hub only from pushing. A warning may be meant.
2. Nothing here calls the hub's API: Hubject forbids calls that only look whether it is there.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from oicp_adapter.checks.certificates import certificate_findings
from oicp_adapter.checks.finding import Finding, Level
from oicp_adapter.checks.handshake import handshake_finding
from oicp_adapter.checks.store import store_findings
from oicp_adapter.settings import Settings

__all__ = ["Finding", "Level", "run_checks"]

HUB_PATH: Final = "/api/oicp"


def run_checks(
    settings: Settings, *, online: bool, fleet: bool = True, now: datetime | None = None
) -> Iterator[Finding]:
    """
    Look at everything that the daemon needs, one finding after the other as it is made.

    Args:
        settings: Already loaded.
        online: Also shake hands with the hub under each operator's certificate.
        fleet: Also read all rows of the store, 1.5 s for 100,000 EVSEs; what is found there is never an error.
        now: Aware, UTC; None: the host's clock.
    """
    instant = now or datetime.now(UTC)
    yield _hub_finding(settings)
    if (danger := settings.control.danger()) is not None:
        yield Finding(Level.WARNING, "control", f"`serve` would be refused: {danger.what}", danger.cure)
    if not settings.operators:
        yield Finding(Level.ERROR, "settings", "no operator is configured", "add [[operators]], one for each account")
    for operator in settings.operators:
        usable = False
        for finding in certificate_findings(operator, ca_file=settings.hub.ca_file, now=instant):
            usable |= finding.level is not Level.ERROR
            yield finding
        if online and usable:
            yield handshake_finding(settings.hub, operator)
    yield from store_findings(settings, fleet=fleet)


def _hub_finding(settings: Settings) -> Finding:
    url = settings.hub.url
    if url.endswith(HUB_PATH):
        return Finding(Level.OK, "hub", f"{url} is the base of all calls")
    return Finding(
        Level.WARNING,
        "hub",
        f"hub.url {url} does not end in {HUB_PATH}",
        f"Hubject answers 404 to every call without it: use {url}{HUB_PATH} unless this hub is another",
    )

"""
Finds what stands in the way of a working daemon before it starts, each with its cause and cure.

1. An error keeps `run` from starting; one of the way to the hub only from pushing. A warning may be meant.
2. Nothing here calls the hub's API, and nothing changes the hub or the store: `visit` says what is sent instead.
3. Each check is one function that looks at one thing; what its findings are called stands in `finding.Check`.
"""

import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Final

from oicp_adapter.checks.books import last_acknowledged
from oicp_adapter.checks.certificates import certificate_findings
from oicp_adapter.checks.endings import control_certificate_lasts, trusted_authorities_last
from oicp_adapter.checks.finding import Check, Finding, Level
from oicp_adapter.checks.hub import hub_findings
from oicp_adapter.checks.store import store_findings
from oicp_adapter.checks.visit import visit_hub
from oicp_adapter.domain.errors import CertificateError
from oicp_adapter.settings import OperatorSettings, Settings

__all__ = ["Check", "Finding", "Level", "run_checks"]

HUB_PATH: Final = "/api/oicp"


def run_checks(
    settings: Settings,
    *,
    online: bool,
    fleet: bool = True,
    now: datetime | None = None,
    environ: Mapping[str, str] | None = None,
) -> Iterator[Finding]:
    """
    Look at everything that the daemon needs, one finding after the other as it is made.

    Args:
        settings: Already loaded.
        online: Also go to the hub under each operator's certificate; else no connection is made but to the store.
        fleet: Also read all rows of the store, 1.5 s for 100,000 EVSEs; what is found there is never an error.
        now: Aware, UTC, by which certificates and the store's clock are judged; None: the host's clock.
        environ: Asked for a proxy's setting, which is not used; None: this process's.
    """
    instant = now or datetime.now(UTC)
    yield from hub_has_its_path(settings)
    yield from trusted_authorities_last(settings.hub.ca_file, instant)
    yield from control_is_not_exposed(settings)
    yield from control_certificate_lasts(settings.control, instant)
    yield from operators_are_configured(settings)
    acknowledged = last_acknowledged(settings) if online else {}
    for operator in settings.operators:
        usable = False
        alone = len(settings.operators) == 1
        for finding in certificate_findings(operator, ca_file=settings.hub.ca_file, now=instant, alone=alone):
            # What others may read, and what only the hub can judge, does not keep us from going there.
            usable |= finding.check is Check.VALIDITY and finding.level is not Level.ERROR
            yield finding
        if online and usable:
            asked = os.environ if environ is None else environ
            yield from _at_the_hub(settings, operator, asked, acknowledged.get(operator.id))
    yield from store_findings(settings, fleet=fleet, now=now)


def hub_has_its_path(settings: Settings) -> Iterator[Finding]:
    """Does hub.url have the path that Hubject's base has?"""
    url = settings.hub.url
    if url.endswith(HUB_PATH):
        yield Finding(Check.URL, Level.OK, "hub", f"{url} is the base of all calls")
        return
    yield Finding(
        Check.URL,
        Level.WARNING,
        "hub",
        f"hub.url {url} does not end in {HUB_PATH}",
        f"Hubject answers 404 to every call without it: use {url}{HUB_PATH} unless this hub is another",
    )


def control_is_not_exposed(settings: Settings) -> Iterator[Finding]:
    """Would `serve` show tokens to the network?"""
    if (danger := settings.control.danger()) is not None:
        what = f"`serve` would be refused: {danger.what}"
        yield Finding(Check.CONTROL, Level.WARNING, "control", what, danger.cure)


def operators_are_configured(settings: Settings) -> Iterator[Finding]:
    """Is there anybody to push for?"""
    if not settings.operators:
        cure = "add [[operators]], one for each account"
        yield Finding(Check.OPERATORS, Level.ERROR, "settings", "no operator is configured", cure)


def _at_the_hub(
    settings: Settings, operator: OperatorSettings, environ: Mapping[str, str], acknowledged_at: datetime | None
) -> Iterator[Finding]:
    try:
        visit = visit_hub(settings.hub, operator, environ=environ, acknowledged_at=acknowledged_at)
    except CertificateError as exc:  # replaced since it was looked at
        yield Finding.from_error(Check.PAIR, operator.id, exc)
        return
    yield from hub_findings(visit)

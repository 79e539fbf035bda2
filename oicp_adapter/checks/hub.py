"""
Judges a visit to the hub: each check looks at one thing that can stand between a lane and its hub.

The daemon starts whatever is found here, since it may pass.
"""

import http.client
import ssl
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Final

from oicp_adapter.checks.admission import address_admitted
from oicp_adapter.checks.finding import Check, Finding, Level
from oicp_adapter.checks.hub_certificate import hub_certificate
from oicp_adapter.checks.visit import Stage, Visit, offset
from oicp_adapter.domain.errors import foreign_text
from oicp_adapter.domain.exit_codes import ExitCode
from oicp_adapter.sync.classify import refuses_certificate

SKEW: Final = timedelta(seconds=5)
"""Clocks that differ by less are not worth a word: the `Date` header has no fraction, and an answer takes its time."""

_OTHER_ENVIRONMENT: Final = (
    "QA and production have authorities of their own: let hub.url and certificate be of one environment, and put the"
    " whole chain into the certificate's file"
)
_REFUSALS: Final[Sequence[tuple[str, str, str]]] = (
    ("CERTIFICATE_EXPIRED", "says that the client certificate has expired", "have a new one signed"),
    ("CERTIFICATE_REVOKED", "says that the client certificate is revoked", "ask Hubject, and have a new one signed"),
    (
        "UNKNOWN_CA",
        "does not know who signed the client certificate",
        _OTHER_ENVIRONMENT,
    ),
    ("CERTIFICATE_REQUIRED", "got no client certificate", "let operators.certificate begin with it"),
    (
        "UNSUPPORTED_CERTIFICATE",
        "does not take the certificate for a client's",
        "have one signed that is meant for TLS clients (extended key usage clientAuth)",
    ),
    ("CERTIFICATE", "refuses the client certificate", "put its whole chain into the file, and ask Hubject"),
    ("ACCESS_DENIED", "refuses the client certificate", "ask Hubject"),
)


def hub_findings(visit: Visit) -> Iterator[Finding]:
    """Let each check look at the visit, in the order of the way."""
    for check in HUB_CHECKS:
        yield from check(visit)


def name_looked_up(visit: Visit) -> Iterator[Finding]:
    """Is the hub's name known?"""
    if visit.stage is Stage.LOOK_UP:
        what = f"the name of {visit.where} cannot be looked up{_said(visit)}"
        cure = f"correct hub.url, or this machine's name service{_no_proxy(visit)}"
        yield _unavailable(Check.NAME, visit, what, cure)


def connection_made(visit: Visit) -> Iterator[Finding]:
    """Does somebody listen there, and may this machine reach it?"""
    if visit.stage is not Stage.CONNECT:
        return
    where = f"{visit.where} ({', '.join(visit.addresses)})"
    if isinstance(visit.error, TimeoutError):
        what, cure = (
            f"{where} does not answer: a firewall drops what is sent there",
            f"let the firewall pass TCP to {visit.where}, and ask Hubject to let this machine's address in",
        )
    elif isinstance(visit.error, ConnectionRefusedError):
        what, cure = f"{where} refuses the connection", "correct hub.url, or start the hub"
    else:
        what = f"{where} cannot be reached{_said(visit)}"
        cure = "correct the network of this machine, or let the firewall pass it"
    yield _unavailable(Check.CONNECTION, visit, what, f"{cure}{_no_proxy(visit)}")


def handshake_finished(visit: Visit) -> Iterator[Finding]:
    """Does it speak TLS to the end of the handshake?"""
    error = visit.error
    if visit.stage is not Stage.HANDSHAKE or isinstance(error, ssl.SSLCertVerificationError) or _refusal(visit):
        return
    reason = getattr(error, "reason", None) or ""
    if "PROTOCOL" in reason or "VERSION" in reason:
        what = f"{visit.where} does not speak TLS 1.2 or newer ({foreign_text(reason)})"
        cure = "let hub.url name the TLS port of a hub; TLS 1.2 or newer is needed"
        yield Finding(Check.HANDSHAKE, Level.ERROR, visit.operator.id, what, cure, starts=True)
    elif isinstance(error, TimeoutError):
        what = f"{visit.where} takes the connection and then says nothing to the TLS handshake"
        cure = "let hub.url name the TLS port of a hub; a firewall or a proxy that looks into TLS must let it pass"
        yield _unavailable(Check.HANDSHAKE, visit, what, f"{cure}{_no_proxy(visit)}")
    else:
        what = f"the TLS handshake with {visit.where} broke{_said(visit)}"
        yield _unavailable(Check.HANDSHAKE, visit, what, f"let the firewall pass it; then try again{_no_proxy(visit)}")


def client_certificate_accepted(visit: Visit) -> Iterator[Finding]:
    """Is the client certificate taken, in the handshake or, with TLS 1.3, at the first read?"""
    subject = visit.operator.id
    if (refused := _refusal(visit)) is not None:
        what, cure = refused
        yield Finding(Check.ACCEPTED, Level.ERROR, subject, f"{visit.where} {what}", cure, starts=True)
    elif visit.stage is Stage.FIRST_READ or (
        visit.stage is Stage.ANSWER and not isinstance(visit.error, http.client.HTTPException | TimeoutError)
    ):
        after = "right after the handshake" if visit.stage is Stage.FIRST_READ else "instead of answering a GET"
        yield Finding(
            Check.ACCEPTED,
            Level.WARNING,
            subject,
            f"{visit.where} closed the connection {after}{_said(visit)}",
            "the hub may refuse the client certificate without saying so: ask Hubject if pushes fail",
        )
    elif visit.stage is Stage.DONE and (reply := visit.reply) and refuses_certificate(reply.status, reply.body):
        yield Finding(
            Check.ACCEPTED,
            Level.ERROR,
            subject,
            f"{visit.where} refuses the client certificate, in words of its front proxy (HTTP {reply.status})",
            _OTHER_ENVIRONMENT,
            starts=True,
        )
    elif visit.stage in (Stage.ANSWER, Stage.DONE):
        what = f"{visit.where} accepts the client certificate ({visit.version})"
        yield Finding(Check.ACCEPTED, Level.OK, subject, what)


def no_intermediary(visit: Visit) -> Iterator[Finding]:
    """Is it the hub that answers, which asks for a client certificate, or something before it that opens TLS?"""
    if visit.stage is Stage.DONE and visit.heard.listens and not visit.heard.asks:
        yield Finding(
            Check.INTERMEDIARY,
            Level.WARNING,
            visit.operator.id,
            f"{visit.where} asks for no client certificate, so it is no hub, or a proxy stands before it and opens TLS",
            "let the connection pass the proxy unopened, or correct hub.url; Hubject would answer 017 to every push",
        )


def answer_came(visit: Visit) -> Iterator[Finding]:
    """Is HTTP spoken there?"""
    if visit.stage is not Stage.ANSWER or not isinstance(visit.error, http.client.HTTPException | TimeoutError):
        return
    if isinstance(visit.error, http.client.HTTPException):
        what, cure = f"{visit.where} does not speak HTTP{_said(visit)}", "let hub.url name the TLS port of a hub"
        yield Finding(Check.ADMISSION, Level.ERROR, visit.operator.id, what, cure, starts=True)
    else:
        what = f"{visit.where} takes a GET and does not answer it"
        yield _unavailable(Check.ADMISSION, visit, what, "try again; if it stays so, ask who runs the hub")


def clocks_agree(visit: Visit) -> Iterator[Finding]:
    """Does this machine's clock show the hub's time?"""
    if visit.reply is None or (ahead := offset(visit.reply)) is None:
        return
    if abs(ahead) <= SKEW:
        yield Finding(Check.HUB_CLOCK, Level.OK, visit.operator.id, f"this machine's clock agrees with {visit.where}")
        return
    seconds, way = abs(ahead).total_seconds(), "behind" if ahead > timedelta() else "ahead of"
    yield Finding(
        Check.HUB_CLOCK,
        Level.WARNING,
        visit.operator.id,
        f"this machine's clock is {seconds:.0f} s {way} that of {visit.where}",
        "let NTP set this machine's clock; certificates are judged by it, and with SQLite windows, too",
    )


HUB_CHECKS: Final[Sequence[Callable[[Visit], Iterator[Finding]]]] = (
    name_looked_up,
    connection_made,
    hub_certificate,
    handshake_finished,
    client_certificate_accepted,
    no_intermediary,
    answer_came,
    address_admitted,
    clocks_agree,
)


def _refusal(visit: Visit) -> tuple[str, str] | None:
    """Return what a TLS alert says of our certificate, and the cure; None: there was none."""
    reason = getattr(visit.error, "reason", None) or ""
    if not isinstance(visit.error, ssl.SSLError) or "ALERT" not in reason:
        return None
    for word, what, cure in _REFUSALS:
        if word in reason:
            return f"{what} ({foreign_text(reason)})", cure
    if visit.stage is not Stage.HANDSHAKE:  # once we have finished it, only our certificate is left to fail it
        return f"refuses the client certificate ({foreign_text(reason)})", "ask Hubject"
    return None


def _unavailable(check: Check, visit: Visit, what: str, cure: str) -> Finding:
    return Finding(check, Level.ERROR, visit.operator.id, what, cure, ExitCode.UNAVAILABLE, starts=True)


def _said(visit: Visit) -> str:
    error = visit.error
    if error is None or isinstance(error, UnicodeError):
        return ""
    words = getattr(error, "reason", None) if isinstance(error, ssl.SSLError) else getattr(error, "strerror", None)
    return f" ({foreign_text(words or str(error) or type(error).__name__)})"


def _no_proxy(visit: Visit) -> str:
    if visit.proxy_variable is None:
        return ""
    return f"; {visit.proxy_variable} names a proxy, but the adapter uses none: it needs a way of its own to the hub"

"""
Explains why the certificate that the hub showed was not accepted, which OpenSSL decided, set up as for a push.

Source: OpenSSL, `X509_STORE_CTX_get_error`.
"""

import ssl
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

from cryptography import x509

from oicp_adapter.checks.finding import Check, Finding, Level
from oicp_adapter.checks.visit import Visit
from oicp_adapter.domain.errors import foreign_text
from oicp_adapter.oicp.client_context import system_authorities

_NOT_YET_VALID: Final = 9
_EXPIRED: Final = 10
_SELF_SIGNED: Final = 18
_WRONG_PURPOSE: Final = 26
_OTHER_HOST: Final = (62, 64)

_NAMES: Final = 5
"""Host names of a certificate that are shown."""


def hub_certificate(visit: Visit) -> Iterator[Finding]:
    """Say why the hub's certificate was refused, and which setting cures it."""
    error = visit.error
    if not isinstance(error, ssl.SSLCertVerificationError):
        return
    what, cure = _explained(visit, error.verify_code)
    said = foreign_text(error.verify_message)
    yield Finding(
        Check.HUB_CERTIFICATE, Level.ERROR, visit.operator.id, f"{visit.where} {what} ({said})", cure, starts=True
    )


def _explained(visit: Visit, code: int) -> tuple[str, str]:
    chain = visit.heard.chain
    match code:
        case _ if code in _OTHER_HOST:
            names = _host_names(chain[0]) if chain else ()
            shown = f", it is for {', '.join(names)}" if names else ""
            return (
                f"shows a certificate for another host{shown}",
                "correct hub.url, or the name service of this machine",
            )
        case _ if code == _EXPIRED:
            return _out_of_time(chain, "has expired", late=True)
        case _ if code == _NOT_YET_VALID:
            return _out_of_time(chain, "does not hold yet", late=False)
        case _ if code == _SELF_SIGNED:
            return (
                "shows a self-signed certificate, as Hubject never does",
                "correct hub.url, and let no proxy open TLS; name that certificate as hub.ca_file if the hub is yours",
            )
        case _ if code == _WRONG_PURPOSE:
            return "shows a certificate that is not made for servers", "correct hub.url, or have the hub's renewed"
        case _:
            return _unknown_authority(visit)


def _unknown_authority(visit: Visit) -> tuple[str, str]:
    ca_file, chain = visit.hub.ca_file, visit.heard.chain
    trusted = f"hub.ca_file {ca_file}" if ca_file else "the system's trust store"
    proxy = "; a proxy that opens TLS cannot be used"
    if not chain:
        return (
            f"shows a certificate that {trusted} does not vouch for",
            f"put the authority that signed it into hub.ca_file{proxy}",
        )
    top = chain[-1]
    signer = _shown(top.issuer)
    if ca_file is not None and top.issuer in system_authorities():
        return (
            f"shows a certificate of {signer}, which {trusted} does not hold, but the system's trust store does",
            f"take hub.ca_file out of the settings, or add {signer} to it",
        )
    if len(chain) == 1 and top.issuer != top.subject:
        return (
            f"shows its own certificate alone, and {signer}, which signed it, is not in {trusted}",
            f"let the hub send that intermediate, too; else put it and those above it into hub.ca_file{proxy}",
        )
    beside = ", beside what is there" if ca_file else ""
    return (
        f"shows a certificate of {signer}, an authority that is not in {trusted}",
        f"get that authority's certificate from who runs the hub, and name its file as hub.ca_file{beside}{proxy}",
    )


def _out_of_time(chain: Sequence[x509.Certificate], said: str, *, late: bool) -> tuple[str, str]:
    now = datetime.now(UTC)
    cure = f"check this machine's clock, which says {now:%Y-%m-%d %H:%M} UTC; if it is right, tell who runs the hub"
    for place, each in enumerate(chain):
        instant = each.not_valid_after_utc if late else each.not_valid_before_utc
        if (now > instant) if late else (now < instant):
            which = "a certificate" if place == 0 else f"an authority, {_shown(each.subject)},"
            when = "since" if late else "before"
            return f"shows {which} that {said} ({when} {instant:%Y-%m-%d %H:%M} UTC)", cure
    return f"shows a certificate that {said}, or whose authority", cure


def _host_names(leaf: x509.Certificate) -> Sequence[str]:
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return ()
    kinds = (x509.DNSName, x509.IPAddress)
    return [foreign_text(str(name.value), 60) for name in names if isinstance(name, kinds)][:_NAMES]


def _shown(name: x509.Name) -> str:
    return foreign_text(name.rfc4514_string() or "an authority without a name", 120)

"""
Judges what the front proxy, or the hub itself, answered to the GET that is no call.

1. A page without OICP in it comes from something that stands before the hub; a status code of OICP from the hub.
2. A 403 may also be what the front proxy says to everybody who asks for no call. What the books know of the last
   acknowledged push tells the two apart.
"""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from oicp_adapter.checks.finding import Check, Finding, Level
from oicp_adapter.checks.visit import Reply, Visit
from oicp_adapter.domain.errors import foreign_text
from oicp_adapter.domain.exit_codes import ExitCode
from oicp_adapter.sync.classify import refuses_certificate

_REDIRECTS: Final = range(300, 400)
_TROUBLE: Final = range(500, 600)

CODE_CURES: Final[Mapping[str, str]] = {
    "017": "let operators.id be the OperatorID of the certificate, exactly as spelled there, and the certificate hold",
    "210": "ask Hubject for the contract: the account has no active offer",
    "300": "correct operators.id: the hub knows no such partner; QA and production have accounts of their own",
}
"""What to do about the codes by which the hub refuses an account."""


class _Judgement(NamedTuple):
    level: Level
    what: str
    cure: str = ""
    exit_code: ExitCode = ExitCode.CONFIGURATION


def address_admitted(visit: Visit) -> Iterator[Finding]:
    """Is this machine's address let through to the hub's calls?"""
    reply = visit.reply
    if reply is None or refuses_certificate(reply.status, reply.body):
        return
    level, what, cure, exit_code = _judged(visit, reply)
    text = f"{visit.where} {what} (HTTP {reply.status} to a GET of its base, which is no call)"
    yield Finding(Check.ADMISSION, level, visit.operator.id, text, cure, exit_code, starts=True)


def _judged(visit: Visit, reply: Reply) -> _Judgement:
    code = oicp_code(reply.body)
    if code is not None and code in CODE_CURES:
        return _refused(code, visit.acknowledged_at)
    match reply.status:
        case 403 if code is None:
            found = _forbidden(visit.acknowledged_at)
        case 407:
            found = _Judgement(
                Level.ERROR, "answers with the login of a proxy", "let the connection pass without a proxy"
            )
        case 429:
            what, cure = "says that there were too many requests", "find out who else uses this account"
            found = _Judgement(Level.WARNING, what, cure)
        case status if status in _REDIRECTS:
            target = foreign_text(urlsplit(reply.headers.get("location") or "").netloc or "another place", 100)
            cure = f"correct hub.url if {target} is the hub, for no redirect is followed; portals and proxies answer so"
            found = _Judgement(Level.WARNING, f"sends visitors on to {target}", cure)
        case status if status in _TROUBLE:
            what, cure = "is in trouble, or what stands before it", "try again; if it stays so, ask who runs the hub"
            found = _Judgement(Level.WARNING, what, cure)
        case _:
            found = _Judgement(Level.OK, "lets this machine's address through")
    return found


def _refused(code: str, acknowledged_at: datetime | None) -> _Judgement:
    what = f"refuses the account with {code}"
    if acknowledged_at is None:
        return _Judgement(Level.ERROR, what, CODE_CURES[code])
    # A hub may say so of any address that is none of its calls; pushes are the better witness.
    return _Judgement(
        Level.WARNING,
        f"{what}, though {_acknowledged(acknowledged_at)}",
        f"nothing, unless pushes fail: then {CODE_CURES[code]}",
    )


def _forbidden(acknowledged_at: datetime | None) -> _Judgement:
    if acknowledged_at is None:
        what = "answers with a page of its front proxy, not of the hub: this machine's address is not let through"
        cure = (
            "ask Hubject to let in the address that this network has outside, for QA and production apart; if a proxy"
            " of your own answers here, let the connection pass it unopened"
        )
        return _Judgement(Level.ERROR, what, cure, ExitCode.UNAVAILABLE)
    return _Judgement(
        Level.WARNING,
        f"answers with a page of its front proxy, though {_acknowledged(acknowledged_at)}",
        "nothing, unless pushes fail: then ask Hubject to let this machine's address in",
    )


def _acknowledged(at: datetime) -> str:
    return f"the hub acknowledged a push at {at:%Y-%m-%d %H:%M} UTC"


def oicp_code(body: bytes) -> str | None:
    """Return the status code of OICP in a body; None: it has none, so it is not the hub's word."""
    try:
        document = json.loads(body)
        code = document["StatusCode"]["Code"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return code if isinstance(code, str) else None

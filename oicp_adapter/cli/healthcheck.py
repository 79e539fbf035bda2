"""
Asks a process of this machine whether it lives, for what restarts containers.

1. It asks neither the hub nor the store, and no proxy: their outage must not get the daemon restarted.
2. It needs no shell and no other program, so that an image needs none.
"""

import http.client
import urllib.error
import urllib.request
from ipaddress import IPv6Address, ip_address
from typing import Annotated, Final

import typer

from oicp_adapter.cli import invocation
from oicp_adapter.cli.output import note
from oicp_adapter.domain.errors import WrongArgumentError, foreign_text
from oicp_adapter.domain.exit_codes import ExitCode

_OPENER: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def healthcheck(
    context: typer.Context,
    *,
    ready: Annotated[bool, typer.Option("--ready", help="Ask /readyz instead of /livez.")] = False,
    url: Annotated[
        str | None, typer.Option(metavar="URL", help="Ask this address, as of `serve`, instead of the daemon's.")
    ] = None,
    timeout: Annotated[float, typer.Option(min=0.1, max=60.0, help="Seconds to wait for the answer.")] = 3.0,
) -> None:
    """Ask the daemon on this machine whether it lives; exits with 69 when it says no, or nothing."""
    if url is None:
        monitoring = invocation(context).settings().monitoring
        url = address(monitoring.host, monitoring.port, "/readyz" if ready else "/livez")
    elif ready or not url.startswith(("http://", "https://")):
        raise WrongArgumentError(
            f"--url {foreign_text(url)} cannot be asked", cure="name a whole http or https address, and no --ready"
        )
    complaint = ask(url, timeout)
    if complaint is not None:
        note(f"{url}: {complaint}")
        raise typer.Exit(ExitCode.UNAVAILABLE)


def address(host: str, port: int, path: str) -> str:
    """
    Return where a server that listens on *host* is asked from the same machine: one on all addresses, on loopback.

    Raises:
        WrongArgumentError: Its port is a free one, which only the daemon knows.
    """
    if port == 0:
        raise WrongArgumentError("monitoring.port is 0, so any", cure="say with --url where the daemon listens")
    try:
        found = ip_address(host)
    except ValueError:
        return f"http://{host}:{port}{path}"
    if found.is_unspecified:
        found = ip_address("::1" if isinstance(found, IPv6Address) else "127.0.0.1")
    shown = f"[{found}]" if isinstance(found, IPv6Address) else str(found)
    return f"http://{shown}:{port}{path}"


def ask(url: str, timeout: float) -> str | None:
    """Return why what listens there is not well, in words; None: it is."""
    try:
        with _OPENER.open(url, timeout=timeout):
            return None
    except urllib.error.HTTPError as exc:
        with exc:
            said = exc.read(1000).decode(errors="replace").strip()
        return f"{exc.code}: {foreign_text(said)}"
    except urllib.error.URLError as exc:
        return f"no answer: {foreign_text(exc.reason)}"
    except (OSError, http.client.HTTPException, ValueError) as exc:
        return f"no answer: {foreign_text(exc) or type(exc).__name__}"

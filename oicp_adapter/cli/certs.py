"""Makes development certificates and shows what a certificate says."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from oicp_adapter.cli import operator_id_argument
from oicp_adapter.cli.output import note, plain, print_json, print_table
from oicp_adapter.oicp.certificates import CertificateFacts, inspect_certificate
from oicp_adapter.oicp.development_pki import DEFAULT_HUB_NAMES, create_development_pki

DEFAULT_DAYS: Final = 90
DEFAULT_OPERATOR: Final = "DE*ABC"

certs = typer.Typer(
    add_completion=False, no_args_is_help=True, help="Development certificates, and what a certificate says."
)

_AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@certs.command()
def dev(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Where they are made.")],
    operator: Annotated[list[str] | None, typer.Option(help="An OperatorID; may be repeated.")] = None,
    hub_name: Annotated[list[str] | None, typer.Option(help="A DNS name or address of the hub.")] = None,
    days: Annotated[int, typer.Option(min=1, max=3650, help="How long they hold.")] = DEFAULT_DAYS,
    *,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Make everything anew.")] = False,
    as_json: _AsJson = False,
) -> None:
    """Make the certificates of a simulated hub and of its operators: for development only."""
    operators = operator or [DEFAULT_OPERATOR]
    for text in operators:
        operator_id_argument(text, "--operator")
    made = create_development_pki(
        directory,
        operators=operators,
        hub_names=hub_name or DEFAULT_HUB_NAMES,
        valid_for=timedelta(days=days),
        now=datetime.now(UTC),
        overwrite=overwrite,
    )
    if as_json:
        pairs = {name: {"certificate": p.certificate, "private_key": p.private_key} for name, p in made.clients.items()}
        print_json({"ca_file": made.hub_ca.certificate, "operators": pairs})
        return
    rows = [(name, pair.certificate, pair.private_key) for name, pair in made.clients.items()]
    print_table(("operator", "certificate", "private_key"), rows)
    note(f"hub.ca_file is {made.hub_ca.certificate}; these certificates are for development only")


@certs.command()
def show(
    certificate: Annotated[list[Path], typer.Argument(metavar="FILE…", help="PEM files.")], *, as_json: _AsJson = False
) -> None:
    """Show what certificates say: names, validity, chain, fingerprint."""
    now = datetime.now(UTC)
    shown = [_described(path, inspect_certificate(path), now) for path in certificate]
    if as_json:
        print_json(shown)
        return
    for description in shown:
        description["chain"] = tuple(
            f"{each['subject']} until {plain(each['not_after'])}" for each in description["chain"]
        )
        print_table(("file", str(description.pop("file"))), [(key, _line(value)) for key, value in description.items()])


def _described(path: Path, facts: CertificateFacts, now: datetime) -> dict[str, Any]:
    return {
        "file": path,
        "subject": facts.subject,
        "common_name": facts.common_name,
        "organizations": facts.organizations,
        "alternative_names": facts.alternative_names,
        "issuer": facts.issuer,
        "serial": facts.serial,
        "not_before": facts.not_before,
        "not_after": facts.not_after,
        "days_left": (facts.not_after - now).days,
        "chain_length": len(facts.chain),
        "chain": [{"subject": link.subject, "not_after": link.not_after} for link in facts.chain],
        "sha256": facts.fingerprint,
    }


def _line(value: object) -> object:
    return ", ".join(map(str, value)) or None if isinstance(value, tuple) else value

"""Makes, lists and revokes the tokens of the control API."""

from collections.abc import Sequence
from typing import Annotated, Final

import typer

from oicp_adapter.cli.output import note, print_json, print_json_array, print_table
from oicp_adapter.cli.person import end_argument, kind_argument, opened_desk, person
from oicp_adapter.cli.times import parse_duration
from oicp_adapter.control.access import ROLES, NewToken, TokenView, create_token, list_tokens, revoke_token
from oicp_adapter.domain.errors import foreign_text
from oicp_adapter.domain.patterns import EvsePattern

token = typer.Typer(add_completion=False, no_args_is_help=True, help="Tokens of the control API, and what each may do.")

_AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_COLUMNS: Final = (
    "id",
    "name",
    "scopes",
    "kinds",
    "EVSEs",
    "longest",
    "a minute",
    "created",
    "by",
    "expires",
    "last used",
    "revoked",
)


@token.command("create")
def create(  # noqa: PLR0917 - every one is an option on the command line
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose it is; stands as the author of changes.")],
    role: Annotated[str, typer.Option(help=f"What it may do: {', '.join(ROLES)}.")],
    kind: Annotated[
        list[str] | None, typer.Option(metavar="KIND", help="Only these kinds; may come several times.")
    ] = None,
    evse: Annotated[
        list[str] | None,
        typer.Option(metavar="PATTERN", help="Only these EVSEs, as DE*ABC*E12%; may come several times."),
    ] = None,
    location: Annotated[
        list[str] | None, typer.Option(metavar="LOCATION", help="Only EVSEs there; may come several times.")
    ] = None,
    longest: Annotated[
        str | None, typer.Option(metavar="DURATION", help="No temporary status may be longer, as 4h.")
    ] = None,
    lifetime: Annotated[
        str | None, typer.Option("--for", metavar="DURATION", help="How long it holds, as 90d.")
    ] = None,
    end: Annotated[str | None, typer.Option("--to", metavar="TIME", help="Until when it holds.")] = None,
    zone: Annotated[str | None, typer.Option(metavar="ZONE", help="Of --to without an offset.")] = None,
    per_minute: Annotated[int | None, typer.Option(metavar="NUMBER", help="Requests a minute; none: 600.")] = None,
    *,
    as_json: _AsJson = False,
) -> None:
    """Make a token, and print it; nobody can show it again."""
    grant = ROLES.get(role.lower())
    if grant is None:
        raise typer.BadParameter(f"{foreign_text(role, 60)!r} is no role: use {', '.join(ROLES)}")
    kinds = frozenset(kind_argument(each) for each in kind) if kind else grant.kinds
    if not kinds <= grant.kinds:
        allowed = ", ".join(sorted(grant.kinds)) or "nothing"
        raise typer.BadParameter(f"a token of the role {role} sets {allowed}: leave out --kind, or choose another role")
    with opened_desk(context) as desk:
        new = NewToken(
            name=name,
            scopes=grant.scopes,
            kinds=kinds,
            patterns=tuple(EvsePattern(each) for each in evse or ()),
            locations=frozenset(location or ()),
            longest=parse_duration(longest) if longest is not None else None,
            expires_at=end_argument(desk.store.now(), lifetime, end, zone),
            requests_per_minute=per_minute,
        )
        made, text = create_token(desk, person(), new)
    if as_json:
        print_json({"token": text, **_document(made)})
        return
    typer.echo(text)
    note(f"token {made.id} is shown this once; `oicp-adapter token revoke {made.id}` ends it")


@token.command("list")
def list_(context: typer.Context, *, as_json: _AsJson = False) -> None:
    """List the tokens, those that no longer hold too; times are UTC."""
    with opened_desk(context) as desk:
        found = list_tokens(desk)
    _show(found, as_json=as_json)


@token.command("revoke")
def revoke(
    context: typer.Context, token_id: Annotated[str, typer.Argument(metavar="ID", help="As `token list` shows it.")]
) -> None:
    """Let a token hold no longer; who is signed in with it is signed out."""
    with opened_desk(context) as desk:
        found = revoke_token(desk, person(), token_id)
    _show([found], as_json=False)


def _show(tokens: Sequence[TokenView], *, as_json: bool) -> None:
    if as_json:
        print_json_array(_document(each) for each in tokens)
        return
    rows = [
        (
            each.id,
            each.name,
            ", ".join(sorted(each.grant.scopes)),
            ", ".join(sorted(each.grant.kinds)) or "-",
            _covered(each),
            each.grant.longest,
            each.requests_per_minute,
            each.created_at,
            each.created_by,
            each.expires_at,
            each.last_used_at,
            each.revoked_at,
        )
        for each in tokens
    ]
    print_table(_COLUMNS, rows)


def _covered(seen: TokenView) -> str:
    patterns = [pattern.text for pattern in seen.grant.patterns]
    return ", ".join([*patterns, *sorted(seen.grant.locations)]) or "all"


def _document(seen: TokenView) -> dict[str, object]:
    """Return what `--json` prints of a token; instants are aware, UTC, durations seconds."""
    return {
        "id": seen.id,
        "name": seen.name,
        "holds": seen.holds,
        "scopes": sorted(seen.grant.scopes),
        "kinds": sorted(seen.grant.kinds),
        "evsePatterns": [pattern.text for pattern in seen.grant.patterns],
        "locations": sorted(seen.grant.locations),
        "longest": seen.grant.longest,
        "requestsPerMinute": seen.requests_per_minute,
        "createdAt": seen.created_at,
        "createdBy": seen.created_by,
        "expiresAt": seen.expires_at,
        "lastUsedAt": seen.last_used_at,
        "revokedAt": seen.revoked_at,
        "revokedBy": seen.revoked_by,
    }

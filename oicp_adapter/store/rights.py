"""
Tells what this user may not do in a PostgreSQL store that the programs must; it only asks the catalogue.

1. What the daemon needs is kept apart from what `serve` and the commands need besides.
2. A relation of the settings stands for a shared table, which is then never touched; `relations` looks at those.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, text

from oicp_adapter.store.relations import relations_of

DAEMON_RIGHTS: Final[Mapping[str, Sequence[str]]] = {
    "evse_status": ("SELECT",),
    "temporary_status": ("SELECT",),
    "oicp_schema_version": ("SELECT",),
    "oicp_schema_support": ("SELECT",),
    "oicp_hint": ("SELECT", "INSERT", "UPDATE", "DELETE"),
    "oicp_ledger": ("SELECT", "INSERT", "UPDATE", "DELETE"),
    "oicp_rejection": ("SELECT", "INSERT", "UPDATE", "DELETE"),
    "oicp_lane": ("SELECT", "INSERT", "UPDATE"),
    "oicp_identity": ("SELECT", "INSERT", "DELETE"),
    "oicp_intent": ("SELECT", "INSERT", "UPDATE", "DELETE"),
    "oicp_full_load": ("SELECT", "INSERT", "DELETE"),
}
"""What a lane does with each relation."""

SERVICE_RIGHTS: Final[Mapping[str, Sequence[str]]] = {
    "evse_location": ("SELECT",),
    "temporary_status": ("INSERT", "UPDATE"),
    "oicp_window": ("SELECT", "INSERT", "UPDATE"),
    "oicp_reference": ("SELECT", "INSERT", "UPDATE"),
    "oicp_token": ("SELECT", "INSERT", "UPDATE"),
    "oicp_session": ("SELECT", "INSERT", "DELETE"),
    "oicp_idempotency": ("SELECT", "INSERT", "UPDATE", "DELETE"),
    "oicp_audit": ("SELECT", "INSERT"),
}
"""What the control service does besides."""

_LACKING: Final = text("""
SELECT n.relation, n.privilege, quote_ident(current_user) AS role
FROM unnest(CAST(:relations AS text[]), CAST(:privileges AS text[])) WITH ORDINALITY AS n(relation, privilege, place)
WHERE to_regclass(n.relation) IS NOT NULL AND NOT has_table_privilege(to_regclass(n.relation), n.privilege)
ORDER BY n.place
""")
_ELSEWHERE: Final = text("""
SELECT quote_ident(n.nspname) AS schema, has_schema_privilege(n.oid, 'USAGE') AS usable,
       quote_ident(current_user) AS role
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relname = 'oicp_schema_version' AND c.relkind IN ('r', 'p') AND to_regclass('oicp_schema_version') IS NULL
ORDER BY 1
""")
_READ_ONLY: Final = text(
    "SELECT quote_ident(current_user), quote_ident(current_database())"
    " WHERE current_setting('transaction_read_only') = 'on'"
)


@dataclass(frozen=True, slots=True)
class Lacking:
    """
    What is in the way.

    Attributes:
        what: Names the relation and what may not be done with it.
        grant: The statement that cures it.
        stops: It keeps the daemon from working, not only `serve` and the commands.
    """

    what: str
    grant: str
    stops: bool


def lacking_rights(connection: Connection) -> Iterator[Lacking]:
    """Yield what this user may not do, a relation at a time; nothing for SQLite, or of what is not there."""
    if connection.dialect.name == "sqlite":
        return
    for schema, usable, role in connection.execute(_ELSEWHERE):
        if usable:
            what = f"the adapter's tables are in the schema {schema}, which is not on the search path of {role}"
            grant = f"ALTER ROLE {role} SET search_path = {schema}; or `oicp-adapter db upgrade` to make others"
        else:
            what = f"{role} may not use the schema {schema}, in which the adapter's tables are"
            grant = f"GRANT USAGE ON SCHEMA {schema} TO {role}"
        yield Lacking(what, grant, stops=True)
    for role, database in connection.execute(_READ_ONLY):
        what = f"transactions of {role} are read-only (default_transaction_read_only)"
        grant = f"ALTER ROLE {role} RESET default_transaction_read_only, and the same of DATABASE {database}"
        yield Lacking(what, grant, stops=True)
    replaced = {str(table.name) for table in relations_of(connection).named()}
    for rights, stops in ((DAEMON_RIGHTS, True), (SERVICE_RIGHTS, False)):
        yield from _lacking(connection, {name: rights[name] for name in rights if name not in replaced}, stops=stops)


def _lacking(connection: Connection, rights: Mapping[str, Sequence[str]], *, stops: bool) -> Iterator[Lacking]:
    pairs = [(name, right) for name, needed in rights.items() for right in needed]
    values = {"relations": [name for name, _ in pairs], "privileges": [right for _, right in pairs]}
    found: dict[str, list[str]] = {}
    role = ""
    for relation, privilege, role in connection.execute(_LACKING, values):  # noqa: B007 - the same in each row
        found.setdefault(relation, []).append(privilege)
    for relation, privileges in found.items():
        shown = ", ".join(privileges)
        yield Lacking(f"{role} lacks {shown} on {relation}", f"GRANT {shown} ON {relation} TO {role}", stops)

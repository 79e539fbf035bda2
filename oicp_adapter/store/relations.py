"""
Lets tables or views of an existing schema stand in the place of `evse_status` and `temporary_status`.

1. A named relation is only ever read: a statement that would write to it is refused before it is sent.
2. Every name is quoted by `quoted`. In PostgreSQL what it returns holds no percent sign, colon or brace, so that it
   survives whatever the text of a statement passes through.
3. A named relation stands after FROM as a subquery that leaves out rows without an EvseID or an operator, since no
   constraint of ours keeps them away. Both stores look through it to the indexes of the relation.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from sqlalchemy import BigInteger, Column, Connection, Engine, FromClause, Table, Text, cast, exc, select, text
from sqlalchemy.sql.compiler import SQLCompiler

from oicp_adapter.domain.errors import Refusal, RequestRefusedError, StoreSchemaError, foreign_text
from oicp_adapter.settings_values import RelationName
from oicp_adapter.store.schema import evse_status, temporary_status, window_row
from oicp_adapter.store.types import UtcTimestamp

SETTINGS: Final[Mapping[Table, str]] = {
    evse_status: "store.status_relation",
    temporary_status: "store.temporary_relation",
}
"""Which setting names the relation that stands for a table."""

_OPTION: Final = "oicp_relations"
_ESCAPED: Final = frozenset("%:{}")
_NEEDED: Final[Mapping[Table, tuple[str, ...]]] = {
    evse_status: ("evse_id", "operator_id"),
    temporary_status: ("id", "evse_id", "status", "valid_from"),
}
"""Columns without which a row is none."""

_NO_NOTES: Final = f"(SELECT {', '.join(window_row.c.keys())} FROM {window_row.name} WHERE FALSE)"  # noqa: S608 - ours
"""What the service noted of its own windows says nothing of somebody else's, who may use the same ids."""

_READABLE_KINDS: Final = "rpvmf"
"""Tables, also partitioned or foreign ones, and views, also materialised ones, in `pg_class.relkind`."""

_SPELLING: Final = "spell it as in SQL: without quotes capital letters become small ones"
_VIEW: Final = "docs/own-store.md has such a view"

_PG_RELATION: Final = text("""
SELECT CAST(c.oid AS bigint) AS oid, CAST(c.relkind AS text) AS kind, n.nspname AS schema,
       has_schema_privilege(n.oid, 'USAGE') AS usable, quote_ident(current_user) AS role
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relname = CAST(:name AS text)
  AND (n.nspname = CAST(:schema AS text) OR (CAST(:schema AS text) IS NULL AND pg_table_is_visible(c.oid)))
""")
_PG_COLUMNS: Final = text("""
SELECT a.attname AS name, format_type(a.atttypid, a.atttypmod) AS shown, COALESCE(b.typname, t.typname) AS type,
       o.collname AS collation, o.collisdeterministic AS exact,
       has_column_privilege(CAST(:oid AS oid), a.attnum, 'SELECT') AS readable
FROM pg_attribute AS a JOIN pg_type AS t ON t.oid = a.atttypid
LEFT JOIN pg_type AS b ON t.typtype = 'd' AND b.oid = t.typbasetype
LEFT JOIN pg_collation AS o ON o.oid = a.attcollation
WHERE a.attrelid = CAST(:oid AS oid) AND a.attnum > 0 AND NOT a.attisdropped
""")
_SQLITE_RELATION: Final = text(
    "SELECT name FROM sqlite_master WHERE name = :name COLLATE NOCASE AND type IN ('table', 'view')"
)
_SQLITE_COLUMNS: Final = text("SELECT lower(name) FROM pragma_table_info(:name)")


@dataclass(frozen=True, slots=True)
class Relations:
    """
    What is read instead of the shared tables; None: the adapter's own table.

    Attributes:
        status: Instead of `evse_status`.
        temporary: Instead of `temporary_status`.
    """

    status: RelationName | None = None
    temporary: RelationName | None = None

    def named(self) -> Mapping[Table, RelationName]:
        """Return the relations that are not the adapter's own, by the table for which they stand."""
        both = {evse_status: self.status, temporary_status: self.temporary}
        return {
            table: name for table, name in both.items() if name is not None and name != RelationName(str(table.name))
        }


def quoted(relation: RelationName, dialect: str) -> str:
    """Return a name as the text of a statement holds it, whatever characters it has."""
    parts = [relation.name] if relation.schema is None else [relation.schema, relation.name]
    return ".".join(_quoted_part(part, dialect) for part in parts)


def source_of(connection: Connection, table: Table) -> str:
    """Return what stands for a shared table after FROM in a statement that is text; an alias must follow it."""
    return _sources(relations_of(connection), connection.dialect.name).get(table, str(table.name))


def relations_of(connection: Connection) -> Relations:
    """Return what a store's connection reads instead of the shared tables."""
    found: Relations = connection.get_execution_options().get(_OPTION, Relations())
    return found


def name_relations(engine: Engine, relations: Relations) -> None:
    """Let every statement of an engine that is built on the shared tables read these relations instead."""
    if not relations.named():
        return
    engine.update_execution_options(**{_OPTION: relations})
    facts = {"sources": _sources(relations, engine.dialect.name), "relations": relations}
    base = engine.dialect.statement_compiler
    engine.dialect.statement_compiler = type("NamingCompiler", (_NamingCompiler, base), facts)


def require_ours(relations: Relations, table: Table) -> None:
    """
    Do nothing where the adapter keeps a shared table itself.

    Raises:
        RequestRefusedError: NOT_PERMITTED, since the table's rows are somebody else's.
    """
    if (relation := relations.named().get(table)) is not None:
        what = "statuses of chargers" if table is evse_status else "temporary statuses"
        raise RequestRefusedError(
            Refusal.NOT_PERMITTED,
            f"{what} are read from {shown_relation(relation)}, which the adapter never writes",
            cure=f"change them where they come from, or take {SETTINGS[table]} out of the settings",
        )


def relation_problems(connection: Connection) -> Iterator[StoreSchemaError]:
    """
    Look the named relations up in the catalogue and read a row of each; yield what keeps them from being used.

    Args:
        connection: In a transaction that reads, as the user who will.
    """
    for table, relation in relations_of(connection).named().items():
        look = _sqlite_problems if connection.dialect.name == "sqlite" else _postgresql_problems
        problems = list(look(connection, table, relation))
        yield from problems or _unreadable(connection, table, relation)


class _NamingCompiler(SQLCompiler):
    """Puts what `name_relations` was given in the place of the shared tables; mixed into a dialect's own compiler."""

    sources: ClassVar[Mapping[FromClause, str]]
    relations: ClassVar[Relations]

    def visit_table(self, table: Any, *args: Any, **kw: Any) -> str:
        rendered: str = super().visit_table(table, *args, **kw)  # type: ignore[no-untyped-call]  # not annotated
        if not rendered or table not in self.sources:
            return rendered
        alias = kw.get("enclosing_alias")
        is_aliased = alias is not None and alias.element is table
        return self.sources[table] if is_aliased else f"{self.sources[table]} AS {rendered}"

    def visit_insert(self, insert_stmt: Any, *args: Any, **kw: Any) -> Any:
        require_ours(self.relations, insert_stmt.table)
        return super().visit_insert(insert_stmt, *args, **kw)  # type: ignore[no-untyped-call]  # as above

    def visit_update(self, update_stmt: Any, *args: Any, **kw: Any) -> Any:
        require_ours(self.relations, update_stmt.table)
        return super().visit_update(update_stmt, *args, **kw)

    def visit_delete(self, delete_stmt: Any, *args: Any, **kw: Any) -> Any:
        require_ours(self.relations, delete_stmt.table)
        return super().visit_delete(delete_stmt, *args, **kw)  # type: ignore[no-untyped-call]  # as above


def _sources(relations: Relations, dialect: str) -> Mapping[Table, str]:
    found: dict[Table, str] = {}
    for table, relation in relations.named().items():
        # A charger whose word is not known is published as Unknown; without its row it would be withdrawn.
        spelt = {"status": "COALESCE(status, '') AS status"} if table is evse_status else {}
        columns = ", ".join(spelt.get(name, name) for name in _names(table))
        needed = " AND ".join(f"{name} IS NOT NULL" for name in _NEEDED[table])
        found[table] = f"(SELECT {columns} FROM {quoted(relation, dialect)} WHERE {needed})"  # noqa: S608 - quoted
    if temporary_status in found:
        found[window_row] = _NO_NOTES
    return found


def _names(table: Table) -> Sequence[str]:
    return [column.name for column in table.c]


def _quoted_part(part: str, dialect: str) -> str:
    doubled = part.replace('"', '""')
    if dialect == "sqlite" or _ESCAPED.isdisjoint(part):
        return f'"{doubled}"'
    escaped = doubled.replace("\\", "\\\\")
    return 'U&"' + "".join(f"\\{ord(each):04X}" if each in _ESCAPED else each for each in escaped) + '"'


def shown_relation(relation: RelationName) -> str:
    """Return a name for people, as SQL spells it."""
    return foreign_text(quoted(relation, "sqlite"))


def _postgresql_problems(connection: Connection, table: Table, relation: RelationName) -> Iterator[StoreSchemaError]:
    setting, shown = SETTINGS[table], shown_relation(relation)
    found = connection.execute(_PG_RELATION, {"name": relation.name, "schema": relation.schema}).first()
    if found is None:
        where = "on the search path of this user" if relation.schema is None else "in this database"
        yield StoreSchemaError(f"{setting} names {shown}, which is not {where}", cure=f"correct the name; {_SPELLING}")
        return
    if found.kind not in _READABLE_KINDS:
        yield StoreSchemaError(f"{setting} names {shown}, which is no table or view", cure="correct the name")
        return
    if not found.usable:
        schema = shown_relation(RelationName(found.schema))
        yield StoreSchemaError(
            f"this user may not use the schema {schema} of {setting}",
            cure=f"GRANT USAGE ON SCHEMA {schema} TO {found.role}",
        )
    columns = {row.name: row for row in connection.execute(_PG_COLUMNS, {"oid": found.oid})}
    yield from _missing_columns(table, relation, columns)
    here = [(column, columns[column.name]) for column in table.c if column.name in columns]
    if unreadable := [column.name for column, row in here if not row.readable]:
        yield StoreSchemaError(
            f"this user may not read {', '.join(unreadable)} of {shown} ({setting})",
            cure=f"GRANT SELECT ON {shown} TO {found.role}",
        )
    for column, row in here:
        yield from _wrong_type(column, row, setting, shown)


def _wrong_type(column: Column[Any], row: Any, setting: str, shown: str) -> Iterator[StoreSchemaError]:
    name = column.name
    types: tuple[str, ...]
    if isinstance(column.type, UtcTimestamp):
        types, cure = ("timestamptz",), f"{name} AT TIME ZONE 'Europe/Berlin' AS {name}, or whatever zone it is kept in"
    elif isinstance(column.type, BigInteger):
        types, cure = ("int8", "int4", "int2"), f"an integer as {name}, the same for a row as long as it stands"
    else:
        types, cure = ("text", "varchar"), f"CAST({name} AS text) AS {name}"
    if row.type not in types:
        yield StoreSchemaError(
            f"{name} of {shown} ({setting}) is of type {foreign_text(row.shown)}, not {types[0]}",
            cure=f"name a view that selects {cure}; {_VIEW}",
        )
    elif name == "evse_id" and not row.exact:
        yield StoreSchemaError(
            f"evse_id of {shown} ({setting}) has the collation {foreign_text(row.collation)}, by which different "
            "EvseIDs may be equal",
            cure=f'name a view that selects evse_id COLLATE "C" AS evse_id; {_VIEW}',
        )


def _sqlite_problems(connection: Connection, table: Table, relation: RelationName) -> Iterator[StoreSchemaError]:
    setting, shown = SETTINGS[table], shown_relation(relation)
    if relation.schema is not None and relation.schema.lower() != "main":
        yield StoreSchemaError(
            f"{setting} names {shown}, and a SQLite file has no schemas", cure="leave the schema out"
        )
        return
    name = connection.execute(_SQLITE_RELATION, {"name": relation.name}).scalar()
    if name is None:
        yield StoreSchemaError(
            f"{setting} names {shown}, which is not in this file", cure=f"correct the name; {_SPELLING}"
        )
        return
    try:
        columns = set(connection.execute(_SQLITE_COLUMNS, {"name": name}).scalars())
    except exc.OperationalError as error:
        yield _broken(table, relation, error)
        return
    yield from _missing_columns(table, relation, dict.fromkeys(columns))


def _missing_columns(table: Table, relation: RelationName, columns: Mapping[str, object]) -> Iterator[StoreSchemaError]:
    if missing := [name for name in _names(table) if name not in columns]:
        yield StoreSchemaError(
            f"{shown_relation(relation)} ({SETTINGS[table]}) has no column {', '.join(missing)}",
            cure=f"name a view that has all columns of {table.name}, NULL where you have nothing; {_VIEW}",
        )


def _unreadable(connection: Connection, table: Table, relation: RelationName) -> Iterator[StoreSchemaError]:
    """
    Read a row: the rights that a view's owner lacks, or a function that fails, stand in no catalogue.

    As text, for an instant may be one that only the statements of the daily work know how to read, as infinity.
    """
    try:
        with connection.begin_nested():
            connection.execute(select(*(cast(column, Text) for column in table.c)).limit(1)).all()
    except (exc.ProgrammingError, exc.DataError, exc.InternalError) as error:
        yield _broken(table, relation, error)
    except exc.OperationalError as error:
        if connection.dialect.name != "sqlite" or "no such" not in str(error.orig):
            raise
        yield _broken(table, relation, error)


def _broken(table: Table, relation: RelationName, error: exc.DBAPIError) -> StoreSchemaError:
    said = foreign_text(str(error.orig).strip())
    return StoreSchemaError(
        f"{shown_relation(relation)} ({SETTINGS[table]}) cannot be read: {said}",
        cure="mend the view, or give its owner the rights that it needs",
    )

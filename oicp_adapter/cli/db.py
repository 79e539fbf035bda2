"""Makes and checks the store's tables, and loads a fleet from CSV."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from oicp_adapter.checks.rows import row_findings
from oicp_adapter.cli import invocation
from oicp_adapter.cli.output import note, print_table, progress
from oicp_adapter.store.configured import configured_store
from oicp_adapter.store.fleet_file import COLUMNS, fleet_rows
from oicp_adapter.store.fleet_import import ImportReport, import_fleet
from oicp_adapter.store.migrate import require_current
from oicp_adapter.store.migrate import upgrade as upgrade_schema
from oicp_adapter.store.relations import shown_relation

db = typer.Typer(add_completion=False, no_args_is_help=True, help="The store's tables, and a fleet from CSV.")


@db.command()
def upgrade(context: typer.Context) -> None:
    """Create or migrate the tables; does nothing when they are current."""
    with configured_store(invocation(context).settings()) as store:
        note(f"{store.address}: the tables have version {upgrade_schema(store).current}")
        for table, relation in store.relations.named().items():
            note(f"{shown_relation(relation)} is read instead of {table.name}, and was left as it is")


@db.command()
def check(context: typer.Context) -> None:
    """Say whether the tables, and relations of the settings, are those that this program needs; changes nothing."""
    with configured_store(invocation(context).settings()) as store:
        note(f"{store.address}: the tables are current, version {require_current(store).current}")


@db.command("import")
def import_(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="CSV", help=f"With columns {', '.join(COLUMNS)}, in UTF-8.")],
) -> None:
    """Load a fleet from CSV, and report what cannot be loaded or pushed, and why."""
    settings = invocation(context).settings()
    with configured_store(settings) as store:
        with closing(fleet_rows(file)) as rows, progress("loading") as advance:
            report = import_fleet(store, _counted(rows, advance))
        _tell(report)
        findings = list(row_findings(store, settings))
        print_table(("found", "cure"), ((each.what, each.cure or None) for each in findings))


def _tell(report: ImportReport) -> None:
    rows = "1 row" if report.read == 1 else f"{report.read} rows"
    note(
        f"{rows} read: {report.inserted} new, {report.updated} changed, {report.unchanged} unchanged, "
        f"{len(report.skipped)} not loaded, {len(report.partial)} loaded in part, "
        f"{len(report.unpushable)} loaded that cannot be pushed"
    )
    named = [
        (what, each)
        for what, problems in (
            ("not loaded", report.skipped),
            ("loaded in part", report.partial),
            ("not pushed", report.unpushable),
        )
        for each in problems
    ]
    if named:
        print_table(
            ("line", "EVSE", "", "fault", "what to do"),
            ((each.line, each.evse_id, what, each.fault, each.detail) for what, each in named),
        )


def _counted(rows: Iterable[Mapping[str, str]], advance: Callable[[int], None]) -> Iterator[Mapping[str, str]]:
    for row in rows:
        yield row
        advance(1)

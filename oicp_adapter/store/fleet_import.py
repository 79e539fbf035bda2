"""
Loads a fleet from rows of text, and names what cannot be loaded, in whole or in part, and what cannot be pushed.

1. A row that says what the store says already is not written, so it wakes nobody.
2. What is missing a fact, or names an EvseID twice, is skipped and named with its line; a malformed EvseID is loaded
   and named, for it is the store that an operator corrects.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from itertools import islice
from typing import Any, Final

from sqlalchemy import Connection, Table, select

from oicp_adapter.domain.errors import MalformedIdentifierError, foreign_text
from oicp_adapter.domain.identifiers import evse_key, is_operator_id, operator_key, parse_evse_id
from oicp_adapter.domain.local_time import UnknownZoneError, zone_of
from oicp_adapter.domain.unserved import unserved
from oicp_adapter.store.engine import Store
from oicp_adapter.store.expressions import among
from oicp_adapter.store.relations import require_ours
from oicp_adapter.store.schema import evse_location, evse_status
from oicp_adapter.store.upserts import insert_into

PAGE: Final = 1000
"""Rows written in one transaction, so that nobody waits long behind an import."""

FIRST_LINE: Final = 2
"""Line of the first row in a file whose first line names the columns."""

_PLACES: Final = ("location", "charge_box", "time_zone")


class ImportFault(StrEnum):
    """What is wrong with a row."""

    NO_EVSE_ID = "no_evse_id"
    """The row has no `evse_id`; not loaded."""

    NO_OPERATOR_ID = "no_operator_id"
    """The row has no `operator_id`; not loaded."""

    NO_STATUS = "no_status"
    """The row has no `status`; not loaded, since nobody may guess it."""

    UNREADABLE = "unreadable"
    """The row holds characters that no database stores; not loaded."""

    REPEATED = "repeated"
    """The same `evse_id` stands in an earlier line; not loaded."""

    DUPLICATE = "duplicate"
    """Another row names the same charging spot in another spelling; loaded, cannot be pushed."""

    MALFORMED_EVSE_ID = "malformed_evse_id"
    """`evse_id` follows neither grammar; loaded, cannot be pushed."""

    MALFORMED_OPERATOR_ID = "malformed_operator_id"
    """`operator_id` follows neither grammar; loaded, cannot be pushed."""

    FOREIGN_OPERATOR = "foreign_operator"
    """The EvseID names another operator than the row; pushed only where one account serves both."""

    UNKNOWN_TIME_ZONE = "unknown_time_zone"
    """`time_zone` is no IANA name; the rest is loaded."""

    SURPLUS_FIELDS = "surplus_fields"
    """The row has more fields than the first line; the rest is loaded."""


@dataclass(frozen=True, slots=True)
class ImportProblem:
    """
    One row that was skipped, was loaded in part, or cannot be pushed as it is.

    Attributes:
        line: In the file, the first row after the header being 2.
        evse_id: As it came, made safe to show.
        fault: What is wrong.
        detail: The same in words that an operator can act on.
    """

    line: int
    evse_id: str
    fault: ImportFault
    detail: str


@dataclass(slots=True)
class ImportReport:
    """
    What an import did.

    Attributes:
        read: Rows that came.
        inserted: EVSEs that were new.
        updated: EVSEs whose operator, status or place changed.
        unchanged: EVSEs that were as they came.
        skipped: Rows that were not loaded.
        partial: Rows of which something was left out.
        unpushable: Rows that were loaded and cannot be pushed as they are.
    """

    read: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    skipped: list[ImportProblem] = field(default_factory=list)
    partial: list[ImportProblem] = field(default_factory=list)
    unpushable: list[ImportProblem] = field(default_factory=list)

    def faults(self) -> Counter[ImportFault]:
        """Count what is wrong by its kind."""
        return Counter(problem.fault for problem in (*self.skipped, *self.partial, *self.unpushable))


def import_fleet(store: Store, rows: Iterable[Mapping[str, Any]]) -> ImportReport:
    """
    Insert or update EVSEs, and their places where the rows have any of the columns for it.

    Args:
        rows: With `evse_id`, `operator_id`, `status`, perhaps `location`, `charge_box`, `time_zone`, as
            `csv.DictReader` yields them: surplus fields under the name None. Other columns are ignored. A column that
            is absent, or a time zone that is none, leaves what the store has.

    Returns:
        What was done. Rows are written by pages: after an error those before it stand, and the import can be repeated.

    Raises:
        RequestRefusedError: NOT_PERMITTED where the settings name a relation for statuses, which is somebody else's.
        StoreError: The store could not be written.
    """
    require_ours(store.relations, evse_status)
    report = ImportReport()
    accepted = _accepted(rows, report)
    while page := list(islice(accepted, PAGE)):
        with store.writing() as connection:
            _write_page(connection, page, store.now(connection), report)
    return report


def _accepted(rows: Iterable[Mapping[str, Any]], report: ImportReport) -> Iterator[Mapping[str, str]]:
    seen: dict[str, int] = {}
    spellings: dict[str, str] = {}
    for line, row in enumerate(rows, FIRST_LINE):
        report.read += 1
        clean = {name: text.strip() for name, text in row.items() if isinstance(text, str)}
        shown = foreign_text(clean.get("evse_id", ""), 60)
        if fault := _skipped(clean, seen):
            report.skipped.append(ImportProblem(line, shown, *fault))
            continue
        evse_id = clean["evse_id"]
        seen[evse_id] = line
        report.partial += (ImportProblem(line, shown, *fault) for fault in _left_out(row, clean))
        if fault := _unpushable(clean, spellings):
            report.unpushable.append(ImportProblem(line, shown, *fault))
        else:
            spellings[evse_key(evse_id)] = evse_id
        yield clean


def _skipped(row: Mapping[str, str], seen: Mapping[str, int]) -> tuple[ImportFault, str] | None:
    for name, fault in (
        ("evse_id", ImportFault.NO_EVSE_ID),
        ("operator_id", ImportFault.NO_OPERATOR_ID),
        ("status", ImportFault.NO_STATUS),
    ):
        if not row.get(name):
            return fault, f"has no {name}: fill it in"
    if any("\0" in text or not _is_encodable(text) for text in row.values()):
        return ImportFault.UNREADABLE, "holds characters that no database stores: save the file as UTF-8"
    if row["evse_id"] in seen:
        return ImportFault.REPEATED, f"stands already in line {seen[row['evse_id']]}: delete one of the two"
    return None


def _left_out(row: Mapping[Any, Any], clean: dict[str, str]) -> Iterator[tuple[ImportFault, str]]:
    """Take out of a row what cannot be loaded of it, and yield why."""
    if any(str(text).strip() for text in row.get(None) or ()):
        yield ImportFault.SURPLUS_FIELDS, "has more fields than the first line: quote what holds a separator"
    zone = clean.get("time_zone")
    if zone and not _is_time_zone(zone):
        del clean["time_zone"]
        detail = f"{foreign_text(zone, 60)} is no IANA time zone: write one as Europe/Berlin"
        yield ImportFault.UNKNOWN_TIME_ZONE, detail


def _unpushable(row: Mapping[str, str], spellings: Mapping[str, str]) -> tuple[ImportFault, str] | None:
    try:
        parsed = parse_evse_id(row["evse_id"])
    except MalformedIdentifierError as error:
        return ImportFault.MALFORMED_EVSE_ID, str(error)
    if not is_operator_id(row["operator_id"]):
        return ImportFault.MALFORMED_OPERATOR_ID, str(unserved(row["operator_id"]))
    if (other := spellings.get(parsed.canonical)) is not None:
        return ImportFault.DUPLICATE, f"names the same charging spot as {other}: delete one of the two"
    if parsed.operator != operator_key(row["operator_id"]):
        return ImportFault.FOREIGN_OPERATOR, (
            f"its EvseID names operator {parsed.operator}, its row {foreign_text(row['operator_id'], 60)}: pushed only "
            "where the account of the one has the other among its sub_operators"
        )
    return None


def _write_page(connection: Connection, page: Sequence[Mapping[str, str]], now: datetime, report: ImportReport) -> None:
    ids = [row["evse_id"] for row in page]
    status_names = ("operator_id", "status")
    known = _known(connection, evse_status, ids, status_names)
    fresh = [row for row in page if row["evse_id"] not in known]
    changed = [row for row in page if (was := known.get(row["evse_id"])) and was != tuple(map(row.get, status_names))]
    written = sorted([*fresh, *changed], key=lambda row: row["evse_id"])
    _upsert(
        connection,
        evse_status,
        [{name: row[name] for name in ("evse_id", *status_names)} | {"changed_at": now} for row in written],
    )
    moved = _write_places(connection, page)
    updated = {row["evse_id"] for row in changed} | (moved - {row["evse_id"] for row in fresh})
    report.inserted += len(fresh)
    report.updated += len(updated)
    report.unchanged += len(page) - len(fresh) - len(updated)


def _write_places(connection: Connection, page: Sequence[Mapping[str, str]]) -> set[str]:
    """Write the places that changed; return whose they are."""
    placed = [row for row in page if any(row.get(name) for name in _PLACES)]
    if not placed:
        return set()
    known = _known(connection, evse_location, [row["evse_id"] for row in placed], _PLACES)
    rows = []
    for row in placed:
        before = known.get(row["evse_id"], (None, None, None))
        place = tuple((row[name] or None) if name in row else was for name, was in zip(_PLACES, before, strict=True))
        if place != before:
            rows.append({"evse_id": row["evse_id"]} | dict(zip(_PLACES, place, strict=True)))
    _upsert(connection, evse_location, sorted(rows, key=lambda row: str(row["evse_id"])))
    return {str(row["evse_id"]) for row in rows}


def _known(
    connection: Connection, table: Table, evse_ids: Sequence[str], names: Sequence[str]
) -> dict[str, tuple[Any, ...]]:
    statement = select(table.c.evse_id, *(table.c[name] for name in names)).where(among(table.c.evse_id, evse_ids))
    return {row[0]: tuple(row[1:]) for row in connection.execute(statement)}


def _upsert(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    if not rows:
        return
    statement = insert_into(connection.dialect, table)
    replaced = {name: statement.excluded[name] for name in rows[0] if name != "evse_id"}
    connection.execute(statement.on_conflict_do_update(index_elements=["evse_id"], set_=replaced), list(rows))


def _is_time_zone(name: str) -> bool:
    try:
        zone_of(name)
    except UnknownZoneError:
        return False
    return True


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True

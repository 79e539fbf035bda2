"""Says where the demo's fleet comes from: made up, or a file of a real one; and whose accounts push it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

from oicp_adapter.demo.judgement import Unpushable, accounts_of
from oicp_adapter.demo.places import ACCOUNTS, Account, make_fleet
from oicp_adapter.demo.tables import SharedTables
from oicp_adapter.domain.errors import WrongArgumentError
from oicp_adapter.store.engine import Store
from oicp_adapter.store.fleet_file import fleet_rows
from oicp_adapter.store.fleet_import import ImportFault, import_fleet

_SKIPPED: Final[Mapping[ImportFault, tuple[str, str]]] = {
    ImportFault.NO_EVSE_ID: ("rows have no evse_id", "fill it in"),
    ImportFault.NO_OPERATOR_ID: ("EVSEs have no operator_id", "name the operator that the EvseID begins with"),
    ImportFault.NO_STATUS: ("EVSEs have no status", "write what the charger says, or Unknown"),
    ImportFault.UNREADABLE: ("rows hold characters that no database stores", "save the file as UTF-8"),
    ImportFault.REPEATED: ("rows repeat an EvseID of an earlier row", "delete all but one of them"),
}


@dataclass(frozen=True, slots=True)
class Source:
    """
    A fleet, and whose it is.

    Attributes:
        accounts: The lanes that push it.
        settle_in: Writes it into a migrated, empty store; returns the rows that were not written, by reason.
    """

    accounts: Sequence[Account]
    settle_in: Callable[[Store], Sequence[Unpushable]]


def made_up(evses: int, draw: Random) -> Source:
    """Return a fleet of so many EVSEs; the same one for the same generator."""

    def settle_in(store: Store) -> Sequence[Unpushable]:
        with SharedTables(Path(str(store.path))) as tables:
            tables.settle_in(make_fleet(evses, draw))
        return ()

    return Source(ACCOUNTS, settle_in)


def from_file(path: Path) -> Source:
    """
    Return the fleet of a CSV file, with a lane for each operator whose ID is one.

    Raises:
        WrongArgumentError: The file cannot be read, has no such columns, or no operator whose ID is one.
    """
    rows = list(fleet_rows(path))
    accounts = accounts_of(row["operator_id"].strip() for row in rows if row.get("operator_id"))
    if not accounts:
        raise WrongArgumentError(
            f"{path} names no operator whose ID is one", cure="write operator_id in a form like DE*ABC or +49*810"
        )

    def settle_in(store: Store) -> Sequence[Unpushable]:
        skipped: dict[ImportFault, Unpushable] = {}
        for problem in import_fleet(store, rows).skipped:
            what, cure = _SKIPPED[problem.fault]
            row = problem.evse_id or f"line {problem.line}"
            skipped.setdefault(problem.fault, Unpushable(what, cure)).add(row)
        return tuple(skipped.values())

    return Source(accounts, settle_in)

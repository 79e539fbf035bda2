"""
Looks at the store as a whole: its library and its triggers; judging is the caller's.

Source of the affected versions: sqlite.org, "The WAL reset bug".
"""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import text

from oicp_adapter.store.engine import Store
from oicp_adapter.store.triggers import trigger_names

_WAL_BUG_FROM: Final = (3, 7, 0)
_WAL_BUG_FIXED: Final = (3, 51, 3)
_WAL_BUG_BACKPORTS: Final = ((3, 44, 6), (3, 50, 7))
"""
The first version without the bug in each series that was mended; a series is its first two numbers.

Source: https://www.sqlite.org/wal.html#walresetbug
"""


def require_answer(store: Store) -> None:
    """
    Read a row of the adapter's tables, of whatever version they are.

    Raises:
        StoreError: It could not be read.
    """
    with store.reading() as connection:
        connection.execute(text("SELECT lane FROM oicp_lane LIMIT 1")).all()


def missing_triggers(store: Store) -> Sequence[str]:
    """
    Return the triggers that are missing or disabled: the changes of which they tell are found by the sweep only.

    Raises:
        StoreError: The store could not be read.
    """
    if store.dialect == "sqlite":
        statement = "SELECT name FROM sqlite_master WHERE type = 'trigger'"
    else:
        statement = (
            "SELECT tgname FROM pg_trigger WHERE tgenabled IN ('O', 'A') AND NOT tgisinternal"
            " AND tgrelid IN (to_regclass('evse_status'), to_regclass('temporary_status'))"
        )
    with store.reading() as connection:
        at_work = set(connection.execute(text(statement)).scalars())
    return [name for name in trigger_names(store.dialect) if name not in at_work]


def has_wal_bug(version: tuple[int, ...]) -> bool:
    """Tell whether a version of SQLite can damage a file in WAL mode that two connections write and checkpoint."""
    if any(version[:2] == repaired[:2] and version >= repaired for repaired in _WAL_BUG_BACKPORTS):
        return False
    return _WAL_BUG_FROM <= version < _WAL_BUG_FIXED

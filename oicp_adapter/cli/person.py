"""What the commands share that act through the control service for the person at the command line."""

import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Final

import typer

from oicp_adapter.cli import invocation
from oicp_adapter.cli.times import instant_after, parse_instant
from oicp_adapter.control.desk import Desk, desk_of
from oicp_adapter.domain.access import EVERYTHING, Actor
from oicp_adapter.domain.errors import foreign_text
from oicp_adapter.domain.statuses import TemporaryStatus, normalise
from oicp_adapter.store.configured import configured_store

_KINDS: Final = {normalise(kind): kind for kind in TemporaryStatus}


@contextmanager
def opened_desk(context: typer.Context) -> Iterator[Desk]:
    """
    Provide the control service's desk over the store of the settings, for as long as the context lasts.

    Raises:
        ConfigurationError: The settings are wrong.
        StoreError: The store cannot be used.
    """
    settings = invocation(context).settings()
    with configured_store(settings) as store:
        yield desk_of(settings, store)


def person() -> Actor:
    """Return whoever runs the command: who may read the settings may do everything."""
    return Actor(getpass.getuser(), None, EVERYTHING)


def kind_argument(word: str) -> TemporaryStatus:
    """
    Return the kind of temporary status that a word of the command line means, in any case and spelling.

    Raises:
        BadParameter: It means none.
    """
    kind = _KINDS.get(normalise(word))
    if kind is None:
        raise typer.BadParameter(f"{foreign_text(word, 60)!r} is none of {', '.join(_KINDS)}")
    return kind


def end_argument(start: datetime, duration: str | None, end: str | None, zone: str | None) -> datetime | None:
    """
    Return the instant that `--for` or `--to` names, aware, UTC; None: neither is there.

    Args:
        start: Aware, UTC; `--for` counts from it.
        zone: Of `--to` without an offset.

    Raises:
        BadParameter: Both are there, or one of them cannot be read.
    """
    if duration is not None and end is not None:
        raise typer.BadParameter("--for and --to exclude each other")
    if duration is not None:
        return instant_after(start, duration)
    return parse_instant(end, zone) if end is not None else None

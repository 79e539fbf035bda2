"""Lets the first person into the demo's operator page, and the first program into its API."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from oicp_adapter.control.access import NewToken, create_link, create_token
from oicp_adapter.control.desk import desk_of
from oicp_adapter.domain.access import EVERYTHING, Actor
from oicp_adapter.settings import load_settings
from oicp_adapter.store.engine import Store

NAME: Final = "demo operator"


@dataclass(frozen=True, slots=True)
class FirstUser:
    """
    Somebody who may do everything.

    Attributes:
        token: For the API.
        code: Of a link that signs in to the page, once.
    """

    token: str
    code: str


def first_user(settings: Path, store: Store) -> FirstUser:
    """
    Make a token and a link for it.

    Args:
        settings: The file that the demo wrote.

    Raises:
        StoreError: The store could not be written.
    """
    desk = desk_of(load_settings(settings, None, {}), store)
    wanted = NewToken(NAME, EVERYTHING.scopes, EVERYTHING.kinds)
    made, text = create_token(desk, Actor("demo", None, EVERYTHING), wanted)
    return FirstUser(text, create_link(desk, made.id))

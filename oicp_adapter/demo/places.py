"""Makes up the fleet of the demo: two hub accounts, one of them with a sub operator, the other with DIN identifiers."""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Final

from oicp_adapter.domain.identifiers import operator_key
from oicp_adapter.domain.statuses import Status


@dataclass(frozen=True, slots=True)
class Account:
    """One hub account, which is one lane: its OperatorID, its name, and whose EVSEs it may push too."""

    operator_id: str
    name: str
    sub_operators: tuple[str, ...] = ()

    @property
    def operator_keys(self) -> frozenset[str]:
        """The canonical OperatorIDs of all whose EVSEs it may push."""
        return frozenset(operator_key(text) for text in (self.operator_id, *self.sub_operators))


@dataclass(frozen=True, slots=True)
class Charger:
    """One EVSE with what stands about it in `evse_status` and `evse_location`."""

    evse_id: str
    operator_id: str
    status: str
    location: str
    charge_box: str
    time_zone: str


ACCOUNTS: Final = (Account("DE*ABC", "ABC Technologies", ("DE*XYZ",)), Account("+43*822", "Alpenvolt"))
"""The accounts of the made-up fleet."""

_GERMANY: Final = (
    "Jungfernstieg 12, 20354 Hamburg",
    "Torstraße 140, 10119 Berlin",
    "Leopoldstraße 77, 80802 München",
    "Zeil 85, 60313 Frankfurt am Main",
    "Aachener Straße 340, 50933 Köln",
    "Königstraße 21, 70173 Stuttgart",
    "Große Bleiche 16, 55116 Mainz",
    "Prager Straße 8, 01069 Dresden",
    "Raststätte Fränkische Schweiz, 91257 Pegnitz",
    "Schwachhauser Heerstraße 51, 28211 Bremen",
)
_AUSTRIA: Final = (
    "Mariahilfer Straße 103, 1060 Wien",
    "Maria-Theresien-Straße 18, 6020 Innsbruck",
    "Getreidegasse 40, 5020 Salzburg",
    "Herrengasse 9, 8010 Graz",
    "Landstraße 35, 4020 Linz",
)
_OUTLETS: Final = 2
"""EVSEs of one charge box."""


@dataclass(frozen=True, slots=True)
class _Region:
    operator_id: str
    pattern: str
    boxes: str
    places: tuple[str, ...]
    time_zone: str


_ABC: Final = _Region("DE*ABC", "DE*ABC*E{box:04}*{outlet}", "ABC-{box:04}", _GERMANY, "Europe/Berlin")
_XYZ: Final = _Region("DE*XYZ", "DEXYZE{box:04}{outlet}", "XYZ-{box:04}", _GERMANY, "Europe/Berlin")
_VLT: Final = _Region("+43*822", "+43*822*{box:04}*{outlet}", "AV-{box:04}", _AUSTRIA, "Europe/Vienna")
_TURNS: Final = (_ABC, _VLT, _ABC, _XYZ, _ABC, _VLT, _ABC, _ABC)
"""Whose the next charge box is; the first two turns touch both lanes, so that a tiny fleet has both."""

_AT_START: Final = {
    Status.AVAILABLE: 60,
    Status.PREPARING: 3,
    Status.CHARGING: 20,
    Status.SUSPENDED_EV: 5,
    Status.SUSPENDED_EVSE: 3,
    Status.FINISHING: 3,
    Status.FAULTED: 2,
    Status.UNAVAILABLE: 2,
    Status.OFFLINE: 2,
}


def make_fleet(count: int, draw: Random) -> Iterator[Charger]:
    """Yield *count* EVSEs; the same ones for the same generator, and more of them begin with the fewer."""
    words, weights = tuple(_AT_START), tuple(_AT_START.values())
    for number in range(count):
        box, outlet = divmod(number, _OUTLETS)
        region = _TURNS[box % len(_TURNS)]
        yield Charger(
            evse_id=region.pattern.format(box=box + 1, outlet=outlet + 1),
            operator_id=region.operator_id,
            status=draw.choices(words, weights)[0],
            location=region.places[box % len(region.places)],
            charge_box=region.boxes.format(box=box + 1),
            time_zone=region.time_zone,
        )

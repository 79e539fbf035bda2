"""
Holds the whole vocabulary of statuses and their three translations.

Everything that decides what a status word means, and to whom, lives in this file.

1. A word is recognised in any ASCII case, with or without `_`, `-` and spaces.
2. A word that is not in the table is Unknown to everyone; it is counted, never guessed.
3. An override changes the OICP column only, and never makes an unusable charger look available.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from oicp_adapter.domain.errors import MappingRefusedError


class OicpStatus(StrEnum):
    """EvseStatus of OICP 2.3, as far as a CPO may send it."""

    AVAILABLE = "Available"
    """Can be used now."""

    RESERVED = "Reserved"
    """Kept for somebody."""

    OCCUPIED = "Occupied"
    """In use, or the way to it is blocked."""

    OUT_OF_SERVICE = "OutOfService"
    """Cannot be used."""

    UNKNOWN = "Unknown"
    """Nobody can say."""


class OcpiStatus(StrEnum):
    """Status of an EVSE in OCPI 2.2.1."""

    AVAILABLE = "AVAILABLE"
    BLOCKED = "BLOCKED"
    CHARGING = "CHARGING"
    INOPERATIVE = "INOPERATIVE"
    OUTOFORDER = "OUTOFORDER"
    PLANNED = "PLANNED"
    RESERVED = "RESERVED"
    UNKNOWN = "UNKNOWN"


class DriverStatus(StrEnum):
    """What a driver's app shows."""

    AVAILABLE = "Available"
    BLOCKED = "Blocked"
    OCCUPIED = "Occupied"
    OUT_OF_SERVICE = "Out of Service"
    RESERVED = "Reserved"
    UNKNOWN = "Unknown"


class Status(StrEnum):
    """A technical or temporary status: OCPP 1.6, OCPP 2.0.1 and OCPI words, and the four temporary ones."""

    MAINTENANCE = "Maintenance"
    COMMISSIONING = "Commissioning"
    BLOCKED = "Blocked"
    RESERVED = "Reserved"
    AVAILABLE = "Available"
    PREPARING = "Preparing"
    CHARGING = "Charging"
    SUSPENDED_EV = "SuspendedEV"
    SUSPENDED_EVSE = "SuspendedEVSE"
    FINISHING = "Finishing"
    OCCUPIED = "Occupied"
    UNAVAILABLE = "Unavailable"
    INOPERATIVE = "Inoperative"
    FAULTED = "Faulted"
    OUT_OF_ORDER = "OutOfOrder"
    OUT_OF_SERVICE = "OutOfService"
    PLANNED = "Planned"
    UNKNOWN = "Unknown"
    OFFLINE = "Offline"


class TemporaryStatus(StrEnum):
    """The four kinds of a window, in the order in which they win."""

    MAINTENANCE = "Maintenance"
    """Somebody works on it; replaces what the charger says."""

    COMMISSIONING = "Commissioning"
    """Not yet for the public; replaces what the charger says."""

    BLOCKED = "Blocked"
    """The way to it is blocked, as a parking sensor or a person sees it."""

    RESERVED = "Reserved"
    """Booked for somebody."""


@dataclass(frozen=True, slots=True)
class Translation:
    """One row of the table: what a status is called at Hubject, at roaming partners and in a driver's app."""

    oicp: OicpStatus
    ocpi: OcpiStatus
    driver: DriverStatus


_OUT_OF_SERVICE = Translation(OicpStatus.OUT_OF_SERVICE, OcpiStatus.INOPERATIVE, DriverStatus.OUT_OF_SERVICE)
_OUT_OF_ORDER = Translation(OicpStatus.OUT_OF_SERVICE, OcpiStatus.OUTOFORDER, DriverStatus.OUT_OF_SERVICE)
_PLANNED = Translation(OicpStatus.OUT_OF_SERVICE, OcpiStatus.PLANNED, DriverStatus.OUT_OF_SERVICE)
_BLOCKED = Translation(OicpStatus.OCCUPIED, OcpiStatus.BLOCKED, DriverStatus.BLOCKED)
_RESERVED = Translation(OicpStatus.RESERVED, OcpiStatus.RESERVED, DriverStatus.RESERVED)
_AVAILABLE = Translation(OicpStatus.AVAILABLE, OcpiStatus.AVAILABLE, DriverStatus.AVAILABLE)
_OCCUPIED = Translation(OicpStatus.OCCUPIED, OcpiStatus.CHARGING, DriverStatus.OCCUPIED)
_UNKNOWN = Translation(OicpStatus.UNKNOWN, OcpiStatus.UNKNOWN, DriverStatus.UNKNOWN)

TRANSLATIONS: Final[Mapping[Status, Translation]] = MappingProxyType(
    {
        Status.MAINTENANCE: _OUT_OF_SERVICE,
        Status.COMMISSIONING: _PLANNED,
        Status.BLOCKED: _BLOCKED,
        Status.RESERVED: _RESERVED,
        Status.AVAILABLE: _AVAILABLE,
        Status.PREPARING: _OCCUPIED,
        Status.CHARGING: _OCCUPIED,
        Status.SUSPENDED_EV: _OCCUPIED,
        Status.SUSPENDED_EVSE: _OCCUPIED,
        Status.FINISHING: _OCCUPIED,
        Status.OCCUPIED: _OCCUPIED,
        Status.UNAVAILABLE: _OUT_OF_SERVICE,
        Status.INOPERATIVE: _OUT_OF_SERVICE,
        Status.FAULTED: _OUT_OF_ORDER,
        Status.OUT_OF_ORDER: _OUT_OF_ORDER,
        Status.OUT_OF_SERVICE: _OUT_OF_ORDER,
        Status.PLANNED: _PLANNED,
        Status.UNKNOWN: _UNKNOWN,
        Status.OFFLINE: _UNKNOWN,
    }
)
"""The table of CONTRACT §4. Source: OCPP 1.6 §7.7, OCPI 2.2.1 §8.4.24, OICP 2.3 EvseStatusType."""

USABILITY: Final[Mapping[OicpStatus, int]] = MappingProxyType(
    {
        OicpStatus.OUT_OF_SERVICE: 0,
        OicpStatus.OCCUPIED: 1,
        OicpStatus.RESERVED: 2,
        OicpStatus.UNKNOWN: 3,
        OicpStatus.AVAILABLE: 4,
    }
)
"""The less usable a status, the smaller its number. Unknown promises nothing, so it is less usable than Available."""

REMOVED: Final = "removed"
"""The word, normalised, with which a row of `evse_status` withdraws its EVSE from the hub."""

_NEVER_AVAILABLE: Final = tuple(s for s, row in TRANSLATIONS.items() if row.oicp is OicpStatus.OUT_OF_SERVICE)
_FOLD: Final = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz", "_- ")


def normalise(word: str) -> str:
    """Return the form in which all spellings of a status word are equal; the store computes the same in SQL."""
    return word.translate(_FOLD)


_BY_WORD: Final[Mapping[str, Status]] = MappingProxyType({normalise(status): status for status in Status})


def parse_status(word: str) -> Status | None:
    """Return the status that a word of the store names, None when the table does not know it."""
    return _BY_WORD.get(normalise(word))


def is_removed(word: str) -> bool:
    """Tell whether a word of the store withdraws the EVSE from the hub."""
    return normalise(word) == REMOVED


class StatusMapping:
    """The OICP column of the table with an operator's overrides."""

    def __init__(self, overrides: Mapping[Status, OicpStatus] | None = None) -> None:
        """
        Refuse an override that would show a charger as usable that is not.

        Raises:
            MappingRefusedError: A status that means out of service would be published as Available.
        """
        self.overrides: Mapping[Status, OicpStatus] = MappingProxyType(dict(overrides or {}))
        for status in _NEVER_AVAILABLE:
            if self.overrides.get(status) is OicpStatus.AVAILABLE:
                raise MappingRefusedError(status=status)
        self._oicp = {status: self.overrides.get(status, row.oicp) for status, row in TRANSLATIONS.items()}

    def oicp(self, status: Status) -> OicpStatus:
        """Return what is published at Hubject for a status."""
        return self._oicp[status]

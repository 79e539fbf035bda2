"""Lists the worlds that are searched, each small enough to be told in a line."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from oicp_adapter.domain.statuses import TemporaryStatus

from .scenario import SECOND, TINY, Budget, Scenario, WindowPlan

FLIPPING: Final = ("Available", "Charging")

ALL: Final[Sequence[Scenario]] = (
    Scenario(
        "deep",
        rows=("Available",),
        words=FLIPPING,
        removable=((0,),),
        budget=Budget(writes=3, faults=2, crashes=1, pauses=1),
        quota=130_000,
        least=130_000,
    ),
    Scenario(
        "deep, lenient",
        rows=("Available",),
        words=FLIPPING,
        removable=((0,),),
        budget=Budget(writes=3, faults=2, crashes=1, pauses=1),
        strict=False,
        quota=90_000,
        least=90_000,
    ),
    Scenario(
        "one process only",
        rows=("Available",),
        words=FLIPPING,
        budget=Budget(writes=2, faults=1, crashes=2),
        sole=True,
        quota=None,
        least=18_000,
    ),
    Scenario(
        "coming and going",
        rows=(None,),
        words=FLIPPING,
        removable=((0,),),
        budget=Budget(writes=3, faults=2, crashes=1),
        refuse_unknown_deletes=True,
        explain=True,
        quota=110_000,
        least=110_000,
    ),
    Scenario(
        "windows",
        rows=("Available",),
        words=FLIPPING,
        windows=(
            WindowPlan(0, TemporaryStatus.MAINTENANCE, 2 * SECOND, 5 * SECOND),
            WindowPlan(0, TemporaryStatus.RESERVED, 0 * SECOND, 2 * SECOND),
        ),
        budget=Budget(writes=3, faults=1, crashes=1, pauses=1),
        quota=90_000,
        least=90_000,
    ),
    Scenario(
        "wide",
        rows=("Available", "Available", "Charging"),
        words=FLIPPING,
        writable=(0, 1),
        removable=((2,),),
        budget=Budget(writes=3, faults=1, crashes=1),
        answers=("half performed, 009",),
        policy=replace(TINY, max_records=2),
        quota=60_000,
        least=60_000,
    ),
    Scenario(
        "replicas",
        rows=("Available",),
        words=FLIPPING,
        budget=Budget(writes=2, faults=1, crashes=1, pauses=2, handovers=1),
        replicas=2,
        quota=100_000,
        least=100_000,
    ),
    Scenario(
        "read in two steps",
        rows=("Available", "Available"),
        words=FLIPPING,
        writable=(0, 1),
        removable=((1,),),
        budget=Budget(writes=3, faults=1, crashes=1),
        split_read=True,
        quota=60_000,
        least=60_000,
    ),
    Scenario(
        "in company",
        rows=("Available", "Available"),
        words=FLIPPING,
        writable=(0, 1),
        removable=((1,),),
        budget=Budget(writes=3, faults=2),
        quota=70_000,
        least=70_000,
    ),
    Scenario(
        "guard",
        rows=("Available",) * 7,
        words=FLIPPING,
        writable=(6,),
        removable=(tuple(range(3)), tuple(range(3, 7))),
        budget=Budget(writes=3, faults=1, crashes=1, approvals=1),
        quota=40_000,
        least=40_000,
    ),
    Scenario(
        "poison",
        rows=("Available", "Available", "Available"),
        words=FLIPPING,
        writable=(0, 1, 2),
        budget=Budget(writes=4),
        poison=0,
        patience=2,
        quota=None,
        least=90_000,
    ),
    Scenario(
        "rate",
        rows=("Available", "Available"),
        words=FLIPPING,
        writable=(0, 1),
        budget=Budget(writes=3, faults=1, crashes=1),
        policy=replace(TINY, requests_per_minute=2),
        slow=300 * SECOND,
        quota=None,
        least=42_000,
    ),
    Scenario(
        "full load",
        rows=("Available", "Charging"),
        words=FLIPPING,
        writable=(0,),
        removable=((1,),),
        budget=Budget(writes=2, faults=1, crashes=1, pauses=1, full_loads=1),
        quota=60_000,
        least=60_000,
    ),
    Scenario(
        "errors",
        rows=("Available", "Available"),
        words=FLIPPING,
        writable=(0, 1),
        budget=Budget(writes=2, faults=3),
        answers=("performed, 503", "429", "401", "undecodable"),
        draw=0.5,
        slow=10 * SECOND,
        quota=70_000,
        least=70_000,
    ),
)


def named(name: str) -> Scenario:
    """
    Return the scenario of that name.

    Raises:
        KeyError: There is none.
    """
    return {scenario.name: scenario for scenario in ALL}[name]

"""A daemon whose hints somebody dropped or broke goes on by the sweep: FAULTS.md F41."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from oicp_adapter.store.engine import Store, open_store
from oicp_adapter.store.migrate import check, upgrade

from .conftest import Bench

BREAKS = {
    "dropped": "DROP TABLE oicp_hint",
    "renamed": "ALTER TABLE oicp_hint RENAME TO hidden",
    "another column": "ALTER TABLE oicp_hint RENAME COLUMN evse_key TO key",
}


def without_triggers(bench: Bench) -> None:
    """Drop the triggers in SQLite, whose writers could not go on."""
    if bench.store.dialect == "sqlite":
        for row in bench.sql("SELECT name FROM sqlite_master WHERE type = 'trigger'"):
            bench.sql(f"DROP TRIGGER {row.name}")


@contextmanager
def migrating(bench: Bench, request: pytest.FixtureRequest) -> Iterator[Store]:
    """Open the store without the schema in which the test keeps PostgreSQL's clock."""
    if bench.store.dialect == "sqlite":
        yield bench.store
        return
    url = request.getfixturevalue("pg_url")
    with open_store(f"{url}{'&' if '?' in url else '?'}options=-csearch_path%3Dpublic") as store:
        yield store


@pytest.mark.parametrize("statement", BREAKS.values(), ids=BREAKS)
def test_without_its_hints_a_lane_goes_on_by_the_sweep_and_an_upgrade_brings_them_back(
    bench: Bench, statement: str, request: pytest.FixtureRequest
) -> None:
    bench.fleet(5)
    lane = bench.lane(sweep_every=60.0)
    lane.quiet()
    without_triggers(bench)
    bench.sql(statement)
    bench.write("DE*ABC*E1", "Faulted")
    lane.store.close()  # whatever it had prepared
    lane.pass_time(minutes=3)
    assert lane.at_hub()["DEABCE1"] == "OutOfService"
    assert len(bench.events("hints.unusable")) == 1
    with migrating(bench, request) as store:
        assert upgrade(store) == check(store)
    lane.pass_time(minutes=3)
    assert len(bench.events("hints.unusable")) == 1
    assert len(bench.events("hints.usable")) == 1
    bench.write("DE*ABC*E2", "Faulted")
    assert bench.hints() == 1
    lane.quiet()
    assert lane.at_hub()["DEABCE2"] == "OutOfService"
    assert bench.hints() == 0


def test_a_turn_on_a_connection_whose_hints_vanish_ends_in_an_error_and_the_next_one_goes_on(bench: Bench) -> None:
    bench.fleet(5)
    lane = bench.lane(sweep_every=60.0)
    lane.quiet()
    without_triggers(bench)
    bench.sql("ALTER TABLE oicp_hint RENAME TO hidden")
    with pytest.raises(Exception, match="oicp_hint"):
        lane.quiet()
    lane.quiet()
    assert lane.worker._epoch is not None

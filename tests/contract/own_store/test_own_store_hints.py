"""The guide's triggers leave a hint for every change, and harm no writer."""

import time
from contextlib import closing, suppress

import psycopg
import pytest

from oicp_adapter.domain.statuses import StatusMapping
from oicp_adapter.store.lanes import LaneStore

from .conftest import LANE, connected, guide


@pytest.fixture
def hinting(two_roles: str) -> str:
    """The same with the guide's triggers, which the writer's role may use."""
    _, triggers, rights = guide("How soon a change arrives")
    with closing(connected(two_roles)) as admin:
        admin.execute(triggers)
        admin.execute(rights)
    return two_roles


def test_three_lines_of_sql_leave_a_hint_for_every_change(hinting, narrow_store):
    with (
        closing(LaneStore(narrow_store, LANE, StatusMapping())) as lane,
        closing(connected(hinting, "charging_writer")) as writer,
    ):
        for statement in (
            "INSERT INTO charging.connectors VALUES ('DE*ABC*E1', 'DE*ABC', 'Available')",
            "UPDATE charging.connectors SET state = 'Charging'",
            "DELETE FROM charging.connectors",
        ):
            assert not lane.look().hinted
            writer.execute(statement)
            assert lane.look().hinted, statement
            with closing(connected(hinting)) as admin:
                assert admin.execute("DELETE FROM oicp.oicp_hint RETURNING evse_key, operator_key").fetchall() == [
                    ("DEABCE1", None)
                ]


def test_a_row_without_an_id_costs_the_others_no_hint(hinting):
    with closing(connected(hinting, "charging_writer")) as writer, closing(connected(hinting)) as admin:
        writer.execute(
            "INSERT INTO charging.connectors VALUES ('DE*ABC*E1', 'DE*ABC', 'Available'), (NULL, 'DE*ABC', 'Available')"
        )
        assert admin.execute("SELECT evse_key FROM oicp.oicp_hint").fetchall() == [("DEABCE1",)]


def test_the_three_lines_alone_do_in_a_transaction_of_the_writers_own(hinting):
    (lines, _, _) = guide("How soon a change arrives")
    assert len(lines.strip().splitlines()) == 3
    with closing(connected(hinting, "charging_writer")) as writer:
        writer.execute("CREATE TEMPORARY TABLE changed AS SELECT '+49*810*000*438' AS evse_uid")
        writer.execute(lines)
    with closing(connected(hinting)) as admin:
        assert admin.execute("SELECT evse_key FROM oicp.oicp_hint").fetchall() == [("49810000438",)]


@pytest.mark.parametrize(
    "trouble",
    [
        "REVOKE ALL ON oicp.oicp_hint FROM charging_writer",
        "REVOKE ALL ON SCHEMA oicp FROM charging_writer",
        "ALTER TABLE oicp.oicp_hint RENAME TO elsewhere",
        "ALTER TABLE oicp.oicp_hint ADD COLUMN must int NOT NULL",
        "BEGIN; LOCK TABLE oicp.oicp_hint",
    ],
)
def test_nothing_that_goes_wrong_with_hints_fails_or_holds_the_writer(hinting, trouble):
    with closing(connected(hinting)) as admin, closing(connected(hinting, "charging_writer")) as writer:
        admin.execute(trouble)
        writer.execute("SET statement_timeout = '20s'")
        began = time.monotonic()
        writer.execute("INSERT INTO charging.connectors VALUES ('DE*ABC*E1', 'DE*ABC', 'Available')")
        assert time.monotonic() - began < 5
        assert writer.execute("SELECT count(*) FROM charging.connectors").fetchone() == (1,)
        with suppress(psycopg.Error):
            admin.execute("ROLLBACK")

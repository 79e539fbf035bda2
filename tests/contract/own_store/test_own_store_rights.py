"""The role of the guide may do what the adapter does, and nothing else."""

from contextlib import closing

import psycopg
import pytest

from oicp_adapter.checks.relations import relation_errors
from oicp_adapter.control.desk import Desk
from oicp_adapter.control.listing import count_windows, list_windows
from oicp_adapter.control.window_model import WindowRequest
from oicp_adapter.control.windows import set_window
from oicp_adapter.domain.access import EVERYTHING, Actor
from oicp_adapter.domain.errors import RequestRefusedError
from oicp_adapter.domain.statuses import StatusMapping, TemporaryStatus
from oicp_adapter.settings import Settings
from oicp_adapter.store.lanes import LaneStore
from oicp_adapter.store.migrate import check
from oicp_adapter.store.operations import adopt_store, request_full_load
from oicp_adapter.store.windows import WindowFilter, WindowState
from oicp_adapter.sync.model import Policy

from .conftest import LANE, connected, overviews

ANN = Actor("ann", None, EVERYTHING)
HUB = "https://hub.example/api/oicp"


def test_the_guides_role_can_do_all_that_the_daemon_and_the_control_service_do(two_roles, narrow_store, present):
    with closing(connected(two_roles)) as admin:
        admin.execute(
            "INSERT INTO charging.connectors SELECT 'DE*ABC*E' || n, 'DE*ABC', 'Available' FROM generate_series(1, 9) n"
        )
        admin.execute("INSERT INTO charging.blockings VALUES (1, 'DE*ABC*E1', now(), NULL, 'a car')")
        admin.execute("INSERT INTO oicp.oicp_hint (evse_key) VALUES ('DEABCE1')")
    assert list(relation_errors(narrow_store)) == []
    assert check(narrow_store).is_current
    with closing(LaneStore(narrow_store, LANE, StatusMapping(), hub_url=HUB)) as lane:
        assert lane.hintless is None
        lane.unrecognised()
        assert lane.look().hinted
        assert sum(page.registered for page in lane.sweep()) == 9
        with lane.transaction() as books:
            seen = books.observe_these(["DEABCE1"])
            assert [len(each.windows) for each in seen] == [1]
            books.save([present("DE*ABC*E1", books.now)])
            assert books.prepare_full_load().records == 9
            books.withdrawal_count()
            books.drop_full_load()
            books.forget(["DEABCE1"])
    desk = Desk(narrow_store, {"DE*ABC": LANE}, StatusMapping(), Settings())
    assert [each.record.evse_id for each in list_windows(desk, ANN, WindowFilter()).items] == ["DE*ABC*E1"]
    assert count_windows(desk, ANN, WindowFilter())[WindowState.ACTIVE] == 1
    assert len(overviews(narrow_store)) == 9
    request_full_load(narrow_store, LANE.lane, by="ann")
    adopt_store(narrow_store, LANE.lane, hub_url=HUB, by="ann", policy=Policy())
    with pytest.raises(RequestRefusedError, match="blockings_for_oicp"):
        set_window(desk, ANN, WindowRequest("DE*ABC*E1", TemporaryStatus.BLOCKED))


def test_the_guides_role_can_do_nothing_else(two_roles):
    with closing(connected(two_roles, "oicp_adapter")) as role:
        for statement in (
            "INSERT INTO charging.connectors VALUES ('E', 'O', 'Available')",
            "SELECT * FROM charging.connectors",
            'UPDATE charging."EVSE view" SET operator_id = NULL',
            "DELETE FROM charging.blockings_for_oicp",
            "INSERT INTO evse_status (evse_id, operator_id, status) VALUES ('E', 'O', 'x')",
            "INSERT INTO temporary_status (evse_id, status) VALUES ('E', 'Reserved')",
            "UPDATE evse_location SET location = 'x'",
            "UPDATE oicp_schema_version SET version_num = 'x'",
            "DELETE FROM oicp_audit",
            "CREATE TABLE oicp.more (id int)",
            "CREATE TABLE charging.more (id int)",
            "ALTER TABLE oicp_ledger ADD COLUMN more int",
            "TRUNCATE oicp_ledger",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                role.execute(statement)


@pytest.mark.parametrize(
    ("taken", "what", "cure"),
    [
        (
            'REVOKE SELECT ON charging."EVSE view" FROM oicp_adapter',
            "may not read evse_id, operator_id, status, changed_at",
            'GRANT SELECT ON "charging"."EVSE view" TO oicp_adapter',
        ),
        (
            "REVOKE USAGE ON SCHEMA charging FROM oicp_adapter",
            'may not use the schema "charging"',
            'GRANT USAGE ON SCHEMA "charging" TO oicp_adapter',
        ),
        (
            (
                'ALTER VIEW charging."EVSE view" OWNER TO charging_writer; REVOKE SELECT ON charging.connectors FROM'
                ' charging_writer; GRANT SELECT ON charging."EVSE view" TO oicp_adapter'
            ),
            "permission denied for table connectors",
            "give its owner the rights",
        ),
    ],
)
def test_a_right_that_is_missing_is_named_with_the_statement_that_gives_it(two_roles, narrow_store, taken, what, cure):
    with closing(connected(two_roles)) as admin:
        admin.execute(taken)
    found = next(iter(relation_errors(narrow_store)))
    assert what in found.what
    assert cure in found.cure
    with closing(connected(two_roles)) as admin:
        if cure.startswith("GRANT"):
            admin.execute(found.cure)
            assert list(relation_errors(narrow_store)) == []

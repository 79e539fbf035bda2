"""Relations of somebody else's stand in the place of the shared tables, are read everywhere and written nowhere."""

import ssl
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime

import httpx
import pytest
from sqlalchemy import alias, delete, insert, select, text, update
from starlette.applications import Starlette

from oicp_adapter.api.app import api_app
from oicp_adapter.control.access import NewToken, create_token, session, sign_in
from oicp_adapter.control.desk import Desk
from oicp_adapter.control.listing import list_windows
from oicp_adapter.control.rates import RateLimits
from oicp_adapter.domain.access import EVERYTHING, Actor
from oicp_adapter.domain.errors import Refusal, RequestRefusedError, StoreSchemaError
from oicp_adapter.domain.statuses import OicpStatus, Status, StatusMapping, TemporaryStatus
from oicp_adapter.page.gate import COOKIE
from oicp_adapter.page.router import page_router
from oicp_adapter.serving import BackgroundServer
from oicp_adapter.settings import Settings
from oicp_adapter.settings_values import RelationName
from oicp_adapter.store import sweep
from oicp_adapter.store.engine import Store, open_store
from oicp_adapter.store.fleet_import import import_fleet
from oicp_adapter.store.lanes import LaneStore
from oicp_adapter.store.overview import lane_census, unmapped_words, windows_of_no_evse
from oicp_adapter.store.places import places_of
from oicp_adapter.store.relations import Relations, source_of
from oicp_adapter.store.schema import evse_status, temporary_status
from oicp_adapter.store.temporary import NewWindow, find_window, insert_windows, list_temporary, update_window
from oicp_adapter.store.transactions import raw
from oicp_adapter.store.windows import WindowFilter

from .conftest import LANE, STATUS, overviews

NOW = datetime(2026, 3, 29, 12, tzinfo=UTC)
ANN = Actor("ann", None, EVERYTHING)
TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Never used; to read the system's authorities takes longer than most tests."""


def test_all_readers_see_the_customers_rows_and_none_of_our_own_tables(store, sql, charge):
    sql("INSERT INTO evse_status (evse_id, operator_id, status) VALUES ('DE*ABC*E99', 'DE*ABC', 'Available')")
    charge("DE*ABC*E1", "Charging")
    charge("DE*ABC*E2", "Party")
    charge("DE*XYZ*E1", cpo="DE*XYZ")
    charge.block(7, "DEABCE1")
    charge.block(8, "DE*ABC*E77")
    shown = overviews(store)
    assert {key: each.technical for key, each in shown.items()} == {
        "DE*ABC*E1": "Charging",
        "DE*ABC*E2": "Party",
        "DE*XYZ*E1": "Available",
    }
    assert shown["DE*ABC*E1"].resolution.effective is Status.BLOCKED
    assert [each.text for each in unmapped_words(store)] == ["Party"]
    assert windows_of_no_evse(store, examples=3) == (1, ["DE*ABC*E77"])
    assert lane_census(store, LANE).windows[TemporaryStatus.BLOCKED, "active"] == 1
    assert [(each.window.id, each.reason) for each in list_temporary(store)] == [(7, "a car"), (8, "a car")]
    with store.reading() as connection:
        assert set(places_of(connection, ["DEABCE1", "DEABCE99"])) == {"DEABCE1"}


def test_without_any_hint_a_sweep_finds_what_changed_and_what_vanished(store, sql, lane: LaneStore, charge, present):
    for number in range(1, 6):
        charge(f"DE*ABC*E{number}")
    assert sum(page.registered for page in lane.sweep(page=2)) == 5
    with lane.transaction() as books:
        books.save([present(f"DE*ABC*E{number}", books.now) for number in range(1, 6)])
    assert sum(page.differing for page in lane.sweep(page=2)) == 0
    schema = "charging." if store.dialect == "postgresql" else ""
    sql(f"UPDATE {schema}connectors SET state = 'Faulted' WHERE evse_uid = 'DE*ABC*E2'")
    sql(f"DELETE FROM {schema}connectors WHERE evse_uid = 'DE*ABC*E4'")
    charge.block(1, "de*abc*e5")
    list(lane.sweep(page=2))
    due = sql("SELECT canonical FROM oicp_ledger WHERE pending_since IS NOT NULL ORDER BY canonical")
    assert [row[0] for row in due] == ["DEABCE2", "DEABCE4", "DEABCE5"]


def test_windows_that_follow_one_whose_start_is_no_instant_are_listed(store, sql, charge):
    if store.dialect == "postgresql":
        pytest.skip("a column of PostgreSQL has a type")
    for number in range(1, 8):
        charge.block(number, "DE*ABC*E1")
    sql("UPDATE blockings SET begins = 'soon' WHERE number IN (2, 3, 6)")
    desk = Desk(store, {"DE*ABC": LANE}, StatusMapping(), Settings())
    first = list_windows(desk, ANN, WindowFilter(), limit=2)
    rest = list_windows(desk, ANN, WindowFilter(), limit=2, after=first.next)
    assert [[each.record.window.id for each in page.items] for page in (first, rest)] == [[1, 4], [5, 7]]
    assert rest.next is None


def test_a_relation_that_is_gone_withdraws_nothing(store, sql, lane: LaneStore, charge, present):
    charge("DE*ABC*E1")
    list(lane.sweep())
    with lane.transaction() as books:
        books.save([present("DE*ABC*E1", books.now)])
    before = sql("SELECT canonical, due_at, pending_since, withdrawn_at FROM oicp_ledger")
    schema = "charging." if store.dialect == "postgresql" else ""
    sql(f'DROP VIEW {schema}"EVSE view"')
    with pytest.raises(StoreSchemaError):
        list(lane.sweep())
    with pytest.raises(StoreSchemaError), lane.transaction() as books:
        books.observe_these(["DEABCE1"])
    assert sql("SELECT canonical, due_at, pending_since, withdrawn_at FROM oicp_ledger") == before


def test_a_full_load_carries_the_customers_rows(store, sql, lane: LaneStore, charge):
    for number in range(1, 4):
        charge(f"DE*ABC*E{number}")
    charge.block(1, "DEABCE2")
    list(lane.sweep())
    with lane.transaction() as books:
        assert books.prepare_full_load().records == 3
    carried = sql("SELECT canonical, status FROM oicp_full_load ORDER BY canonical")
    assert [row[1] for row in carried] == [OicpStatus.AVAILABLE, OicpStatus.OCCUPIED, OicpStatus.AVAILABLE]


def test_a_row_that_lacks_what_a_row_must_have_is_none_and_a_status_that_is_not_known_is_unknown(
    store, lane: LaneStore, charge
):
    charge("DE*ABC*E1", None)
    charge(None)
    charge("DE*ABC*E2", cpo=None)
    charge("DE*ABC*E3")
    charge.block(1, None)
    charge.block(2, "DE*ABC*E3", begins=None)
    shown = overviews(store)
    assert {key: each.resolution.oicp for key, each in shown.items()} == {
        "DE*ABC*E1": OicpStatus.UNKNOWN,
        "DE*ABC*E3": OicpStatus.AVAILABLE,
    }
    assert sum(page.registered for page in lane.sweep(page=1)) == 2
    assert list(list_temporary(store)) == []


def refused(store: Store, do) -> str:
    with pytest.raises(RequestRefusedError) as caught, store.writing() as connection:
        do(connection)
    assert caught.value.refusal is Refusal.NOT_PERMITTED
    return str(caught.value)


def test_nothing_is_ever_written_to_what_is_somebody_elses(store, sql, charge):
    charge("DE*ABC*E1")
    charge.block(1, "DE*ABC*E1")
    new = NewWindow("DE*ABC*E1", TemporaryStatus.RESERVED, NOW, None)
    said = refused(store, lambda connection: insert_windows(connection, [new], NOW))
    assert "blockings_for_oicp" in said
    assert "store.temporary_relation" in said
    refused(store, lambda connection: update_window(connection, 1, {"ended_at": NOW}, NOW))
    refused(store, lambda connection: find_window(connection, 1, locked=True))
    refused(store, lambda connection: connection.execute(insert(temporary_status).values(evse_id="x")))
    refused(store, lambda connection: connection.execute(update(evse_status).values(status="x")))
    assert "EVSE view" in refused(store, lambda connection: connection.execute(delete(evse_status)))
    with pytest.raises(RequestRefusedError, match="status_relation"):
        import_fleet(store, [])
    for own in ("evse_status", "temporary_status", "oicp_window"):
        assert sql(f"SELECT count(*) FROM {own}") == [(0,)]


def test_what_was_noted_of_a_window_of_our_own_is_not_told_of_a_strangers_of_the_same_number(store, sql, charge):
    charge("DE*ABC*E1")
    charge.block(1, "DE*ABC*E1")
    sql("INSERT INTO oicp_window (window_id, token_id, time_zone) VALUES (1, 'token', 'Europe/Berlin')")
    with store.reading() as connection:
        found = find_window(connection, 1)
    assert (found.token_id, found.time_zone) == (None, None)


def test_an_alias_of_a_table_stands_for_the_same_rows(store, charge):
    charge("DE*ABC*E1")
    other = alias(evse_status, "other")
    with store.reading() as connection:
        joined = select(other.c.evse_id).join_from(evse_status, other, evse_status.c.evse_id == other.c.evse_id)
        assert connection.execute(joined).scalars().all() == ["DE*ABC*E1"]
        spelt = f"SELECT s.evse_id FROM {source_of(connection, evse_status)} AS s"
        assert raw(connection).execute(spelt).fetchall() == [("DE*ABC*E1",)]
        assert source_of(connection, temporary_status) != "temporary_status"


def test_without_a_temporary_relation_windows_are_kept_in_our_own_table(charging_url):
    with open_store(charging_url, relations=Relations(STATUS)) as store:
        new = NewWindow("DE*ABC*E1", TemporaryStatus.RESERVED, NOW, None, token_id="t")
        with store.writing() as connection:
            connection.execute(text("INSERT INTO charging.connectors VALUES ('DE*ABC*E1', 'DE*ABC', 'Available')"))
            (key,) = insert_windows(connection, [new], NOW)
            update_window(connection, key, {"reason": "a fair"}, NOW)
        assert overviews(store)["DE*ABC*E1"].resolution.effective is Status.RESERVED
        with closing(LaneStore(store, LANE, StatusMapping())) as lane:
            assert lane.look().hinted, "our own trigger speaks of windows as ever"


def test_our_own_tables_under_their_own_names_are_our_own(pg_url, monkeypatch):
    with open_store(
        pg_url, relations=Relations(RelationName("evse_status"), RelationName("temporary_status"))
    ) as store:
        assert import_fleet(store, [{"evse_id": "DE*ABC*E1", "operator_id": "DE*ABC", "status": "x"}]).inserted == 1
        monkeypatch.setattr(sweep, "whole_table", None)  # windows of our own table are found by their key
        with closing(LaneStore(store, LANE, StatusMapping())) as lane:
            assert sum(page.registered for page in lane.sweep()) == 1


def test_api_and_page_show_the_customers_windows_and_say_that_they_are_not_set_here(store, charge):
    charge("DE*ABC*E1")
    charge.block(1, "DE*ABC*E1")
    desk = Desk(store, {"DE*ABC": LANE}, StatusMapping(), Settings())
    new = NewToken(name="ann", scopes=EVERYTHING.scopes, kinds=EVERYTHING.kinds, requests_per_minute=6000)
    _, token = create_token(desk, ANN, new)
    begun = sign_in(desk, token)
    wanted = {"evseId": "DE*ABC*E1", "temporaryStatus": "BLOCKED"}
    windows = "/v2/temporary-evse-statuses"
    with served(api_app(desk, RateLimits()), {"Authorization": f"Bearer {token}"}) as api:
        (listed,) = api.get(windows, params={"evseId": "DE*ABC*E1"}).json()
        assert (listed["id"], listed["temporaryStatus"]) == (1, "BLOCKED")
        for answer in (
            api.post(windows, json=wanted, headers={"Idempotency-Key": "once"}),
            api.patch(f"{windows}/1", json={"reason": "snow"}),
            api.delete(f"{windows}/1"),
        ):
            assert (answer.status_code, answer.json()["type"]) == (403, "/problems/not-permitted")
            assert "which the adapter never writes" in answer.json()["detail"]
    page = Starlette(routes=page_router(desk, limits=RateLimits()).routes)
    with served(page, {"Cookie": f"{COOKIE}={begun.secret}", "Sec-Fetch-Site": "same-origin"}) as browser:
        for path in ("/", "/windows", "/windows/1", "/timeline"):
            assert browser.get(path).status_code == 200, path
        answer = browser.post("/windows/1/end", data={"csrf": session(desk, begun.secret).csrf})
        assert answer.status_code == 403
        assert "temporary statuses are read from" in answer.text
        assert "change them where they come from" in answer.text


@contextmanager
def served(application, headers) -> Iterator[httpx.Client]:
    server = BackgroundServer(application, host="127.0.0.1", port=0, what="API")
    server.start()
    try:
        with httpx.Client(base_url=server.url, headers=headers, trust_env=False, verify=TLS, timeout=30) as client:
            yield client
    finally:
        server.stop()

import pytest

from benchmarks import bare
from benchmarks.fleet import BARE_OPERATOR, Fleet
from benchmarks.hub import Hub
from benchmarks.prototype import Database, database, drain, read_all
from benchmarks.stores import Writer


def acknowledged(rows: Database) -> dict[str, str]:
    found = rows._driver.execute("SELECT evse_id, acknowledged FROM oicp_ledger").fetchall()
    rows._driver.rollback()
    return dict(found)


def test_it_lets_the_hub_and_the_ledger_hold_what_the_store_says(filled: tuple[str, Writer], hub: Hub) -> None:
    url, writer = filled
    fleet = Fleet(BARE_OPERATOR, 2500)
    writer.insert(fleet)
    with database(url) as rows, bare.BareClient(hub) as client:
        assert read_all(rows) > 0
        rows.write_ledger()
        rows.prepare()
        bare.load(hub, fleet)
        assert acknowledged(rows) == fleet.expected()
        writer.update(fleet.change(2100))
        assert drain(rows, client) == 2100
        assert acknowledged(rows) == fleet.expected()
    hub.wait_until_equal(BARE_OPERATOR, fleet.expected(), within=5)
    assert not writer.hints_left()


def test_an_intent_stands_in_the_store_while_its_request_is_out(
    filled: tuple[str, Writer], hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, writer = filled
    fleet = Fleet(BARE_OPERATOR, 10)
    writer.insert(fleet)
    with database(url) as rows, bare.BareClient(hub) as client, database(url) as beside:
        rows.write_ledger()
        rows.prepare()
        bare.load(hub, fleet)
        seen = []
        post = client.post

        def observed(content: bytes) -> None:
            seen.append(len(beside._driver.execute("SELECT records FROM oicp_intent").fetchall()))
            beside._driver.rollback()
            post(content)

        monkeypatch.setattr(client, "post", observed)
        writer.update(fleet.change(3))
        drain(rows, client)
        left = beside._driver.execute("SELECT records FROM oicp_intent").fetchall()
    assert seen == [1]
    assert left == []

"""The whole way, from a click to what the real daemon told the real simulator, in a real browser."""

import re
from datetime import timedelta

import pytest
from playwright.sync_api import expect

from oicp_adapter.simulator.wire import CODE_TEXTS

EVIL = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"


def fleet(house, eventually, size=4):
    for number in range(size):
        house.evse(f"DE*ABC*E{number}", box=f"CB-{number // 2}")
    eventually(lambda: house.at_hub(f"DE*ABC*E{size - 1}") == "Available")


def test_from_signing_in_to_the_acknowledgement_and_back(build, sign_in, eventually):
    house = build(alive=True)
    fleet(house, eventually)
    page = sign_in(house)
    page.get_by_role("link", name="Set a status for DE*ABC*E1").click()
    page.get_by_text("1 EVSE chosen").wait_for()
    page.get_by_role("radio", name="Maintenance").press("Space")
    page.get_by_role("button", name="2 h", exact=True).click()
    page.get_by_text("after 2 h").wait_for()
    page.get_by_label("Reason, for whoever asks later").fill("new contactor")
    page.get_by_role("button", name="Review").click()
    page.get_by_text("new contactor").first.wait_for()
    page.get_by_role("button", name="Set Maintenance for 1 EVSE").click()
    page.get_by_text("Hubject has acknowledged it").wait_for()
    measured = float(re.search(r"([\d.]+) s after the click", page.locator(".measured").inner_text())[1])
    assert house.at_hub("DE*ABC*E1") == "OutOfService"
    assert measured < 30.0  # under a second on a free machine; here it matters that it is measured
    [row] = house.windows()
    assert (row.created_by, row.reason, row.status) == ("Night shift", "new contactor", "Maintenance")

    page.goto(f"{house.url}/windows")
    line = page.get_by_role("row", name=re.compile(r"DE\*ABC\*E1"))
    line.get_by_text("in sync").wait_for()
    assert "new contactor" in line.inner_text()
    line.get_by_role("button", name="End now").click()
    page.get_by_text("Hubject has acknowledged it").wait_for()
    assert house.at_hub("DE*ABC*E1") == "Available"
    page.goto(f"{house.url}/windows/{row.id}")
    assert page.locator(".history li strong").all_inner_texts() == ["set", "ended"]

    # While one looks, a window begins, and the charger says something else.
    now = house.store.now()
    number = house.window("DE*ABC*E2", "Blocked", now + timedelta(seconds=12), now + timedelta(hours=1))
    page.goto(f"{house.url}/windows?tab=upcoming")
    line = page.locator(f'tr[data-row="{number}"]')
    assert "upcoming" in line.inner_text()
    assert page.get_by_role("link", name="Upcoming 1").is_visible()
    line.get_by_text("active", exact=True).wait_for()
    page.get_by_role("link", name="Upcoming 0").wait_for()
    line.get_by_text(re.compile("acknowledged today")).wait_for()
    assert house.at_hub("DE*ABC*E2") == "Occupied"
    page.goto(f"{house.url}/")
    row = page.get_by_role("row", name=re.compile(r"DE\*ABC\*E3"))
    assert "Available" in row.inner_text()
    house.sql("UPDATE evse_status SET status = 'Faulted' WHERE evse_id = 'DE*ABC*E3'")
    row.get_by_text("Out of Service").wait_for()
    row.get_by_text("OutOfService").wait_for()


def test_a_location_is_set_as_a_whole_and_a_refusal_of_the_hub_is_told_in_its_own_words(
    build, sign_in, eventually, monkeypatch
):
    monkeypatch.setitem(CODE_TEXTS, "018", EVIL)
    house = build(alive=True)
    fleet(house, eventually, size=24)
    house.evse("DE*ABC*E99", location="Elsewhere")
    house.will("poison", evse_id="DE*ABC*E3", poison="018", count=None)
    page = sign_in(house)
    page.goto(f"{house.url}/set")
    page.get_by_label("All of Mainz, Rheinufer").check()
    page.get_by_text("24 EVSEs chosen").wait_for()
    page.get_by_role("radio", name="Blocked").press("Space")
    page.get_by_role("button", name="Review").click()
    save = page.get_by_role("button", name="Set Blocked for 24 EVSEs")
    assert save.is_disabled()
    page.get_by_label("Type their number").fill("23")
    assert save.is_disabled()
    page.get_by_label("Type their number").fill("24")
    save.click()
    page.get_by_text("Hubject has refused 1 of 24: the rows say why").wait_for()
    assert {house.at_hub(f"DE*ABC*E{number}") for number in range(24)} == {"Occupied", "Available"}
    assert house.at_hub("DE*ABC*E99") == "Available"
    refused = page.get_by_role("row", name=re.compile(r"DE\*ABC\*E3 "))
    refused.get_by_text("refused", exact=True).wait_for()
    assert "<img src=x" in refused.inner_text()

    page.goto(f"{house.url}/health")
    page.get_by_role("heading", name="Refused by the hub").wait_for()
    assert "<img src=x" in page.locator("main").inner_text()
    assert page.locator("main img, main script").count() == 0
    assert page.title() != "owned"
    house.hub.faults.clear()
    page.get_by_role("button", name="Try these at once").click()
    page.get_by_text("They are tried again with the next request.").wait_for()
    assert page.url == f"{house.url}/health?done=released"
    eventually(lambda: house.at_hub("DE*ABC*E3") == "Occupied")
    [action] = house.sql("SELECT actor, action, subject FROM oicp_audit WHERE action LIKE 'quarantine%'")
    assert tuple(action) == ("Night shift", "quarantine.release", "DE*ABC*E3")


@pytest.mark.parametrize("way", ["a stream", "a page"])
def test_the_page_works_while_the_hub_and_the_daemon_are_down(build, sign_in, way):
    house = build()
    house.evse("DE*ABC*E1")
    page = sign_in(house)
    if way == "a stream":
        page.goto(f"{house.url}/set?evse=DE*ABC*E1")
        page.get_by_role("radio", name="Reserved").press("Space")
        page.get_by_role("button", name="Review").click()
        page.get_by_role("button", name="Set Reserved for 1 EVSE").click()
        page.get_by_text("Waiting for Hubject: 0 of 1 acknowledged").wait_for()
    else:
        page.goto(f"{house.url}/health")
        assert page.get_by_text("the daemon does not answer").first.is_visible()
        assert page.get_by_text("nobody leads it").is_visible()


def test_a_hub_that_is_lost_while_one_looks_is_waited_for_and_told_of(build, sign_in, eventually):
    house = build(alive=True)
    fleet(house, eventually, size=2)
    page = sign_in(house)
    page.goto(f"{house.url}/set?evse=DE*ABC*E1")
    page.get_by_role("radio", name="Maintenance").press("Space")
    page.get_by_role("button", name="Review").click()
    save = page.get_by_role("button", name="Set Maintenance for 1 EVSE")
    save.wait_for()
    health = page.context.new_page()
    health.goto(f"{house.url}/health")
    health.get_by_text("at work").wait_for()
    with house.without_hub():
        save.click()
        page.get_by_text("Waiting for Hubject: 0 of 1 acknowledged").wait_for()
        line = page.get_by_role("row", name=re.compile(r"DE\*ABC\*E1"))
        line.get_by_text("waiting", exact=True).wait_for()
        line.get_by_text("pending", exact=True).wait_for()
        health.get_by_text("waits before the next attempt").wait_for()
        health.get_by_text("the oldest since").wait_for()
        chargers = page.context.new_page()
        chargers.goto(f"{house.url}/")
        row = chargers.get_by_role("row", name=re.compile(r"DE\*ABC\*E1"))
        row.get_by_text("pending", exact=True).wait_for()
        assert house.at_hub("DE*ABC*E1") == "Available"
    # It tries again by itself; how long it waits is not looked at here.
    house.sql("UPDATE oicp_lane SET wait_until = NULL, failures = 0")
    page.get_by_text("Hubject has acknowledged it").wait_for()
    assert house.at_hub("DE*ABC*E1") == "OutOfService"
    row.get_by_text("in sync").wait_for()
    health.get_by_text("at work").wait_for()
    expect(health.get_by_text("the oldest since")).to_be_hidden()

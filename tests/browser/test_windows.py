"""The list of windows: tabs, filters, choosing several, changing one, the picture, and a browser without scripts."""

import re
from datetime import timedelta

import pytest
from playwright.sync_api import expect

from oicp_adapter.domain.access import Scope
from oicp_adapter.domain.statuses import TemporaryStatus

HOUR = timedelta(hours=1)


@pytest.fixture
def house(build):
    made = build()
    now = made.store.now()
    for number in range(25):
        made.evse(f"DE*ABC*E{number:02}", box=f"CB-{number // 5}")
    for number in range(23):
        made.window(f"DE*ABC*E{number:02}", "Blocked", now, now + 2 * HOUR, "street works")
    made.window("DE*ABC*E23", "Maintenance", now + 5 * HOUR, now + 8 * HOUR, "new contactor")
    made.window("DE*ABC*E23", "Reserved", now - 9 * HOUR, now - 8 * HOUR, "guest")
    made.window("DE*ABC*E24", "Commissioning", now + HOUR, None)
    return made


def test_tabs_count_sort_and_filter(house, sign_in):
    page = sign_in(house)
    page.get_by_role("link", name="Windows").click()
    expect(page.locator(".tabs a")).to_have_text(["Active 23", "Upcoming 2", "Past 1", "Timeline"])
    page.get_by_role("link", name="Upcoming 2").click()
    rows = page.locator("tbody th .id")
    expect(rows).to_have_text(["DE*ABC*E24", "DE*ABC*E23"])
    page.get_by_label("Sorted by").select_option("EVSE")
    page.get_by_role("button", name="Show").click()
    expect(rows).to_have_text(["DE*ABC*E23", "DE*ABC*E24"])
    page.get_by_label("EvseID, reason, reference or author").fill("CONTACTOR")
    page.get_by_role("button", name="Show").click()
    expect(rows).to_have_text(["DE*ABC*E23"])
    expect(page.locator(".tabs a")).to_have_text(["Active 0", "Upcoming 1", "Past 0", "Timeline"])
    page.get_by_role("link", name="Past 0").click()
    page.get_by_text("No window matches.").wait_for()
    page.get_by_role("link", name="Clear").click()
    expect(rows).to_have_text(["DE*ABC*E23"])
    assert page.get_by_role("button", name=re.compile("^End now")).count() == 0


def test_many_are_ended_only_when_their_number_is_typed_and_none_by_the_key_enter(house, sign_in):
    page = sign_in(house)
    page.goto(f"{house.url}/windows")
    expect(page.locator(".bulk").get_by_role("button", name="End now")).to_be_disabled()
    page.get_by_label("Choose window 1 of").check()
    page.get_by_label("New end", exact=True).focus()
    page.keyboard.press("Enter")
    page.get_by_text("the time is missing").wait_for()
    page.goto(f"{house.url}/windows")
    page.get_by_label("Choose all").check()
    page.get_by_text("23 of 23 chosen").wait_for()
    page.locator(".bulk").get_by_role("button", name="End now").click()
    page.get_by_role("heading", name="End 23 windows now").wait_for()
    page.get_by_label("Type their number").fill("22")
    page.get_by_role("button", name="End 23 windows now").click()
    page.get_by_text("the number is 23, not 22").first.wait_for()
    assert not any(row.ended_at for row in house.windows())
    page.get_by_label("Type their number").fill("23")
    page.get_by_role("button", name="End 23 windows now").click()
    page.get_by_role("heading", name="Ended: 23 windows").wait_for()
    assert sum(row.ended_by == "Night shift" for row in house.windows()) == 23


def test_some_are_prolonged_and_given_a_new_end(house, sign_in):
    page = sign_in(house)
    page.goto(f"{house.url}/windows?order=evse")
    before = {row.id: row.valid_to for row in house.windows()}
    page.get_by_label("Choose window 1 of").check()
    page.get_by_label("Choose window 3 of").check()
    page.get_by_text("2 of 23 chosen").wait_for()
    page.locator(".bulk").get_by_role("button", name="+1 h").click()
    page.get_by_role("heading", name="Extended: 2 windows").wait_for()
    after = {row.id: row.valid_to for row in house.windows()}
    assert [key for key in before if before[key] != after[key]] == [1, 3]
    page.goto(f"{house.url}/windows?order=evse")
    page.get_by_label("Choose window 2 of").check()
    page.get_by_label("New end", exact=True).fill("2031-01-01T10:00")
    page.get_by_role("button", name="Change end").click()
    page.get_by_role("heading", name="Changed: Blocked of DE*ABC*E01").wait_for()
    assert {row.id: row.valid_to for row in house.windows()}[2].startswith("2031-01-01 09:00")  # Berlin's winter


def test_one_is_changed_and_its_history_says_what_was_before(house, sign_in):
    page = sign_in(house)
    page.goto(f"{house.url}/windows/24")
    page.get_by_label("Reason").fill("two contactors")
    page.locator("#field-start").fill("2030-06-03T08:00")
    page.locator("#field-end").fill("2030-06-03T07:00")
    page.get_by_role("button", name="Save the change").click()
    page.locator("#problem-end").get_by_text("is not after validFrom").wait_for()
    assert page.get_by_label("Reason").input_value() == "two contactors"
    page.locator("#field-end").fill("2030-06-03T12:00")
    page.get_by_role("button", name="Save the change").click()
    page.get_by_text("nothing to tell Hubject before it starts").wait_for()
    page.goto(f"{house.url}/windows/24")
    text = page.locator(".history").inner_text()
    assert "by Night shift" in text
    assert re.search(r"end: .*Mon 3 Jun 2030 12:00 CEST \(10:00 UTC\)", text.replace("\n", ""))
    assert re.search(r"reason: .*new contactor.*two contactors", text.replace("\n", ""))


def test_what_somebody_else_changed_meanwhile_is_not_overwritten(house, sign_in):
    page = sign_in(house)
    page.goto(f"{house.url}/windows/1")
    house.sql("UPDATE temporary_status SET reason = 'theirs' WHERE id = 1")
    page.get_by_label("Reason").fill("mine")
    page.get_by_role("button", name="Save the change").click()
    page.get_by_text("temporary status 1 was changed since you read it").first.wait_for()
    assert house.windows()[0].reason == "theirs"


def test_what_is_over_or_not_there_is_told_in_words(house, sign_in):
    page = sign_in(house)
    page.goto(f"{house.url}/windows/1")
    house.sql("UPDATE temporary_status SET ended_at = valid_from WHERE id = 1")
    page.get_by_role("button", name="+1 h").click()
    page.get_by_text("temporary status 1 has been over since").wait_for()
    for path, words in (
        ("windows/999", "there is no temporary status 999"),
        ("windows/x", "there is no window x"),
        ("evse?id=DE*ABC*E99", "no EVSE DE*ABC*E99 is in the store"),
        ("nowhere", "there is no page /nowhere"),
        ("windows?after=nonsense", "the cursor is none of this list"),
    ):
        page.goto(f"{house.url}/{path}")
        page.get_by_text(words).wait_for()


def test_the_picture_leads_to_each_window(house, sign_in):
    page = sign_in(house)
    page.goto(f"{house.url}/timeline?days=1")
    assert page.locator("svg .bar").count() == 25
    page.get_by_role("link", name="Maintenance of DE*ABC*E23").click()
    page.get_by_role("heading", name="Maintenance of DE*ABC*E23").wait_for()


def test_everything_of_substance_works_without_scripts(house, plain_page):
    page = plain_page(house)
    page.get_by_role("link", name="Set a status for DE*ABC*E24").click()
    page.locator('[name="kind"][value="Reserved"]').press("Space")
    page.get_by_role("button", name="Review").click()
    page.get_by_role("button", name="Set Reserved for 1 EVSE").click()
    page.get_by_text("Waiting for Hubject: 0 of 1 acknowledged").wait_for()
    page.get_by_role("link", name="DE*ABC*E24").click()
    page.get_by_role("button", name="End now").click()
    page.get_by_role("heading", name="Ended: Reserved of DE*ABC*E24").wait_for()
    page.goto(f"{house.url}/windows")
    page.get_by_label("Choose window 1 of").check()
    page.locator(".bulk").get_by_role("button", name="End now").click()
    page.get_by_role("heading", name="Ended: Blocked of DE*ABC*E00").wait_for()


def test_times_are_shown_in_the_zone_that_the_reader_chose(house, sign_in):
    page = sign_in(house)
    page.get_by_role("link", name="EVSE's own time").click()
    page.get_by_label("Show times in").select_option("Asia/Tokyo")
    page.get_by_role("button", name="Use it").click()
    page.get_by_role("link", name="Asia/Tokyo").wait_for()
    page.goto(f"{house.url}/windows")
    page.locator("tbody").get_by_text("JST").first.wait_for()
    assert "CE" not in page.locator("tbody td[data-label=From]").first.inner_text()


def test_what_begins_and_what_ends_while_one_looks_is_told(house, sign_in):
    page = sign_in(house)
    page.goto(f"{house.url}/windows?kind=Maintenance")
    page.get_by_text("live", exact=True).wait_for()
    news = page.locator(".news")
    expect(news).to_be_hidden()
    now = house.store.now()
    key = house.window("DE*ABC*E24", "Maintenance", now, now + HOUR)
    page.get_by_text("One more window belongs here by now.").wait_for()
    news.get_by_role("link").click()
    end = page.get_by_role("button", name=f"End now: window {key} of")
    end.wait_for()
    expect(news).to_be_hidden()
    house.sql("UPDATE temporary_status SET ended_at = :now WHERE id = :key", now=str(now)[:26], key=key)
    page.get_by_role("row", name=re.compile(r"DE\*ABC\*E24")).get_by_text("ended", exact=True).wait_for()
    expect(end).to_be_hidden()
    page.evaluate("key => document.querySelector(`[formaction='/windows/${key}/end']`).click()", key)
    page.get_by_role("alert").get_by_text("it was over already").wait_for()


def test_a_token_that_changes_only_its_own_has_no_buttons_for_what_others_set(house, sign_in):
    token = house.token_of("Booking", scopes=frozenset({Scope.READ, Scope.SET}), kinds=frozenset(TemporaryStatus))
    page = sign_in(house, token)
    page.goto(f"{house.url}/windows")
    assert page.locator("tbody tr").count() == 23
    assert page.get_by_role("button", name=re.compile("^(End now|[+]1 h):")).count() == 0
    assert page.get_by_label("Choose window").count() == 0
    page.goto(f"{house.url}/windows/1")
    assert page.get_by_role("link", name="Duplicate").is_visible()
    assert page.get_by_role("button", name="End now").count() == 0


def test_filters_offer_a_narrow_token_its_own_locations_and_everybody_else_all(house, sign_in):
    house.evse("DE*ABC*E99", location="Torstraße 140, Berlin")
    narrow = house.token_of("Berlin", scopes=frozenset({Scope.READ}), locations=frozenset({"Torstraße 140, Berlin"}))
    page = sign_in(house, narrow)
    everywhere = ["any", "Mainz, Rheinufer", "Torstraße 140, Berlin"]
    for token, offered in [(narrow, everywhere[::2]), (None, everywhere), (narrow, everywhere[::2])]:
        page.get_by_role("button", name="Sign out").click()
        sign_in(house, token)
        page.goto(f"{house.url}/windows")
        assert page.get_by_label("Location").locator("option").all_inner_texts() == offered

"""The form in which a status is set: what it says while it is filled in, and every error, beside its field."""

import json
import os
import re
import shutil
import subprocess
from datetime import timedelta

import pytest
from playwright.sync_api import expect

from oicp_adapter.domain.access import Scope
from oicp_adapter.domain.statuses import TemporaryStatus

READ_AND_SET = frozenset({Scope.READ, Scope.SET})


@pytest.fixture
def house(build):
    made = build()
    made.evse("DE*ABC*E1")
    made.evse("DE*ABC*E2")
    made.evse("DE*ABC*E3", "Faulted", location="Torstraße 140, Berlin", box="CB-2")
    return made


EMPTY = dict.fromkeys(("pattern", "start", "end", "reason", "reference"), "")


def fill(page, house, *, again=False, **fields):
    """Fill the form in, or the one that came back; what is not named is as in a form that is right."""
    if not again:
        page.goto(f"{house.url}/set")
    values = {"pasted": "DE*ABC*E1", "kind": "Maintenance", "begins": "now", "ends": "after", "amount": "4"} | fields
    values = (EMPTY | {"unit": "hours"} | values) if again else values
    for name, value in values.items():
        field = page.locator(f'[name="{name}"]').first
        if name in {"kind", "begins", "ends"}:
            page.locator(f'[name="{name}"][value="{value}"]').press("Space")
        elif name in {"zone", "unit"}:
            field.select_option(value)
        else:
            field.fill(value)


def review(page):
    page.get_by_role("button", name="Review").click()


def told(page, field):
    """Return what is said beside a field; the summary says it too, and leads there."""
    beside = page.locator(f"#problem-{field}")
    beside.wait_for()
    words = beside.inner_text()
    link = page.locator(".summary").get_by_role("link", name=words)
    assert link.get_attribute("href") == f"#field-{field}"
    assert page.locator(f"#field-{field}").count() == 1
    return words


WRONG = [
    ({"pasted": ""}, "evses", "no EVSE is chosen"),
    ({"pasted": "DE*ABC*E1, DE*ABC*E77"}, "evses", "1 of the EvseIDs are not in the store"),
    ({"pasted": "", "pattern": "DE*ABC*E1"}, "pattern", "has no wildcard"),
    ({"pasted": "", "pattern": "DE*XYZ%"}, "evses", "no EVSE is like"),
    ({"amount": "soon"}, "amount", "the duration is no number"),
    ({"amount": "-1"}, "amount", "the duration is no number greater than 0"),
    ({"amount": "1e9", "unit": "days"}, "amount", "no number|beyond the year 9999"),
    ({"begins": "at", "start": ""}, "start", "the time is missing"),
    ({"ends": "at", "end": ""}, "end", "the time is missing"),
    ({"ends": "at", "end": "2026-01-01T08:00"}, "end", "is not after validFrom"),
    (
        {"begins": "at", "start": "2026-01-01T08:00", "ends": "at", "end": "2026-01-01T09:00"},
        "end",
        "has passed",
    ),
    ({"begins": "at", "start": "9400-01-01T08:00"}, "start", "between the years 2000 and 8999"),
    ({"reason": "x" * 501}, "reason", "reason has 501 characters"),
    ({"reference": "x" * 201}, "reference", "reference has 201 characters"),
]


def test_every_error_stands_beside_its_field_and_in_a_summary_that_leads_there(house, plain_page):
    page = plain_page(house)
    for number, (fields, field, words) in enumerate(WRONG):
        fill(page, house, again=number > 0, **fields)
        review(page)
        assert re.search(words, told(page, field)), fields
    assert house.windows() == []
    page.goto(f"{house.url}/set")
    page.get_by_label("paste EvseIDs").fill("DE*ABC*E1")
    review(page)
    assert "no kind is chosen" in told(page, "kind")


def test_the_summary_of_errors_is_read_first(house, sign_in):
    page = sign_in(house)
    fill(page, house, pasted="")
    review(page)
    told(page, "evses")
    expect(page.locator(".summary")).to_be_focused()


def test_what_is_not_in_the_store_is_named_before_anything_is_saved(house, sign_in):
    page = sign_in(house)
    fill(page, house, pasted="DE*ABC*E1 DEABCE77 <b>bold</b>")
    page.get_by_text("1 EVSE chosen; not in the store: DEABCE77, <b>bold</b>").wait_for()
    review(page)
    page.get_by_text("These are not in the store").wait_for()
    assert page.locator("main .ids li").all_inner_texts() == ["DEABCE77", "<b>bold</b>"]
    assert page.locator("#field-pasted").input_value() == "DE*ABC*E1 DEABCE77 <b>bold</b>"


def test_a_token_sets_only_its_kinds_and_its_evses(house, sign_in):
    token = house.token_of(
        "Booking", scopes=READ_AND_SET, kinds=frozenset({TemporaryStatus.RESERVED}), longest=timedelta(hours=2)
    )
    page = sign_in(house, token)
    page.goto(f"{house.url}/set")
    assert page.locator('[name="kind"][value="Blocked"]').is_disabled()
    fill(page, house, kind="Reserved", amount="3")
    review(page)
    assert "Booking may set 2 h at most" in told(page, "end")
    elsewhere = house.token_of(
        "Berlin",
        scopes=READ_AND_SET,
        kinds=frozenset({TemporaryStatus.BLOCKED}),
        locations=frozenset({"Torstraße 140, Berlin"}),
    )
    page.get_by_role("button", name="Sign out").click()
    sign_in(house, elsewhere)
    assert page.get_by_role("rowheader", name="DE*ABC*E1").count() == 0
    fill(page, house, kind="Blocked")
    review(page)
    assert "Berlin has no right to DE*ABC*E1" in told(page, "evses")
    viewer = house.token_of("Viewer", scopes=frozenset({Scope.READ}))
    page.get_by_role("button", name="Sign out").click()
    sign_in(house, viewer)
    assert page.get_by_role("link", name=re.compile("^Set a status for")).count() == 0
    page.goto(f"{house.url}/set")
    page.get_by_text("Viewer may not set").wait_for()


def test_start_duration_and_end_are_linked_and_shown_with_utc_and_the_way_to_go(house, sign_in):
    page = sign_in(house)
    fill(page, house, pasted="DE*ABC*E1")
    page.get_by_text("1 EVSE chosen").wait_for()
    assert page.get_by_label("Zone of the times").input_value() == "Europe/Berlin"
    page.locator("#field-start").fill("2027-06-03T08:00")
    page.get_by_text("Thu 3 Jun 2027 08:00 CEST (06:00 UTC), in").wait_for()
    assert page.locator('[name="begins"][value="at"]').is_checked()
    expect(page.locator("#field-end")).to_have_value("2027-06-03T12:00")
    page.get_by_role("button", name="8 h", exact=True).click()
    expect(page.locator("#field-end")).to_have_value("2027-06-03T16:00")
    page.locator("#field-end").fill("2027-06-05T08:00")
    expect(page.locator("#field-amount")).to_have_value("2")
    assert page.locator('[name="unit"]').input_value() == "days"
    page.get_by_text("Sat 5 Jun 2027 08:00 CEST (06:00 UTC)").wait_for()
    page.get_by_role("button", name="until 06:00").click()
    expect(page.locator("#field-end")).to_have_value("2027-06-04T06:00")
    page.get_by_label("Zone of the times").select_option("Asia/Tokyo")
    page.get_by_text("Thu 3 Jun 2027 08:00 JST (Wed 2 Jun 23:00 UTC)").wait_for()


@pytest.mark.parametrize(
    ("start", "offered", "chosen"),
    [
        ("2027-03-28T02:30", ["01:30 CET (UTC+0100)", "03:30 CEST (UTC+0200)"], "2027-03-28 01:30"),
        ("2027-10-31T02:30", ["02:30 CEST (UTC+0200)", "02:30 CET (UTC+0100)"], "2027-10-31 01:30"),
    ],
)
def test_on_the_night_of_the_clock_change_both_times_that_can_be_meant_are_offered(
    house, sign_in, start, offered, chosen
):
    page = sign_in(house)
    fill(page, house, begins="at", start=start)
    page.get_by_text("Which time is meant?").wait_for()
    assert [each.strip() for each in page.locator('[data-meant="start"] label').all_inner_texts()] == offered
    review(page)
    assert "choose which time is meant" in told(page, "start")
    page.get_by_label(offered[1]).check()
    page.get_by_text(re.compile(rf"{offered[1][:5]} CES?T \(")).first.wait_for()
    review(page)
    page.get_by_role("button", name="Set Maintenance for 1 EVSE").click()
    page.get_by_text("nothing to tell Hubject before it starts").wait_for()
    [row] = house.windows()
    assert row.valid_from.startswith(chosen)


def test_a_window_over_the_clock_change_says_how_long_it_really_is(house, sign_in):
    page = sign_in(house)
    fill(page, house, begins="at", start="2027-10-30T22:00", ends="at", end="2027-10-31T06:00")
    page.get_by_text("go back by 1 h in between: it lasts 9 h").wait_for()
    review(page)
    page.get_by_text("the clocks of Europe/Berlin change within it").wait_for()


def test_the_tree_knows_three_states_and_sends_only_the_topmost_ticks(house, sign_in):
    page = sign_in(house)
    page.goto(f"{house.url}/set")
    place = page.get_by_label("All of Mainz, Rheinufer")
    page.locator("summary").filter(has_text="Mainz").locator(".sub").click()
    page.locator("summary").filter(has_text="CB-1").locator(".sub").click()
    page.get_by_label("DE*ABC*E2", exact=True).check()
    assert place.evaluate("each => each.indeterminate")
    page.get_by_text("1 EVSE chosen").wait_for()
    page.get_by_label("DE*ABC*E1", exact=True).check()
    assert place.is_checked()
    assert not place.evaluate("each => each.indeterminate")
    page.get_by_text("2 EVSEs chosen").wait_for()
    page.get_by_label("Find in the list").fill("torstr")
    assert not place.is_visible()
    page.get_by_label("All of Torstraße 140, Berlin").check()
    page.get_by_text("3 EVSEs chosen").wait_for()
    page.get_by_role("radio", name="Blocked").press("Space")
    review(page)
    assert page.locator('input[name="location"]').count() == 2
    assert page.locator('input[name="evse"]').count() == 0
    effects = page.locator(".effects li").all_inner_texts()
    assert [" ".join(each.split()) for each in effects] == [
        "2 Available → become Blocked → afterwards Available",
        "1 Out of Service → become Out of Service → afterwards Out of Service",
    ]
    page.get_by_role("button", name="Back to the form").click()
    page.get_by_text("3 EVSEs chosen").wait_for()
    assert page.get_by_label("All of Torstraße 140, Berlin").is_checked()


def test_the_review_shows_who_wins_and_the_same_as_a_command_without_the_token(house, sign_in):
    now = house.store.now()
    house.window("DE*ABC*E1", "Maintenance", now, now + timedelta(hours=1))
    page = sign_in(house)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    fill(page, house, kind="Blocked", reason='it\'s "blocked" $(id)')
    review(page)
    page.get_by_text(re.compile("Maintenance from today .* wins over this")).wait_for()
    page.locator("summary").click()
    page.get_by_role("button", name="Copy as curl").click()
    page.get_by_text("copied", exact=True).wait_for()
    command = page.evaluate("navigator.clipboard.readText()")
    assert '"Authorization: Bearer $TOKEN"' in command
    assert '"temporaryStatus": "BLOCKED"' in command
    assert """'"'"'s \\"blocked\\" $(id)""" in command
    assert house.token not in page.content()
    if shutil.which("curl") is None:
        pytest.skip("no curl on this machine")
    environment = {"TOKEN": house.token, "PATH": os.environ["PATH"], "NO_PROXY": "*"}
    done = subprocess.run(["sh", "-c", command], env=environment, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["count"] == 1
    assert [row.reason for row in house.windows()] == [None, 'it\'s "blocked" $(id)']


def test_what_was_reviewed_is_what_is_saved_or_nothing(house, sign_in):
    page = sign_in(house)
    page.goto(f"{house.url}/set")
    page.get_by_label("All of Mainz, Rheinufer").check()
    page.get_by_role("radio", name="Reserved").press("Space")
    review(page)
    page.get_by_role("button", name="Set Reserved for 2 EVSEs").wait_for()
    house.evse("DE*ABC*E4")
    page.get_by_role("button", name="Set Reserved for 2 EVSEs").click()
    page.get_by_text("the EVSEs that are meant have changed since the review").first.wait_for()
    assert house.windows() == []
    twice = """() => {
        const form = document.querySelector(".confirm");
        const send = () => fetch(form.action, { method: "POST", body: new URLSearchParams(new FormData(form)) });
        return Promise.all([send(), send()]).then((answers) => answers.map((each) => each.url));
    }"""
    once, again = page.evaluate(twice)
    assert once == again
    assert "/saved?did=set" in once
    assert len(house.windows()) == 3


def test_back_from_what_was_saved_leads_to_the_form_as_it_was_and_sends_nothing(house, sign_in):
    page = sign_in(house)
    fill(page, house, kind="Blocked", amount="3", reason="street market", reference="4711")
    review(page)
    page.get_by_role("button", name="Set Blocked").click()
    page.wait_for_url("**/saved?*")
    page.go_back()
    page.get_by_role("heading", name="Set a status").wait_for()
    form = {
        name: page.locator(f'[name="{name}"]').input_value() for name in ("pasted", "amount", "reason", "reference")
    }
    assert form == {"pasted": "DE*ABC*E1", "amount": "3", "reason": "street market", "reference": "4711"}
    assert page.locator('[name="kind"][value="Blocked"]').is_checked()
    assert "csrf" not in page.url
    assert "once" not in page.url
    assert len(house.windows()) == 1


def test_a_window_is_duplicated_with_all_that_it_says(house, sign_in):
    now = house.store.now()
    number = house.window("DE*ABC*E2", "Commissioning", now - timedelta(days=3), now - timedelta(days=1), "again")
    page = sign_in(house)
    page.goto(f"{house.url}/windows?tab=past")
    page.get_by_role("link", name=f"Duplicate: window {number}").click()
    page.get_by_text("1 EVSE chosen").wait_for()
    assert page.locator('[name="kind"][value="Commissioning"]').is_checked()
    assert (page.locator("#field-amount").input_value(), page.locator('[name="unit"]').input_value()) == ("2", "days")
    assert page.get_by_label("Reason, for whoever asks later").input_value() == "again"


@pytest.mark.parametrize("hours", ["1", "8", "24"])
def test_a_preset_means_in_the_review_what_it_says(house, sign_in, hours):
    page = sign_in(house)
    fill(page, house, reason="fuse")
    page.get_by_role("button", name=f"{hours} h", exact=True).click()
    expect(page.locator('[name="amount"]')).to_have_value(hours)
    review(page)
    expect(page.get_by_text(re.compile(rf"after ({hours} h|1 d)$"))).to_be_visible()


def test_what_was_ticked_one_by_one_is_ticked_in_the_tree_of_a_form_that_came_back(house, sign_in):
    page = sign_in(house)
    fill(page, house, pasted="", amount="0")
    page.locator('li[data-place^="mainz"] > details > summary').click()
    page.locator("details[data-box]:visible > summary").first.click()
    page.get_by_role("checkbox", name="DE*ABC*E2", exact=True).check()
    review(page)
    page.get_by_text("These things are to be mended").or_(page.locator(".problem").first).first.wait_for()
    page.locator('li[data-place^="mainz"] > details > summary').click()
    page.locator("details[data-box]:visible > summary").first.click()
    leaf = page.locator('[data-leaves] input[value="DE*ABC*E2"]')
    expect(leaf).to_be_checked()
    expect(page.locator('[data-leaves] input[value="DE*ABC*E1"]')).not_to_be_checked()
    box = leaf.locator("xpath=ancestor::li[2]/input")
    assert box.evaluate("each => each.indeterminate")


def test_a_form_that_was_sent_after_the_session_ended_comes_back_behind_the_sign_in(house, sign_in):
    page = sign_in(house)
    fill(page, house, pasted="DE*ABC*E1 DE*ABC*E2", kind="Blocked", amount="7", reason="street <works>")
    page.context.clear_cookies()
    review(page)
    page.get_by_text("the form comes back as you filled it in").wait_for()
    page.get_by_label("Token").fill("oicp_wrong")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("alert").wait_for()
    page.get_by_label("Token").fill(house.token)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="Set a status").wait_for()
    assert page.locator("#field-pasted").input_value() == "DE*ABC*E1 DE*ABC*E2"
    assert page.locator('[name="kind"][value="Blocked"]').is_checked()
    review(page)
    page.get_by_role("button", name="Set Blocked for 2 EVSEs").click()
    page.get_by_role("heading", name="Set: 2 windows").wait_for()
    assert {(row.evse_id, row.reason) for row in house.windows()} == {
        ("DE*ABC*E1", "street <works>"),
        ("DE*ABC*E2", "street <works>"),
    }


def test_a_form_that_comes_back_with_another_content_under_the_same_number_is_refused(house, sign_in):
    page = sign_in(house)
    sent = ""
    for reason in ("first", "second"):
        fill(page, house, reason=reason)
        review(page)
        once = page.locator('[name="once"]')
        if sent:
            once.evaluate("(field, sent) => { field.value = sent }", sent)
        sent = once.input_value()
        page.get_by_role("button", name="Set Maintenance for 1 EVSE").click()
        if reason == "first":
            page.get_by_role("heading", name="Set: Maintenance").wait_for()
    page.get_by_role("alert").get_by_text("another request came under this").wait_for()
    assert [row.reason for row in house.windows()] == ["first"]


def test_more_than_fit_into_one_request_are_refused_with_how_many_fit(house, sign_in):
    house.sql(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5001)"
        " INSERT INTO evse_status (evse_id, operator_id, status)"
        " SELECT 'DE*ABC*EX' || i, 'DE*ABC', 'Available' FROM n"
    )
    page = sign_in(house)
    fill(page, house, pasted="", pattern="DE*ABC*EX%")
    review(page)
    assert told(page, "evses").startswith("more than 5000 EVSEs are selected: select 5000 at most")


@pytest.mark.parametrize(
    ("hours", "amount", "unit"), [(0.51, "31", "minutes"), (23.353, "23.35", "hours"), (50.25, "50.25", "hours")]
)
def test_the_duration_of_an_end_that_was_typed_can_be_read(house, sign_in, hours, amount, unit):
    page = sign_in(house)
    now = house.store.now()
    key = house.window("DE*ABC*E1", "Blocked", now, now + timedelta(hours=hours))
    page.goto(f"{house.url}/set?like={key}")
    assert page.locator('[name="amount"]').input_value() == amount
    assert page.locator('[name="unit"]').input_value() == unit

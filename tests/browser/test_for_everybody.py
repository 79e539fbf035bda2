"""Every view, in light and dark, wide and narrow: what axe finds, what foreign text does, what the keyboard reaches."""

from datetime import timedelta
from urllib.parse import quote

import pytest
from axe_playwright_python.sync_playwright import Axe

HOUR = timedelta(hours=1)
EVIL = "<img src=x onerror=\"document.title='owned'\"></script><script>document.title='owned'</script>"
EVIL_EVSE = f"DE*ABC*E{EVIL}"
VIEWS = (
    "", "windows", "windows?tab=upcoming", "windows?tab=past", "windows/2", "timeline", "set?evse=DE*ABC*E1", "health",
    "zone", "windows/99", f"evse?id={quote(EVIL_EVSE)}",
)  # fmt: skip


@pytest.fixture
def house(build):
    made = build()
    now = made.store.now()
    for number in range(4):
        made.evse(f"DE*ABC*E{number}", ("Available", "Charging", "Faulted", "Offline")[number], box=f"CB-{number // 2}")
    made.evse(EVIL_EVSE, EVIL, location=EVIL, box=EVIL, zone=EVIL)
    made.window("DE*ABC*E1", "Blocked", now, now + 2 * HOUR, "street works")
    made.window("DE*ABC*E1", "Maintenance", now + HOUR, now + 30 * HOUR, EVIL)
    made.window("DE*ABC*E2", "Reserved", now, None, EVIL)
    made.window("DE*ABC*E3", "Commissioning", now - 2 * HOUR, now - HOUR)
    made.window(EVIL_EVSE, "Commissioning", now, now + HOUR, EVIL)
    refused = {"now": now.strftime("%Y-%m-%d %H:%M:%S.%f"), "evil": EVIL}
    made.sql(
        "INSERT INTO oicp_ledger (lane, canonical, evse_id, presence, failures, first_failed_at, retry_at, refusal,"
        " refusal_detail, flipped, failed_singly, attempt) VALUES ('DEABC', 'DEABCE1', 'DE*ABC*E1', 'unknown', 3, :now,"
        " :now, 'poison', :evil, 0, 0, 1)",
        **refused,
    )
    made.sql(
        "INSERT INTO oicp_ledger (lane, canonical, evse_id, presence, failures, held_since, acknowledged, flipped,"
        " failed_singly, attempt) VALUES ('DEABC', 'DEABCE9', 'DE*ABC*E9', 'present', 0, :now, 'Available', 0, 0, 1)",
        now=refused["now"],
    )
    return made


def views(page, house):
    """Open each view in turn, those that come of a form too."""
    for path in VIEWS:
        page.goto(f"{house.url}/{path}")
        yield path
    page.goto(f"{house.url}/set")
    page.get_by_role("button", name="Review").click()
    page.locator(".summary").wait_for()
    yield "set with errors"
    page.goto(f"{house.url}/set?evse=DE*ABC*E1")
    page.get_by_role("radio", name="Maintenance").press("Space")
    page.get_by_role("button", name="Review").click()
    page.get_by_role("heading", name="Review").wait_for()
    yield "review"
    page.get_by_role("button", name="Set Maintenance for 1 EVSE").click()
    page.locator("[data-row=sum]").wait_for()
    yield "saved"
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("heading", name="Sign in").wait_for()
    yield "sign in"


def violations(page):
    """Return what axe finds, of everything in light, and of what depends on colours in dark."""
    found = Axe().run(page).response["violations"]
    page.emulate_media(color_scheme="dark")
    found += page.evaluate("axe.run({ runOnly: ['color-contrast'], resultTypes: ['violations'] })")["violations"]
    page.emulate_media(color_scheme="light")
    return [(each["id"], each["impact"], [node["html"][:160] for node in each["nodes"]][:3]) for each in found]


@pytest.fixture
def past_the_policy(browser):
    """A page into which axe can be put; the page's own policy lets no script of others in."""
    with browser.new_context(
        viewport={"width": 1400, "height": 900}, bypass_csp=True, reduced_motion="reduce"
    ) as opened:
        yield opened.new_page()


def test_axe_finds_nothing_in_light_or_dark_and_nothing_runs_out_of_the_screen(house, past_the_policy, enter):
    page = past_the_policy
    enter(page, house)
    for view in views(page, house):
        assert violations(page) == [], view
        for width in (700, 390):
            page.set_viewport_size({"width": width, "height": 900})
            wide = page.evaluate("document.documentElement.scrollWidth")
            assert wide <= width, f"{view} at {width}"
        page.set_viewport_size({"width": 1400, "height": 900})


def test_what_others_wrote_stands_there_as_text_and_runs_nowhere(house, sign_in):
    page = sign_in(house)
    shown = 0
    for view in views(page, house):
        assert page.locator("main img, main script, main b").count() == 0, view
        assert page.title() != "owned", view
        shown += "<img src=x" in page.locator("body").inner_text()
    assert shown >= 7
    sign_in(house)
    page.goto(f"{house.url}/set")
    page.locator("summary").filter(has_text="<img").first.locator(".sub").click()
    page.locator("details[data-box] summary").filter(has_text="<img").locator(".sub").click()
    page.locator("[data-leaves] .id").filter(has_text="<img").wait_for()
    page.locator("[data-leaves] input").first.check()
    page.get_by_text("1 EVSE chosen").wait_for()
    page.goto(f"{house.url}/")
    page.get_by_text("live", exact=True).wait_for()
    house.sql("UPDATE evse_status SET status = '<i>' || status WHERE evse_id LIKE '%img%'")
    page.get_by_text("<i><img src=x").first.wait_for()
    assert page.locator("main img, main script, main i").count() == 0
    assert page.title() != "owned"


def test_the_keyboard_is_enough_and_the_focus_is_seen(house, sign_in):
    page = sign_in(house)
    page.goto(f"{house.url}/set?evse=DE*ABC*E1")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.querySelector('main').contains(document.activeElement)")
    page.locator('[name="kind"]').first.focus()
    page.keyboard.press("Space")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert page.locator('[name="kind"][value="Blocked"]').is_checked()
    outline = "getComputedStyle(document.activeElement.closest('.kind')).outlineStyle"
    assert page.evaluate(outline) == "solid"
    page.get_by_label("Reason, for whoever asks later").focus()
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Review").wait_for()


def test_held_withdrawals_are_approved_only_by_who_looked_and_only_as_they_were_shown(house, sign_in):
    page = sign_in(house)
    page.goto(f"{house.url}/health")
    approve = page.get_by_role("button", name="Withdraw exactly these 1 from the hub")
    approve.click()
    assert page.url == f"{house.url}/health"
    page.get_by_label("I have looked at the list").check()
    house.sql(
        "INSERT INTO oicp_ledger (lane, canonical, evse_id, presence, failures, held_since, flipped, failed_singly,"
        " attempt) SELECT lane, 'DEABCE8', 'DE*ABC*E8', presence, 0, held_since, 0, 0, 1 FROM oicp_ledger"
        " WHERE canonical = 'DEABCE9'"
    )
    approve.click()
    page.get_by_text("are not those that were shown").wait_for()
    page.goto(f"{house.url}/health")
    page.get_by_label("I have looked at the list").check()
    page.get_by_role("button", name="Withdraw exactly these 2 from the hub").click()
    page.get_by_text("The withdrawals were approved: they leave with the next request.").wait_for()
    assert page.url == f"{house.url}/health?done=approved"
    rows = house.sql("SELECT approved_by FROM oicp_ledger WHERE held_since IS NOT NULL")
    assert [row.approved_by for row in rows] == ["Night shift"] * 2
    [count] = house.sql("SELECT count(*) FROM oicp_audit WHERE action = 'withdrawal.approve'")
    assert count[0] == 2


def test_what_is_held_and_not_listed_is_counted_with_the_way_to_see_and_approve_it(house, sign_in):
    house.sql(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200)"
        " INSERT INTO oicp_ledger (lane, canonical, evse_id, presence, failures, held_since, flipped, failed_singly,"
        " attempt) SELECT lane, 'DEABCE9' || i, 'DE*ABC*E9' || i, presence, 0, held_since, 0, 0, 1"
        " FROM oicp_ledger, n WHERE canonical = 'DEABCE9'"
    )
    page = sign_in(house)
    page.goto(f"{house.url}/health")
    page.get_by_text("And 1 more. Nobody approves here what is not shown").wait_for()
    assert page.get_by_text("oicp-adapter withdrawals approve").is_visible()
    assert page.get_by_role("button", name="from the hub").count() == 0

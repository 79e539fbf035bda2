"""
Takes the pictures of `docs/operators.md` anew, from a demo that it starts: `python docs/pictures/take.py`.

Needs Chromium and the extra `test`. Every picture is of the page as it is; nothing is drawn.
"""

import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

HERE = Path(__file__).parent
WIDE = {"width": 1280, "height": 860}
LIVES = 20.0
"""Seconds until the fleet of the demo has its first temporary statuses."""


def main() -> None:
    """Start the demo, walk through the page, and end the demo."""
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "said").open("w+") as said:
        command = [sys.executable, "-m", "oicp_adapter", "demo", "--evses", "40", "--dir", f"{folder}/demo"]
        demo = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=said)
        try:
            link = _link(Path(folder) / "said")
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(
                    executable_path=shutil.which("chromium"), args=["--no-sandbox", "--force-device-scale-factor=1"]
                )
                _take(browser.new_page(viewport=WIDE, locale="en-GB", timezone_id="Europe/Berlin"), link)
                browser.close()
        finally:
            demo.terminate()
            demo.wait(60)


def _link(said: Path) -> str:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        found = re.search(r"http://\S+/sign-in/\S+", said.read_text())
        if found:
            return found[0]
        time.sleep(0.2)
    raise RuntimeError(f"the demo gave no link: {said.read_text()}")


def _take(page: Page, link: str) -> None:
    address = link.partition("/sign-in/")[0]
    page.goto(link)
    time.sleep(LIVES)
    page.goto(address)
    _shoot(page, "chargers")
    page.goto(f"{address}/set")
    page.get_by_label("Or all that match a pattern").fill("DE*ABC*E000%")
    page.get_by_role("radio", name="Maintenance").press("Space")
    page.get_by_role("button", name="4 h", exact=True).click()
    page.get_by_label("Reason, for whoever asks later").fill("new contactors")
    _shoot(page, "set", whole=True)
    page.get_by_role("button", name="Review").click()
    page.get_by_text("new contactors").first.wait_for()
    _shoot(page, "review")
    page.get_by_role("button", name=re.compile("^Set Maintenance")).click()
    page.get_by_text("Hubject has acknowledged").wait_for()
    _shoot(page, "saved")
    for name in ("windows", "timeline", "health"):
        page.goto(f"{address}/{name}")
        _shoot(page, name)


def _shoot(page: Page, name: str, *, whole: bool = False) -> None:
    page.wait_for_timeout(1000)  # what is live has come once
    page.screenshot(path=HERE / f"{name}.png", full_page=whole)


if __name__ == "__main__":
    main()

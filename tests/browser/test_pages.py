"""Pages with hostile content, and what is done on them with a question."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect

from tests.browser.demo import LONG, Door, Site
from tests.support.browser import follow
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.browser, pytest.mark.processes]

WIDTHS = [360, 600, 768, 1000, 1100, 1280, 1920, 3840]
STICKING_OUT = """() => {
    const wide = document.documentElement;
    const page = wide.scrollWidth > wide.clientWidth ? ["the page"] : [];
    const parts = [...document.querySelectorAll("table, dl, ol, ul, .heading")];
    return page.concat(parts
        .filter((part) => part.checkVisibility())
        .filter((part) => part.scrollWidth > part.parentElement.clientWidth + 1)
        .map((part) => part.className || part.tagName));
}"""
EVIL = "seldom <script>alert('from an id')</script>"


@pytest.fixture
def addresses(site: Site, door: Door) -> list[str]:
    """One page of each kind, with a failed run among them."""
    door.outcome = "fail"
    failed = site.scheduler.run_now("gated").id
    wait_until(lambda: site.scheduler.run(failed).state == "failed")
    paths = ["", "/jobs", "/jobs/gated", f"/jobs/{quote(EVIL, safe='')}", f"/jobs/{LONG}", "/runs"]
    paths += [f"/runs/{failed}", "/workers", "/audit", "/settings"]
    paths += [f"/settings/{name}" for name in ("keys", "notices", "calendars")]
    return [site.url + path for path in paths]


def test_pages_stand_any_content(signed_in: Page, addresses: list[str]) -> None:
    """Long names fit on all screens, markup in an id is shown as text, and secrets are hidden."""
    for address in addresses:
        signed_in.goto(address)
        assert "geheim" not in signed_in.content()
        assert signed_in.locator("script:not([src])").count() == 0
        for width in WIDTHS:
            signed_in.set_viewport_size({"width": width, "height": 800})
            assert signed_in.evaluate(STICKING_OUT) == [], (address, width)
    signed_in.goto(addresses[1])
    expect(signed_in.get_by_role("link", name=EVIL)).to_be_visible()


def test_switching_the_scheduler_off_and_on(signed_in: Page, site: Site) -> None:
    """Switching off asks for confirmation; switching on takes one click."""
    signed_in.goto(f"{site.url}/")
    signed_in.get_by_role("button", name="Switch off the scheduler").click()
    question = signed_in.get_by_role("dialog", name="Switch the scheduler off?")
    question.get_by_role("button", name="Go back").click()
    expect(question).to_be_hidden()
    signed_in.get_by_role("button", name="Switch off the scheduler").click()
    follow(question.get_by_role("button", name="Switch off"))
    expect(signed_in.get_by_text("The scheduler is switched off.")).to_be_visible()
    follow(signed_in.get_by_role("button", name="Switch on the scheduler"))
    expect(signed_in.locator("#pulse")).to_contain_text("1 worker")


def test_cancelling_a_run(signed_in: Page, site: Site) -> None:
    """Cancelling asks for confirmation and stops the function; the page shows the result."""
    signed_in.goto(f"{site.url}/jobs/gated")
    follow(signed_in.get_by_role("button", name="Run gated now"))
    expect(signed_in.locator(".heading")).to_contain_text("running")
    signed_in.get_by_role("button", name="Cancel").click()
    follow(signed_in.get_by_role("dialog").get_by_role("button", name="Cancel the run"))
    expect(signed_in.locator(".heading")).to_contain_text("cancelled")

"""Every page in a real browser: no error, no violation, readable on a phone, by keyboard."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import MOUNT
from tests.browser.demo import LONG
from tests.support.processes import Server
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
def addresses(signed_in: Page, server: Server, door: Path) -> list[str]:
    """One page of each kind, with a failed run among them."""
    door.write_text("fail")
    signed_in.goto(f"{server.url}{MOUNT}/jobs/gated")
    signed_in.get_by_role("button", name="Run gated now").click()
    signed_in.wait_for_url("**/runs/*")
    expect(signed_in.locator(".heading")).to_contain_text("failed")
    paths = ["/", "/jobs", "/jobs/gated", f"/jobs/{quote(EVIL, safe='')}", f"/jobs/{LONG}", "/runs"]
    paths += ["/workers", "/audit", "/settings"]
    paths += [f"/settings/{name}" for name in ("keys", "notices", "calendars")]
    return [*(server.url + MOUNT + path for path in paths), signed_in.url]


def test_no_page_has_an_error(signed_in: Page, addresses: list[str]) -> None:
    """No console error, no exception, no violation of the policy (the fixture looks at the end)."""
    for address in addresses:
        answer = signed_in.goto(address)
        assert answer is not None
        assert answer.status == 200
        assert signed_in.locator("h1").count() == 1
        assert signed_in.locator("main").count() == 1


def test_no_page_scrolls_sideways(signed_in: Page, addresses: list[str]) -> None:
    """On screens from a phone to a wall display, every element fits into its box."""
    for address in addresses:
        signed_in.goto(address)
        for width in WIDTHS:
            signed_in.set_viewport_size({"width": width, "height": 800})
            assert signed_in.evaluate(STICKING_OUT) == [], (address, width)


def test_secrets_and_markup_are_not_shown(signed_in: Page, addresses: list[str]) -> None:
    """Arguments named like secrets are hidden, and an id is never markup."""
    for address in addresses:
        signed_in.goto(address)
        assert "geheim" not in signed_in.content()
        assert signed_in.locator("script:not([src])").count() == 0
    signed_in.goto(addresses[1])
    expect(signed_in.get_by_role("link", name=EVIL)).to_be_visible()


def test_pages_work_by_keyboard(signed_in: Page, server: Server) -> None:
    """Tab reaches the skip link, ``/`` focuses the search, and Escape closes a dialog."""
    signed_in.goto(f"{server.url}{MOUNT}/jobs")
    signed_in.keyboard.press("Tab")
    expect(signed_in.get_by_role("link", name="Skip to main content")).to_be_focused()
    signed_in.keyboard.press("Enter")
    expect(signed_in.locator("main")).to_be_focused()
    signed_in.keyboard.press("/")
    signed_in.keyboard.type("gated")
    signed_in.keyboard.press("Enter")
    signed_in.wait_for_url("**text=gated**")
    expect(signed_in.locator("tbody tr")).to_have_count(1)
    signed_in.get_by_role("button", name="Pause gated").press("Enter")
    expect(signed_in.get_by_label("Reason")).to_be_focused()
    signed_in.keyboard.press("Escape")
    expect(signed_in.get_by_role("dialog")).to_be_hidden()


def test_pages_work_without_a_script(unscripted: Page, server: Server, door: Path) -> None:
    """Searching, pausing with a reason and running a job work; a reload shows the result."""
    unscripted.goto(f"{server.url}{MOUNT}/jobs?text=gated")
    unscripted.get_by_role("button", name="Pause gated").click()
    unscripted.get_by_label("Reason").fill("holidays")
    unscripted.get_by_role("dialog").get_by_role("button", name="Pause").click()
    expect(unscripted.get_by_text("The job was paused.")).to_be_visible()
    expect(unscripted.locator("tbody")).to_contain_text("holidays")
    unscripted.get_by_role("button", name="Run gated now").click()
    unscripted.wait_for_url("**/runs/*")
    door.write_text("pass")

    def succeeded() -> bool:
        unscripted.reload()
        return "succeeded" in unscripted.locator(".heading").inner_text()

    wait_until(succeeded, what="the end of the run")
    expect(unscripted.get_by_label("Returned value")).to_have_text("came through")


def test_switching_the_scheduler_off_and_on(signed_in: Page) -> None:
    """Switching off asks for confirmation; switching on takes one click."""
    signed_in.get_by_role("button", name="Switch off the scheduler").click()
    question = signed_in.get_by_role("dialog", name="Switch the scheduler off?")
    question.get_by_role("button", name="Go back").click()
    expect(question).to_be_hidden()
    signed_in.get_by_role("button", name="Switch off the scheduler").click()
    question.get_by_role("button", name="Switch off").click()
    expect(signed_in.get_by_text("The scheduler is switched off.")).to_be_visible()
    signed_in.get_by_role("button", name="Switch on the scheduler").click()
    expect(signed_in.locator("#pulse")).to_contain_text("1 worker")


def test_cancelling_a_run(signed_in: Page, server: Server) -> None:
    """Cancelling asks for confirmation and stops the function; the page shows the result."""
    signed_in.goto(f"{server.url}{MOUNT}/jobs/gated")
    signed_in.get_by_role("button", name="Run gated now").click()
    signed_in.wait_for_url("**/runs/*")
    expect(signed_in.locator(".heading")).to_contain_text("running")
    signed_in.get_by_role("button", name="Cancel").click()
    signed_in.get_by_role("dialog").get_by_role("button", name="Cancel the run").click()
    expect(signed_in.locator(".heading")).to_contain_text("cancelled")

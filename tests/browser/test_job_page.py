"""The page of a job in a browser: pausing with a reason, a backfill after a dry run, the months."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import MOUNT
from tests.browser.demo import LONG
from tests.support.processes import Server

pytestmark = [pytest.mark.browser, pytest.mark.processes]


def test_pausing_and_resuming_with_a_reason(signed_in: Page, server: Server) -> None:
    """Both ask for a reason; the page shows who did it and why, without a reload."""
    signed_in.goto(f"{server.url}{MOUNT}/jobs/gated")
    signed_in.get_by_role("button", name="Pause gated").click()
    dialog = signed_in.get_by_role("dialog")
    dialog.get_by_label("Reason").fill("moving house")
    dialog.get_by_role("button", name="Pause").click()
    expect(signed_in.locator(".banner")).to_contain_text("Paused by local")
    expect(signed_in.locator(".banner")).to_contain_text("moving house")
    expect(signed_in.locator(".answers")).to_contain_text("Would fire next")
    signed_in.get_by_role("button", name="Resume gated").click()
    dialog.get_by_label("Reason").fill("moved")
    dialog.get_by_role("button", name="Resume").click()
    expect(signed_in.locator(".changes li").first).to_contain_text("resumed")
    expect(signed_in.locator(".changes li").first).to_contain_text("moved")


def test_a_backfill_without_a_script(unscripted: Page, server: Server) -> None:
    """A dry run tells how many runs there would be; they are created when that is confirmed."""
    unscripted.goto(f"{server.url}{MOUNT}/jobs/{quote(LONG)}")
    unscripted.get_by_role("link", name="Backfill", exact=True).click()
    today = datetime.now(UTC).replace(hour=12, minute=0)
    unscripted.get_by_label("From").fill(f"{today - timedelta(days=64):%Y-%m-%dT%H:%M}")
    unscripted.get_by_label("To, exclusive").fill(f"{today - timedelta(days=2):%Y-%m-%dT%H:%M}")
    unscripted.get_by_label("Also times that are older than the history").check()
    unscripted.get_by_role("button", name="Show what would run").click()
    expect(
        unscripted.get_by_role("heading", name=re.compile("runs would be created"))
    ).to_be_visible()
    unscripted.get_by_label("Reason").fill("the archive was lost")
    unscripted.get_by_role("button", name=re.compile("Create [23] runs")).click()
    expect(unscripted.get_by_text("The runs of the backfill were created.")).to_be_visible()
    expect(unscripted.locator(".changes li").first).to_contain_text("the archive was lost")


def test_the_months_of_the_calendar(signed_in: Page, server: Server) -> None:
    """Links lead to the month before and after; the page stays at the calendar."""
    signed_in.goto(f"{server.url}{MOUNT}/jobs/gated?month=2027-01")
    expect(signed_in.get_by_role("heading", name="January 2027")).to_be_visible()
    signed_in.get_by_role("link", name="The month before").click()
    expect(signed_in.get_by_role("heading", name="December 2026")).to_be_visible()
    signed_in.get_by_role("link", name="The month after").click()
    expect(signed_in.get_by_role("heading", name="January 2027")).to_be_in_viewport()

"""The page of a job in a browser: a backfill after a dry run, and the months of its calendar."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect

from tests.browser.demo import LONG, Site
from tests.support.browser import follow

pytestmark = [pytest.mark.browser, pytest.mark.processes]


def test_a_backfill_without_a_script(unscripted: Page, site: Site) -> None:
    """A dry run tells how many runs there would be; they are created when that is confirmed."""
    unscripted.goto(f"{site.url}/jobs/{quote(LONG)}")
    follow(unscripted.get_by_role("link", name="Backfill", exact=True))
    today = datetime.now(UTC).replace(hour=12, minute=0)
    unscripted.get_by_label("From").fill(f"{today - timedelta(days=64):%Y-%m-%dT%H:%M}")
    unscripted.get_by_label("To, exclusive").fill(f"{today - timedelta(days=2):%Y-%m-%dT%H:%M}")
    unscripted.get_by_label("Also times that are older than the history").check()
    follow(unscripted.get_by_role("button", name="Show what would run"))
    expect(
        unscripted.get_by_role("heading", name=re.compile("runs would be created"))
    ).to_be_visible()
    unscripted.get_by_label("Reason").fill("the archive was lost")
    follow(unscripted.get_by_role("button", name=re.compile("Create [23] runs")))
    expect(unscripted.get_by_text("The runs of the backfill were created.")).to_be_visible()
    expect(unscripted.locator(".changes li").first).to_contain_text("the archive was lost")


def test_the_months_of_the_calendar(signed_in: Page, site: Site) -> None:
    """Links lead to the month before and after; the page stays at the calendar."""
    signed_in.goto(f"{site.url}/jobs/gated?month=2027-01")
    expect(signed_in.get_by_role("heading", name="January 2027")).to_be_visible()
    follow(signed_in.get_by_role("link", name="The month before"))
    expect(signed_in.get_by_role("heading", name="December 2026")).to_be_visible()
    follow(signed_in.get_by_role("link", name="The month after"))
    expect(signed_in.get_by_role("heading", name="January 2027")).to_be_in_viewport()

"""The pages in a real Chromium, while the clock of the application is moved by the test."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, NamedTuple

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from apps.manageit import accounts
from tests.apps.manageit.visitors import visitor
from tests.apps.manageit.world import TODAY, World, world_on
from tests.support.browser import follow, open_page, same_load
from tests.support.serving import serve_wsgi

pytestmark = [pytest.mark.browser, pytest.mark.processes]

PHONE: Any = {"width": 360, "height": 740}
PASSWORD = "mess-at-noon"
COLOURS = {
    "runOnly": {"type": "tag", "values": ["cat.color"]},
    "rules": {"color-contrast-enhanced": {"enabled": False}},  # as by default
}


class Site(NamedTuple):
    """The application, and the address at which it is served."""

    world: World
    url: str


@pytest.fixture
def site(manageit_sqlite_url: str) -> Iterator[Site]:
    """The application at noon of a Monday in Kolkata, served by this process."""
    with world_on(manageit_sqlite_url) as world, serve_wsgi(world.app) as url:
        world.generate()
        yield Site(world, url)


def sign_in(page: Page, site: Site, email: str) -> None:
    page.goto(f"{site.url}/login")
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    follow(page.get_by_role("button", name="Sign in"))


def test_11_an_alert_appears_and_vanishes_by_itself(site: Site, chromium: Browser) -> None:
    """An official records waste, sees its alert without a reload, and acknowledges it."""
    world = site.world
    world.do(accounts.add, "Olga", "olga@example.com", PASSWORD, "mess_official", "mess1")
    with open_page(chromium, viewport=PHONE) as page:
        sign_in(page, site, "olga@example.com")
        expect(page.get_by_text("There are no alerts.")).to_be_visible()
        follow(page.get_by_role("link", name="Waste"))
        page.get_by_label("Floor").fill("first")
        page.get_by_label("Waste in Kg").fill("60")
        follow(page.get_by_role("button", name="Record"))
        expect(page.get_by_role("status")).to_contain_text("alerts follow in a minute")
        follow(page.get_by_role("link", name="Alerts"))
        alert = page.locator(".alert", has_text="High waste: 60.00 Kg on first floor.")
        with same_load(page):
            world.forward(minutes=1)
            expect(alert).to_be_visible()
        follow(alert.get_by_role("button", name="Acknowledge"))
        expect(alert).to_contain_text("seen")
        with same_load(page):
            world.forward(days=7)
            expect(page.get_by_text("There are no alerts.")).to_be_visible()
        expect(alert).to_have_count(0)


def test_23_an_admin_moves_the_notice_of_lunch(site: Site, chromium: Browser) -> None:
    """It comes at 14:30 instead of 14:00, and appears on the page by itself."""
    world = site.world
    world.feedback(1, "cold rice")
    world.do(accounts.add, "Asha", "asha@example.com", PASSWORD, "admin")
    with open_page(chromium, viewport=PHONE, color_scheme="dark") as page:
        sign_in(page, site, "asha@example.com")
        follow(page.get_by_role("link", name="Scheduler"))
        page.get_by_label("Lunch").fill("14:30")
        follow(page.get_by_role("button", name="Change the time of lunch"))
        expect(page.get_by_role("status")).to_have_text("The job now runs at 14:30.")
        lunch = page.locator("#job-notify_lunch_admin")
        expect(lunch).to_contain_text("15 Jun 2026, 14:30")
        follow(page.get_by_role("link", name="Notices"))
        world.move_to("2026-06-15T14:00:00+05:30")
        assert world.runs("notify_lunch_admin") == []
        with same_load(page):
            world.move_to("2026-06-15T14:30:00+05:30")
            expect(page.locator(".notice.new")).to_contain_text("cold rice")
        follow(page.get_by_role("button", name="Mark as read"))
        expect(page.locator(".notice.new")).to_have_count(0)


def test_a_student_rates_a_meal_without_javascript(site: Site, chromium: Browser) -> None:
    site.world.do(accounts.add, "Sunil", "sunil@example.com", PASSWORD, "student", "mess1")
    with open_page(chromium, viewport=PHONE, java_script_enabled=False) as page:
        sign_in(page, site, "sunil@example.com")
        page.get_by_text("Rate lunch").click()
        page.get_by_role("radio", name="4").locator("visible=true").check()
        follow(page.get_by_role("button", name="Send the rating of lunch"))
        expect(page.get_by_text("You have rated it 4 of 5.")).to_be_visible()


@pytest.mark.slow
def test_every_page_is_accessible_on_a_phone(site: Site, chromium: Browser) -> None:
    """No page breaks a rule of axe in light or dark, or is wider than the screen."""
    world = site.world
    for days in range(7):
        world.waste("9", day=TODAY - timedelta(days))
    world.feedback(1, "cold rice")
    world.dated(TODAY)
    world.non_veg(TODAY)
    world.generate()
    world.move_to("2026-06-15T14:00:00+05:30")
    world.run_now("send_daily_report")
    pages = {
        world.student(): ["/student/menu"],
        world.official(): [
            "/mess/dashboard", "/mess/waste", "/mess/menu/temporary", "/mess/menu/non-veg"
        ],
        world.admin(): [
            "/admin/dashboard", "/admin/notifications", "/admin/scheduler",
            f"/admin/reports/{TODAY}",
        ],
    }  # fmt: skip
    for user, paths in pages.items():
        cookie = visitor(world, user).client.get_cookie("manageit_session")
        assert cookie is not None
        with open_page(chromium, viewport=PHONE) as page:
            page.context.add_cookies([
                {"name": "manageit_session", "value": cookie.value, "url": site.url}
            ])  # fmt: skip
            for path in paths:
                page.emulate_media(color_scheme="light")
                page.goto(f"{site.url}{path}")
                check(page, {})
                page.emulate_media(color_scheme="dark")
                check(page, COLOURS)


def check(page: Page, rules: dict[str, Any]) -> None:
    found = Axe().run(page, options={"resultTypes": ["violations"], **rules})
    assert found.violations_count == 0, (page.url, found.generate_report())
    root = "document.documentElement"
    assert page.evaluate(f"{root}.scrollWidth - {root}.clientWidth") == 0, page.url

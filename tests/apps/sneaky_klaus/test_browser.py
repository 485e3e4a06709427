"""The pages in a real Chromium on a phone, served by a real gunicorn."""

from __future__ import annotations

import email
import email.policy
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.apps.sneaky_klaus.site import Site
from tests.support.browser import follow, open_page
from tests.support.processes import Children, Server
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.browser, pytest.mark.processes]

PASSWORD = "candy-canes"
EVENT = "2031-11-04"
PHONE = {"width": 360, "height": 760}
LINK = re.compile(r"http://\S+?(/\S+)")


@pytest.fixture
def site(migrated_url: str, tmp_path: Path, children: Children) -> Iterator[Site]:
    site = Site(migrated_url, tmp_path, children)
    yield site
    site.close()


def links(folder: Path, to: str) -> list[str]:
    """The paths of the links in the mails to an address."""
    found = []
    for file in folder.glob("*.eml"):
        mail = email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
        body = mail.get_body(("plain",))
        if mail["To"] == to and body is not None:
            found += LINK.findall(body.get_content())
    return found


def check(page: Page) -> None:
    """The page fits on the screen, and breaks no rule of accessibility."""
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert Axe().run(page).response["violations"] == []


def test_an_exchange_from_the_first_visit_to_the_last_reminder(
    chromium: Browser, site: Site, tmp_path: Path
) -> None:
    """An admin and three participants do all that they need on a phone, by the mails."""
    server = site.serve()
    with open_page(chromium, viewport=PHONE) as page:
        set_up_admin(page, server)
        make_exchange(page)
        invitation = page.get_by_label("Send this address").input_value()
        for name in ("Ana", "Ben", "Cleo"):
            register(chromium, server, invitation, name, tmp_path / "mail")
        page.reload()
        expect(page.get_by_text("3 take part")).to_be_visible()
        follow(page.get_by_role("button", name="Close the registration"))
        follow(page.get_by_role("button", name="Match the participants"))
        expect(page.locator(".reminders li")).to_have_text(
            [
                re.compile(r"7 days before\s*Tuesday, 28 Oct 2031, 18:00\s*Planned"),
                re.compile(r"3 days before\s*Saturday, 1 Nov 2031, 18:00\s*Planned"),
                re.compile(r"1 day before\s*Monday, 3 Nov 2031, 18:00\s*Planned"),
            ]
        )
        check(page)
        follow(page.get_by_role("link", name="Jobs"))
        expect(page.get_by_text("Jobs are executed")).to_be_visible()
        check(page)
    turn_reminders_off(chromium, server, tmp_path / "mail")


def set_up_admin(page: Page, server: Server) -> None:
    page.goto(f"{server.url}/admin/login")
    check(page)
    page.get_by_label("E-mail").fill("admin@example.com")
    page.get_by_label("Password").fill(PASSWORD)
    follow(page.get_by_role("button", name="Create the account"))


def make_exchange(page: Page) -> None:
    """Create an exchange and open its registration."""
    follow(page.get_by_role("link", name="New exchange"))
    check(page)
    page.get_by_label("Name").fill("Office party")
    page.get_by_label("Date", exact=True).fill(EVENT)
    page.get_by_label("Time", exact=True).fill("18:00")
    page.get_by_label("Time zone").select_option("America/New_York")
    follow(page.get_by_role("button", name="Create the exchange"))
    follow(page.get_by_role("button", name="Open the registration"))
    check(page)


def register(browser: Browser, server: Server, invitation: str, name: str, mails: Path) -> None:
    """Register, and sign in by the link in the mail."""
    address = f"{name.lower()}@example.com"
    with open_page(browser, viewport=PHONE) as page:
        page.goto(f"{server.url}{urlsplit(invitation).path}")
        check(page)
        page.get_by_label("Your name").fill(name)
        page.get_by_label("E-mail").first.fill(address)
        follow(page.get_by_role("button", name="Take part"))
        expect(page.get_by_role("heading", name="Look into your mailbox")).to_be_visible()
        [link] = wait_until(lambda: links(mails, address), what=f"the mail to {name}")
        page.goto(f"{server.url}{link}")
        check(page)
        follow(page.get_by_role("button", name="Sign in"))
        expect(page.get_by_label("Your name")).to_have_value(name)


def turn_reminders_off(browser: Browser, server: Server, mails: Path) -> None:
    """Follow the link in the mail about the match, sign in anew, and untick the box."""

    def paths() -> list[str]:
        return [each for each in links(mails, "ana@example.com") if each.startswith("/me/")]

    [mine] = wait_until(paths, what="the mail about the match")
    known = set(links(mails, "ana@example.com"))
    with open_page(browser, refused=403, viewport=PHONE) as page:
        page.goto(f"{server.url}{mine}")
        check(page)
        page.get_by_label("E-mail").fill("ana@example.com")
        follow(page.get_by_role("button", name="Send me a link"))
        [link] = wait_until(
            lambda: set(links(mails, "ana@example.com")) - known, what="another link"
        )
        page.goto(f"{server.url}{link}")
        follow(page.get_by_role("button", name="Sign in"))
        expect(page.get_by_text("You give a present to")).to_be_visible()
        box = page.get_by_label("Remind me by e-mail before the exchange")
        expect(box).to_be_checked()
        box.uncheck()
        follow(page.get_by_role("button", name="Save"))
        expect(page.get_by_text("Your changes were saved.")).to_be_visible()
        expect(box).not_to_be_checked()
        check(page)

"""The pages in a real Chromium, served by a real uvicorn."""

from __future__ import annotations

import re
import socket
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.apps.expireeye.world import SECRET
from tests.support.browser import record_problems
from tests.support.processes import Children, Server, status
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.browser, pytest.mark.processes]

PASSWORD = "milk-and-honey"
MOMENT = 90_000
PATIENCE = 120_000


@pytest.fixture
def site(sqlite_url: str, children: Children) -> Server:
    """ExpireEye with its own default: a check every ten seconds."""
    return children.uvicorn(
        "apps.expireeye.app:from_environment",
        "--factory",
        ready="/health/live",
        env={"DATABASE_URL": sqlite_url, "JWT_SECRET": SECRET, "SCHEDULER_HEARTBEAT": "fast"},
    )


def register(page: Page, site: Server, email: str = "ana@example.com") -> None:
    page.goto(f"{site.url}/register")
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_label("Your time zone").select_option("UTC")
    page.get_by_role("button", name="Create account").click()
    expect(page.get_by_role("heading", name="My products")).to_be_visible(timeout=MOMENT)


def add_product(page: Page, name: str, expiry: datetime) -> None:
    page.get_by_label("Name").fill(name)
    page.locator("#add-date").fill(f"{expiry:%Y-%m-%d}")
    page.locator("#add-time").fill(f"{expiry:%H:%M:%S}")
    page.get_by_role("button", name="Add product").click()
    expect(page.get_by_role("heading", name=name)).to_be_visible(timeout=MOMENT)


def test_a_product_expires_live_on_the_page(page: Page, site: Server) -> None:
    """A product that expires in 20 s turns expired and its notification appears, unprompted."""
    register(page, site)
    add_product(page, "Milk & <i>honey</i>", datetime.now(UTC) + timedelta(seconds=20))
    expect(page.locator("#link")).to_have_attribute("data-state", "on", timeout=MOMENT)
    item = page.locator(".item")
    expect(item).to_have_attribute("data-status", "active")
    assert page.locator("#unread").is_hidden()
    page.evaluate("window.sameDocument = true")
    expect(page.locator(".toast")).to_have_text(
        re.compile("Product Milk & <i>honey</i> has expired"), timeout=PATIENCE
    )
    expect(item).to_have_attribute("data-status", "expired", timeout=MOMENT)
    expect(item.locator(".state")).to_have_text("Expired")
    expect(page.locator("#unread")).to_have_text(re.compile("1"))
    assert page.evaluate("window.sameDocument") is True
    page.get_by_role("link", name="Notifications").click()
    expect(page.locator(".notice")).to_contain_text("Product Milk & <i>honey</i> has expired")
    page.get_by_role("button", name="Mark as read").click()
    expect(page.get_by_text("You have read everything.")).to_be_visible()


def test_typed_text_survives_a_live_update(page: Page, site: Server) -> None:
    """An open form keeps its focus and text while its item expires and moves up the list."""
    register(page, site)
    add_product(page, "Eggs", datetime.now(UTC) - timedelta(days=2))
    eggs, milk = (page.locator(".item", has_text=name) for name in ("Eggs", "Milk"))
    expect(eggs).to_have_attribute("data-status", "expired", timeout=PATIENCE)
    add_product(page, "Milk", datetime.now(UTC) + timedelta(seconds=3))
    expect(page.locator(".item h3")).to_have_text(["Eggs", "Milk"])
    milk.get_by_text("Change").click()
    note = milk.get_by_label("Note")
    note.fill("half empty")
    expect(milk).to_have_attribute("data-status", "expired", timeout=PATIENCE)
    expect(page.locator(".item h3")).to_have_text(["Milk", "Eggs"])
    expect(note).to_have_value("half empty")
    expect(note).to_be_focused()


def test_the_operator_controls_the_check(
    page: Page, site: Server, sqlite_url: str, children: Children
) -> None:
    """Running the check, changing its frequency and resetting it are each confirmed in words."""
    register(page, site)
    _make_operator(children, sqlite_url)
    page.reload()
    page.get_by_role("link", name="Scheduler").click()
    expect(page.get_by_text("Working normally")).to_be_visible()
    page.get_by_role("button", name="Run the check now").click()
    expect(page.get_by_role("status").filter(has_text="check")).to_be_visible(timeout=MOMENT)
    expect(page.get_by_text("manually").first).to_be_visible()
    page.get_by_label("Every minute").check()
    page.get_by_role("button", name="Change frequency").click()
    expect(page.locator(".facts")).to_contain_text("Every minute changed manually")
    page.get_by_role("button", name="Reset to the configured frequency").click()
    expect(page.locator(".facts")).to_contain_text("Every 10 seconds")
    page.get_by_role("link", name="All details in Duly").click()
    job = page.get_by_role("link", name="check_product_expiry").first
    expect(job).to_be_visible(timeout=MOMENT)


def test_the_page_says_when_it_is_not_live(chromium: Browser, site: Server) -> None:
    """When the server stops, the page says so and keeps its content."""
    context = chromium.new_context()
    page = context.new_page()
    register(page, site)
    add_product(page, "Milk", datetime.now(UTC) + timedelta(days=2))
    expect(page.locator("#link-text")).to_have_text("Live", timeout=MOMENT)
    site.kill()
    expect(page.locator("#link-text")).to_have_text("Reconnecting…", timeout=MOMENT)
    expect(page.get_by_role("heading", name="Milk")).to_be_visible()
    context.close()


def test_everything_works_without_script(chromium: Browser, site: Server) -> None:
    """Registering, adding, changing and removing work; only live updates need a script."""
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    register(page, site)
    add_product(page, "Milk", datetime.now(UTC) + timedelta(days=2))
    page.locator("summary", has_text="Change").click()
    page.locator("details[open]").get_by_label("Note").fill("in the door")
    page.get_by_role("button", name="Save").click()
    expect(page.locator(".item")).to_contain_text("in the door")
    page.locator("summary", has_text="Change").click()
    page.get_by_role("button", name="Remove").click()
    expect(page.get_by_text("No products yet.")).to_be_visible()
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_narrow_screen_needs_no_sideways_scrolling(
    chromium: Browser, site: Server, sqlite_url: str, children: Children, scheme: Any
) -> None:
    """Every page fits 360 pixels, by keyboard too, in light and in dark."""
    context = chromium.new_context(
        viewport={"width": 360, "height": 740},
        color_scheme=scheme,
    )
    page = context.new_page()
    problems = record_problems(page)
    register(page, site)
    add_product(page, "W" * 200, datetime.now(UTC) + timedelta(days=2))
    _make_operator(children, sqlite_url)
    for path in (
        "/my-products",
        "/inbox",
        "/inbox?show=all",
        "/operator",
        "/my-products?status=expired",
    ):
        page.goto(site.url + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, path
        unnamed = page.evaluate(
            "[...document.querySelectorAll('input:not([type=hidden]), select, button, a')]"
            ".filter(e => !(e.labels?.length || e.textContent.trim() || e.ariaLabel)).length"
        )
        assert unnamed == 0, path
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to main content"
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "main"
    context.close()
    assert not problems


def test_the_demo_serves_every_application(page: Page, children: Children) -> None:
    """One command serves an index, the application with sample data, and Duly's dashboard."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    demo = children.python("-m", "apps.demo", env={"PORT": str(port)})
    address = demo.wait_for(r"Duly's demo is at (\S+)")[1]
    email, password = demo.wait_for(r"^ +(\S+@\S+)  (\S+)  \(operator\)$").groups()
    wait_until(lambda: status(address) == 200, what="the index")
    page.goto(address)
    page.get_by_role("link", name="Open ExpireEye").click()
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Passport")).to_be_visible(timeout=MOMENT)
    expect(page.locator("#link-text")).to_have_text("Live", timeout=MOMENT)
    expect(page.locator(".toast").first).to_be_visible(timeout=PATIENCE)
    page.goto(address)
    page.get_by_role("link", name="Its jobs in Duly").first.click()
    job = page.get_by_role("link", name="check_product_expiry").first
    expect(job).to_be_visible(timeout=MOMENT)
    email, password = demo.wait_for(r"^ +(\S+@\S+)  (\S+)  \(client user\)$").groups()
    page.goto(address)
    page.get_by_role("link", name="Open Alerts").click()
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
    triggered = page.locator(".alert[data-look=triggered]", has_text="High cost per visit")
    expect(triggered).to_contain_text("seconds ago", timeout=PATIENCE)
    page.goto(address)
    page.get_by_role("link", name="Its mails").click()
    page.get_by_role("link", name="Office party is tomorrow").first.click(timeout=PATIENCE)
    page.locator(".text a").first.click()
    expect(page).to_have_title(re.compile("Sneaky Klaus"))
    email, password = demo.wait_for(r"^ +(\S+@\S+)  (\S+)  \(official of mess1\)$").groups()
    page.goto(address)
    page.get_by_role("link", name="Open ManageIt").click()
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator(".alert", has_text="High waste")).to_be_visible(timeout=PATIENCE)


def _make_operator(children: Children, url: str) -> None:
    command = ("-m", "apps.expireeye", "--make-operator", "ana@example.com")
    child = children.python(*command, env={"DATABASE_URL": url})
    assert child.wait() == 0, child.output()

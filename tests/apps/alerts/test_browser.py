"""The pages in a real Chromium: one process serves them, and a second one executes."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.apps.alerts.world import API, SECRET
from tests.support.browser import record_problems
from tests.support.processes import Children, Server

pytestmark = [pytest.mark.browser, pytest.mark.processes]

MEMBER, ADMIN = ("ana@example.com", "figures-at-nine"), ("otto@example.com", "keeps-the-clock")
APP = ("apps.alerts.app:from_environment", "--factory")
ACCOUNTS = f"""
import asyncio, datetime
from apps.alerts.accounts import add_user
from apps.alerts.models import Client, Metric
from apps.alerts.services import Services
from apps.alerts.settings import Settings

async def main():
    services = Services(Settings())
    await services.database.create_tables()
    async with services.database.begin() as session:
        client = Client(name="Acme")
        session.add(client)
        await session.flush()
        now = services.clock.now()
        session.add(Metric(client_id=client.id, metric="cplpv", value=3.25, measured_at=now))
    await add_user(services, *{MEMBER!r}, "client", [client.id])
    await add_user(services, *{ADMIN!r}, "admin")
    await services.database.close()

asyncio.run(main())
"""


@dataclass(frozen=True)
class Site:
    """The process that serves the pages, and the file of the database."""

    server: Server
    file: Path

    @property
    def url(self) -> str:
        return self.server.url

    def runs(self, alert_id: str) -> list[dict[str, Any]]:
        """The runs of an alert by the API, newest first."""
        email, password = MEMBER
        body = {"email": email, "password": password}
        with httpx.Client(base_url=self.url, timeout=60, trust_env=False) as http:
            token = http.post("/api/v1/auth/login", json=body).json()["access_token"]
            headers = {"authorization": f"Bearer {token}"}
            found: list[dict[str, Any]]
            found = http.get(f"{API}/{alert_id}/runs", headers=headers).json()
        return found

    def damage(self, statement: str) -> None:
        """Change the database by hand."""
        with sqlite3.connect(self.file, timeout=60) as connection:
            connection.execute(statement)
        connection.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One site for all tests of this module: a process for pages, another one that executes."""
    folder = tmp_path_factory.mktemp("site")
    env = {"DATABASE_URL": f"sqlite:///{folder / 'alerts.db'}", "JWT_SECRET": SECRET}
    with Children(folder) as children:
        assert children.python("-c", ACCOUNTS, env=env).wait() == 0
        children.uvicorn(*APP, ready="/health/ready", env=env)
        pages = {**env, "SCHEDULER_ENABLED": "false"}
        server = children.uvicorn(*APP, ready="/health/ready", env=pages)
        yield Site(server, folder / "alerts.db")


def sign_in(page: Page, site: Site, account: tuple[str, str] = MEMBER) -> None:
    page.goto(f"{site.url}/sign-in")
    page.get_by_label("E-mail").fill(account[0])
    page.get_by_label("Password").fill(account[1])
    page.get_by_role("button", name="Sign in").click()
    heading = "Scheduler" if account == ADMIN else "Alerts"
    expect(page.get_by_role("heading", name=heading, exact=True)).to_be_visible()


def create(page: Page, site: Site, name: str) -> str:
    """Create an alert that runs daily, and return its id."""
    page.goto(f"{site.url}/alerts/new")
    page.locator("#name").fill(name)
    page.locator("#metric").fill("cplpv")
    page.locator("#threshold").fill("2.5")
    page.locator("#taskTitle").fill("Look into $metric: $value")
    page.locator("#timezone").fill("UTC")
    page.get_by_role("button", name="Create alert").click()
    expect(page.get_by_role("status").filter(has_text="was created")).to_be_visible()
    return page.url.partition("?")[0].rpartition("/")[2]


def test_from_an_alert_to_its_dead_letter_and_back(
    page: Page, site: Site, chromium: Browser
) -> None:
    """Preview, trigger, instance, task; a failing run becomes a dead letter, and is requeued."""
    sign_in(page, site)
    page.goto(f"{site.url}/alerts/new")
    moments = page.locator(".moments li")
    expect(moments).to_have_count(10)
    page.get_by_role("radio", name="Days of the week").check()
    for day in ("Tue", "Wed", "Thu", "Fri"):
        page.get_by_role("checkbox", name=day).first.uncheck()
    expect(page.locator("#preview .schedule")).to_contain_text("on Monday,")
    assert {text[:3] for text in moments.all_inner_texts()} == {"Mon"}
    page.locator("#times").fill("24:00")
    expect(page.locator("#preview .fault")).to_contain_text("is not a time from 00:00 to 23:59")
    expect(page.locator("#times")).to_have_attribute("aria-invalid", "true")
    page.locator("#times").fill("09:00, 17:30")
    expect(page.locator("#preview .schedule")).to_contain_text("09:00 and 17:30")
    expect(page.locator("#times")).not_to_have_attribute("aria-invalid", "true")

    alert = create(page, site, "High cost <per> visit")
    page.get_by_role("button", name="Trigger now").click()
    expect(page.get_by_role("status").filter(has_text="triggered")).to_be_visible()
    row = page.locator("#instances tbody tr")
    expect(row).to_contain_text("3.25")
    expect(row).to_contain_text("by hand")
    row.get_by_role("button", name="Done").click()
    expect(row.locator("s")).to_have_text("Look into cplpv: 3.25")

    site.damage("""UPDATE alerts SET task_template = '{"heading": "none"}'""")
    context = chromium.new_context()
    other = context.new_page()
    problems = record_problems(other)
    sign_in(other, site, ADMIN)
    job = other.locator("#jobs tr", has_text="High cost <per> visit")
    job.get_by_role("button", name="Run").click()
    letter = other.locator(".letter", has_text="High cost <per> visit")
    expect(letter).to_contain_text("KeyError")

    page.get_by_role("link", name="Edit").click()
    page.locator("#taskTitle").fill("Look again: $value")
    page.get_by_role("button", name="Save changes").click()
    expect(page.get_by_role("status").filter(has_text="was changed")).to_be_visible()
    letter.get_by_role("button", name="Requeue").click()
    expect(other.get_by_role("status").filter(has_text="runs again")).to_be_visible()
    expect(letter).to_have_count(0)
    expect(row).to_have_count(2)
    expect(page.locator("#instances")).to_contain_text("Look again: 3.25")
    context.close()
    assert not problems
    assert site.runs(alert)[0]["outcome"] == "ok"


def test_a_frequency_changed_on_the_page_is_followed_by_another_process(
    page: Page, site: Site
) -> None:
    """At most two seconds after it is due and stored, the process that executes has started it."""
    sign_in(page, site)
    alert = create(page, site, "Launch")
    page.get_by_role("link", name="Edit").click()
    page.get_by_role("radio", name="Once").check()
    due = (datetime.now(UTC) + timedelta(seconds=6)).replace(microsecond=0)
    page.locator("#at").fill(f"{due:%Y-%m-%dT%H:%M:%S}")
    page.get_by_role("button", name="Save changes").click()
    expect(page.get_by_role("status").filter(has_text="was changed")).to_be_visible()
    expect(page.locator("#instances tbody tr")).to_contain_text("on schedule")
    [run] = site.runs(alert)
    assert datetime.fromisoformat(run["scheduled_for"]) == due
    started = datetime.fromisoformat(run["started_at"])
    with sqlite3.connect(site.file) as connection:
        [stored] = connection.execute("SELECT updated_at FROM alerts WHERE name = 'Launch'")
    connection.close()
    changed = datetime.fromisoformat(stored[0]).replace(tzinfo=UTC)
    assert started - max(due, changed) < timedelta(seconds=2)


def test_everything_works_without_script(chromium: Browser, site: Site) -> None:
    """Only the preview while one types and the updates of open pages need a script."""
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    sign_in(page, site)
    page.goto(f"{site.url}/alerts/new")
    page.get_by_role("radio", name="Days of the month").check()
    page.locator("#monthDays").fill("31")
    page.get_by_role("button", name="Update").click()
    expect(page.locator("#preview .schedule")).to_contain_text("on the 31st")
    create(page, site, "By hand")
    page.get_by_role("button", name="Deactivate").click()
    expect(page.locator(".pill")).to_have_text("Inactive")
    page.get_by_text("Delete this alert").click()
    page.get_by_role("button", name="Delete By hand").click()
    expect(page.get_by_role("heading", name="Alerts", exact=True)).to_be_visible()
    expect(page.get_by_role("link", name="By hand")).to_have_count(0)
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_narrow_screen_needs_no_sideways_scrolling(
    chromium: Browser, site: Site, scheme: Any
) -> None:
    """Every page fits 360 pixels, by keyboard too, in light and in dark."""
    viewport: Any = {"width": 360, "height": 740}
    context = chromium.new_context(viewport=viewport, color_scheme=scheme)
    page = context.new_page()
    problems = record_problems(page)
    sign_in(page, site)
    alert = create(page, site, "W" * 200)
    paths = ["/alerts", "/alerts/new", f"/alerts/{alert}", f"/alerts/{alert}/edit", "/inbox"]
    _visit(page, site, paths)
    context.clear_cookies()
    sign_in(page, site, ADMIN)
    _visit(page, site, ["/scheduler/ui", "/alerts", "/inbox"])
    context.close()
    assert not problems


def _visit(page: Page, site: Site, paths: list[str]) -> None:
    for path in paths:
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

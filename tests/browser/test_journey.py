"""One journey through what operators do: by mouse, by keyboard alone, and without JavaScript.

The steps are the same in each, and in both hosts. Its fixtures make sure that no page had a message
of the console, which includes reports of the content security policy.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import in_both_hosts
from tests.browser.demo import Host, Site
from tests.browser.drivers import Driver, Keyboard, Mouse
from tests.support.browser import HeldRequests, loading, same_load
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.browser, pytest.mark.processes]

LIVENESS = {"asgi": "Live.", "flask": "Updated every 2 s."}
LETTERS = 500
PART = 100
NO_POINTER = "addEventListener('pointerdown', () => console.error('a pointer was used'), true)"


@dataclass
class Walk:
    """A user on a journey.

    Attributes:
        site: the site.
        page: the page that the user has open.
        driver: how the user uses it.
        scripted: whether it has JavaScript; otherwise the user reloads to see what happens.
    """

    site: Site
    page: Page
    driver: Driver
    scripted: bool = True

    @contextmanager
    def staying(self) -> Iterator[None]:
        """Make sure that the page is not reloaded, unless that is the only way to see a change."""
        if not self.scripted:
            yield
            return
        with same_load(self.page):
            yield

    def see(self, target: Locator, text: str) -> None:
        """Wait until something shows a text."""

        def is_shown() -> bool:
            self.page.reload()
            return target.filter(has_text=text).count() > 0

        if not self.scripted:
            wait_until(is_shown, what=text)
        expect(target).to_contain_text(text)


def take(walk: Walk) -> None:
    """Take all steps, from the overview to the page of the jobs."""
    pause_and_resume(walk)
    watch_a_run(walk)
    retry_dead_letters(walk)
    create_a_job(walk)
    edit_its_trigger(walk)
    pause_all_of_a_filter(walk)


def pause_and_resume(walk: Walk) -> None:
    """Find a job, pause it and resume it: both ask for a reason, and the page shows it."""
    page, driver = walk.page, walk.driver
    driver.go("Jobs")
    driver.search("gated")
    expect(page.locator("tbody tr")).to_have_count(1)
    driver.open_row("gated")
    dialog = page.get_by_role("dialog")
    driver.press(page.get_by_role("button", name="Pause gated"))
    driver.fill(dialog.get_by_label("Reason"), "moving house")
    driver.follow(dialog.get_by_role("button", name="Pause"))
    expect(page.get_by_text("The job was paused.")).to_be_visible()
    assert ("done=" in page.url) is not walk.scripted
    expect(page.locator(".banner")).to_contain_text("Paused by local")
    expect(page.locator(".banner")).to_contain_text("moving house")
    expect(page.locator(".answers")).to_contain_text("Would fire next")
    driver.press(page.get_by_role("button", name="Resume gated"))
    driver.fill(dialog.get_by_label("Reason"), "moved")
    driver.follow(dialog.get_by_role("button", name="Resume"))
    expect(page.locator(".changes li").first).to_contain_text("resumed")
    expect(page.locator(".changes li").first).to_contain_text("moved")


def watch_a_run(walk: Walk) -> None:
    """Run the job: its progress, its log and its result appear on the open page."""
    page, driver, door = walk.page, walk.driver, walk.site.door
    driver.follow(page.get_by_role("button", name="Run gated now"))
    heading, log = page.locator(".heading"), page.get_by_role("log")
    with walk.staying():
        walk.see(heading, "running")
        walk.see(log, "waiting <b>here</b>")
        expect(page.get_by_role("progressbar")).to_have_attribute("value", "1")
        door.knocked = True
        walk.see(log, "WARNING a knock")
        walk.see(page.locator(".now"), "2 of 4 somebody knocks")
        if walk.scripted:
            driver.fill(page.get_by_placeholder("Filter lines"), "KNOCK")
            expect(log.get_by_text("waiting")).to_be_hidden()
        door.outcome = "pass"
        walk.see(heading, "succeeded")
        walk.see(page.get_by_label("Returned value"), "came through")
        expect(page).to_have_title("succeeded: gated · Duly")
        expect(log.locator("[data-line]")).to_have_count(2)
        expect(log.get_by_text("a knock")).to_be_visible()
        expect(log.get_by_text("waiting")).to_be_visible(visible=not walk.scripted)


def retry_dead_letters(walk: Walk) -> None:
    """Watch a group grow to 500, and retry it: the page says how many, and a bar how far it is."""
    page, driver, site = walk.page, walk.driver, walk.site
    site.door.outcome = None
    driver.go("Dead letters")
    group = page.get_by_role("row").filter(has_text="nobody opens to number")
    with walk.staying():
        site.scheduler.enqueue_many("knock", [{"number": number} for number in range(LETTERS)])
        walk.see(group.locator(".c-total"), str(LETTERS))
    expect(group).not_to_contain_text("geheim")
    site.door.outcome = "pass"
    driver.follow(group.get_by_role("button", name="Retry"))
    expect(page.get_by_role("heading", name=f"Retry {LETTERS} runs?")).to_be_visible()
    confirm = page.get_by_role("button", name=f"Retry {LETTERS} runs")
    if walk.scripted:
        watch_the_bar(walk, confirm)
    else:
        driver.follow(confirm)
    expect(page.get_by_text(f"{LETTERS} runs will be tried again.")).to_be_visible()
    expect(page.get_by_text("There are no dead letters.")).to_be_visible()
    wait_until(lambda: site.scheduler.count_runs(task="knock", state="succeeded") == LETTERS)


def watch_the_bar(walk: Walk, confirm: Locator) -> None:
    """Confirm, and see the bar move with each part."""
    page = walk.page
    parts = HeldRequests(page, "**/bulk/runs/retry")
    walk.driver.press(confirm)
    with loading(page):
        for done in range(0, LETTERS, PART):
            part = parts.next()
            expect(page.get_by_role("progressbar")).to_have_attribute("value", str(done))
            part.continue_()
    parts.release()


def create_a_job(walk: Walk) -> None:
    """Fill in the form that was made from a task with nested models and an enumeration."""
    page, driver = walk.page, walk.driver
    driver.go("Jobs")
    driver.follow(page.get_by_role("link", name="New job"))
    driver.open_row("ship")
    driver.fill(page.get_by_label("Id", exact=True), "parcel")
    driver.fill(page.get_by_label("Tags"), "slow")
    driver.fill(page.get_by_label("Cron expression"), "0 9 * * *")
    address = page.get_by_role("group", name="address", exact=True)
    driver.fill(address.get_by_label("street"), "Main street")
    driver.choose(page.get_by_label("size"), "large")
    back = page.get_by_role("group", name="back_to")
    expect(back.get_by_label("street")).to_be_hidden()
    driver.tick(back.get_by_label("back_to"))
    driver.fill(back.get_by_label("street"), "Side street")
    driver.follow(page.get_by_role("button", name="Create job"))
    expect(page.get_by_text("The job was created.")).to_be_visible()
    arguments = page.get_by_label("Arguments", exact=True)
    for text in ("Main street", "large", "Side street"):
        expect(arguments).to_contain_text(text)


def edit_its_trigger(walk: Walk) -> None:
    """The preview follows what is typed; what is wrong stands at its input until it is repaired."""
    page, driver = walk.page, walk.driver
    driver.follow(page.get_by_role("link", name="Edit", exact=True))
    cron, preview = page.get_by_label("Cron expression"), page.locator("#preview")

    def expect_preview(text: str) -> None:
        if not walk.scripted:
            driver.follow(page.get_by_role("button", name="Preview"))
        expect(preview).to_contain_text(text)

    driver.fill(cron, "30 2 * * *")
    expect_preview("At 02:30, Europe/Madrid time")
    expect(preview.get_by_role("listitem")).to_have_count(10)
    expect(preview).to_contain_text("which does not exist on")
    if walk.scripted:
        driver.fill(cron, "0 25 * * *")
        expect(cron).to_have_attribute("aria-invalid", "true")
        expect(page.locator(".panel-cron .fault")).to_contain_text("hour field")
        driver.fill(cron, "0 20 * * *")
        expect_preview("At 20:00")
        expect(page.locator(".panel-cron .fault")).to_have_count(0)
    driver.pick(page.get_by_role("radio", name="Interval"))
    expect(cron).to_be_hidden()
    driver.fill(page.get_by_label("Every", exact=True).first, "3")
    driver.choose(page.locator(".panel-every").get_by_label("Unit"), "hours")
    expect_preview("Every 3 hours")
    driver.follow(page.get_by_role("button", name="Save changes"))
    expect(page.get_by_text("The changes were saved.")).to_be_visible()
    expect(page.get_by_role("main")).to_contain_text("Fires every 3 hours")


def pause_all_of_a_filter(walk: Walk) -> None:
    """Filter the jobs by a tag, and pause all that match, with one reason."""
    page, driver = walk.page, walk.driver
    driver.go("Jobs")
    driver.press(page.locator("summary", has_text="More filters"))
    driver.fill(page.get_by_label("Tag", exact=True), "slow")
    driver.follow(page.get_by_role("button", name="Search"))
    driver.tick(page.get_by_role("checkbox", name="all 2 that match"))
    driver.follow(page.get_by_role("button", name="Pause…"))
    expect(page.get_by_role("heading", name="Pause 2 jobs?")).to_be_visible()
    driver.fill(page.get_by_label("Reason (optional)"), "stocktaking")
    driver.follow(page.get_by_role("button", name="Pause 2 jobs"))
    expect(page.get_by_text("2 jobs were paused.")).to_be_visible()
    assert page.url.endswith("/jobs?tag=slow" if walk.scripted else "&done=jobs-paused:2:0")
    expect(page.locator("tbody").get_by_text("stocktaking")).to_have_count(2)


@in_both_hosts
def test_the_journey_by_mouse(signed_in: Page, site: Site, host: Host) -> None:
    """A page that is streamed to, and one that polls, show the same."""
    signed_in.goto(f"{site.url}/")
    expect(signed_in.get_by_text(LIVENESS[host])).to_be_visible()
    take(Walk(site, signed_in, Mouse(signed_in)))


def test_the_journey_by_keyboard(signed_in: Page, site: Site) -> None:
    """No step needs a pointer; the page itself lists the keys."""
    page = signed_in
    page.add_init_script(NO_POINTER)
    page.goto(f"{site.url}/")
    key = page.keyboard.press
    key("Tab")
    expect(page.get_by_role("link", name="Skip to main content")).to_be_focused()
    key("Enter")
    expect(page.get_by_role("main")).to_be_focused()
    key("?")
    expect(page.get_by_role("dialog", name="Keyboard")).to_contain_text("next, previous row")
    key("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    take(Walk(site, page, Keyboard(page)))
    for each in ("j", "j", "k"):
        key(each)
    expect(page.locator("tbody tr").first.get_by_role("link").first).to_be_focused()


def test_the_journey_without_javascript(unscripted: Page, site: Site) -> None:
    """Every step works; a reload shows what has happened."""
    unscripted.goto(f"{site.url}/")
    take(Walk(site, unscripted, Mouse(unscripted), scripted=False))

"""The page of a run follows it, and dead letters are retried together."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from duly import Retry, Scheduler
from tests.browser.conftest import MOUNT, in_both_hosts
from tests.browser.demo import KEY
from tests.browser.test_live import is_same_load, mark, start
from tests.support.processes import Server
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.browser, pytest.mark.processes]
NUMBER = 500


@pytest.fixture
def scheduler(sqlite_url: str) -> Iterator[Scheduler]:
    """A scheduler of the same database that only enqueues."""
    scheduler = Scheduler(sqlite_url)

    @scheduler.task(retry=Retry(attempts=1))
    def knock(number: int) -> None:
        """Executed by the server only."""

    yield scheduler
    scheduler.stop(grace=0)


@in_both_hosts
def test_progress_and_log_of_a_running_job_are_live(
    signed_in: Page, server: Server, door: Path
) -> None:
    """Each line appears once, without a reload; the filter stays; the last lines come, too."""
    start(signed_in)
    log = signed_in.get_by_role("log")
    expect(log).to_contain_text("waiting <b>here</b>")
    mark(signed_in)
    door.with_name("knock").touch()
    expect(log).to_contain_text("WARNING a knock")
    expect(signed_in.locator("progress")).to_have_attribute("value", "2")
    expect(log.locator("[data-line]")).to_have_count(2)
    signed_in.get_by_placeholder("Filter lines").fill("KNOCK")
    expect(log.get_by_text("waiting")).to_be_hidden()
    expect(log.get_by_text("a knock")).to_be_visible()
    door.write_text("pass")
    expect(signed_in.locator(".heading")).to_contain_text("succeeded")
    expect(log.get_by_text("waiting")).to_be_hidden()
    expect(log.locator("[data-line]")).to_have_count(2)
    assert is_same_load(signed_in)


def test_dead_letters_are_retried_with_progress(
    signed_in: Page, server: Server, scheduler: Scheduler, door: Path
) -> None:
    """A group of 500: a page says how many, a bar shows the progress, and none is left."""
    scheduler.enqueue_many("knock", [{"number": number} for number in range(NUMBER)])
    signed_in.goto(f"{server.url}{MOUNT}/dead-letters")
    group = signed_in.get_by_role("row").filter(has_text="nobody opens to number")
    expect(group.locator(".c-total")).to_have_text(str(NUMBER))
    door.write_text("pass")
    group.get_by_role("button", name="Retry").click()
    expect(signed_in.get_by_role("heading", name=f"Retry {NUMBER} runs?")).to_be_visible()
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    signed_in.route("**/bulk/runs/retry", hold)
    signed_in.get_by_role("button", name=f"Retry {NUMBER} runs").click()
    expect(signed_in.get_by_role("progressbar")).to_be_visible()
    held[0].continue_()
    expect(signed_in.get_by_text(f"{NUMBER} runs will be tried again.")).to_be_visible()
    expect(signed_in.get_by_text("There are no dead letters.")).to_be_visible()


def test_a_failed_run_is_handled_without_javascript(
    chromium: Browser, server: Server, scheduler: Scheduler
) -> None:
    """Its log is searched, its arguments are edited, and it is discarded with its group."""
    first = scheduler.enqueue("knock", 1)
    base = f"{server.url}{MOUNT}"
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()  # the browser tells of a form that is refused, as it should
    page.goto(f"{base}/?key={KEY}")
    wait_until(lambda: scheduler.run(first).state == "failed")
    page.goto(f"{base}/runs/{first}")
    expect(page.get_by_text("token=[hidden]").first).to_be_visible()
    page.get_by_placeholder("Filter lines").fill("nothing")
    page.get_by_placeholder("Filter lines").press("Enter")
    expect(page.get_by_role("log")).to_contain_text("No line contains")
    page.get_by_role("link", name="Edit arguments").click()
    page.get_by_label("Arguments, as JSON").fill("{")
    page.get_by_role("button", name="Retry the run").click()
    expect(page.get_by_role("alert")).to_contain_text("Nothing has changed.")
    page.get_by_label("Arguments, as JSON").fill('{"number": 2}')
    page.get_by_role("button", name="Retry the run").click()
    expect(page.get_by_text("The run will be tried again.")).to_be_visible()
    wait_until(lambda: scheduler.run(first).attempt == 2 and scheduler.run(first).is_terminal)
    page.goto(f"{base}/dead-letters")
    page.get_by_role("row").filter(has_text="knock").get_by_role("button", name="Discard").click()
    page.get_by_label("Reason").fill("nobody lives there")
    page.get_by_role("button", name="Discard 1 run").click()
    expect(page.get_by_text("There are no dead letters.")).to_be_visible()
    assert scheduler.run(first).state == "discarded"
    context.close()

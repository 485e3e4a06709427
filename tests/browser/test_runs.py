"""A failed run is handled on its page, and with its group of dead letters."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visit
from tests.browser.demo import Site
from tests.support.browser import follow, loading
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.browser, pytest.mark.processes]


def test_a_failed_run_is_handled_without_javascript(visit: Visit, site: Site) -> None:
    """Its log is searched, its arguments are edited, and it is discarded with its group."""
    scheduler = site.scheduler
    first = scheduler.enqueue("knock", 1)
    wait_until(lambda: scheduler.run(first).state == "failed")
    with visit(f"/runs/{first}", refused=422, java_script_enabled=False) as page:
        expect(page.get_by_text("token=[hidden]").first).to_be_visible()
        page.get_by_placeholder("Filter lines").fill("nothing")
        with loading(page):
            page.get_by_placeholder("Filter lines").press("Enter")
        expect(page.get_by_role("log")).to_contain_text("No line contains")
        follow(page.get_by_role("link", name="Edit arguments"))
        page.get_by_label("Arguments, as JSON").fill("{")
        follow(page.get_by_role("button", name="Retry the run"))
        expect(page.get_by_role("alert")).to_contain_text("Nothing has changed.")
        page.get_by_label("Arguments, as JSON").fill('{"number": 2}')
        follow(page.get_by_role("button", name="Retry the run"))
        expect(page.get_by_text("The run will be tried again.")).to_be_visible()
        wait_until(lambda: scheduler.run(first).attempt == 2 and scheduler.run(first).is_terminal)
        page.goto(f"{site.url}/dead-letters")
        group = page.get_by_role("row").filter(has_text="knock")
        follow(group.get_by_role("button", name="Discard"))
        page.get_by_label("Reason").fill("nobody lives there")
        follow(page.get_by_role("button", name="Discard 1 run"))
        expect(page.get_by_text("There are no dead letters.")).to_be_visible()
    assert scheduler.run(first).state == "discarded"

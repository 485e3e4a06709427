"""An open page stays current without a reload."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import APIResponse, Page, Route, expect

from tests.browser.conftest import Visit
from tests.browser.demo import LONG, Door, Site
from tests.support.browser import HeldRequests, follow, same_load

# The script looks anew whenever this event comes and the page is not hidden.
TURN_AWAY = """(away) => {
    Object.defineProperty(document, "hidden", {value: away, configurable: true});
    document.dispatchEvent(new Event("visibilitychange"));
}"""
NOTE_MESSAGES = """
    window.heard = [];
    window.EventSource = class extends EventSource {
        addEventListener(kind, listener) {
            super.addEventListener(kind, (event) => { listener(event); window.heard.push(kind); });
        }
    };
"""
HEARD_TWICE = "(kind) => window.heard.filter((each) => each === kind).length === 2"
UPDATE = {"X-Duly-Update": "1"}
pytestmark = [pytest.mark.browser, pytest.mark.processes]


def answer_rarely(route: Route) -> None:
    """Let a page have what it asks for, but never ask by itself: only the stream makes it ask."""
    give_rarely(route, route.fetch())


def give_rarely(route: Route, response: APIResponse) -> None:
    """Let a page have a response, after which it does not ask by itself."""
    text = re.sub(r'data-refresh="[\d.]+"', 'data-refresh="3600"', response.text())
    route.fulfill(response=response, body=text)


@pytest.fixture
def streamed_to(signed_in: Page, site: Site) -> Page:
    """The page of the jobs, which asks for updates only when the stream tells it to."""
    signed_in.add_init_script(NOTE_MESSAGES)
    signed_in.route("**/duly/jobs", answer_rarely)
    signed_in.goto(f"{site.url}/jobs")
    expect(signed_in.get_by_text("Live.")).to_be_visible()
    return signed_in


def test_a_page_is_updated_when_something_happens(streamed_to: Page, site: Site) -> None:
    """The stream tells of a change, long before the page would ask by itself."""
    with same_load(streamed_to):
        site.scheduler.pause("gated", reason="holidays")
        expect(streamed_to.locator("tbody")).to_contain_text("holidays")


def test_a_change_during_an_update_is_shown(streamed_to: Page, site: Site) -> None:
    """Whatever is heard while an update is under way leads to another one."""
    updates = HeldRequests(streamed_to, "**/duly/jobs")
    site.scheduler.pause("gated", reason="holidays")
    update = updates.next()
    before = update.fetch()
    site.scheduler.pause(LONG, reason="moving house")
    streamed_to.wait_for_function(HEARD_TWICE, arg="job.paused")
    updates.release()
    give_rarely(update, before)
    expect(streamed_to.locator("tbody")).to_contain_text("moving house")


def test_an_update_from_before_a_change_is_followed_by_another(
    streamed_to: Page, site: Site
) -> None:
    """A page may receive what another one asked for a moment ago, and then asks again."""
    before = streamed_to.request.get(f"{site.url}/jobs", headers=UPDATE)
    aged = {**before.headers, "x-duly-age": "900"}
    updates = HeldRequests(streamed_to, "**/duly/jobs")
    site.scheduler.pause("gated", reason="holidays")
    update = updates.next()
    updates.release()
    update.fulfill(response=before, headers=aged)
    expect(streamed_to.locator("tbody")).to_contain_text("holidays")


def test_an_update_from_before_the_page_is_not_shown(signed_in: Page, site: Site) -> None:
    """After a change of one's own, the page does not go back to what another one had asked for."""
    before = signed_in.request.get(f"{site.url}/jobs", headers=UPDATE)
    site.scheduler.pause("gated", reason="holidays")
    signed_in.goto(f"{site.url}/jobs")
    updates = HeldRequests(signed_in, "**/duly/jobs")
    signed_in.evaluate(TURN_AWAY, False)
    updates.next().fulfill(response=before, headers={**before.headers, "x-duly-age": "60000"})
    following = updates.next()
    assert "holidays" in signed_in.locator("tbody").inner_text()
    following.continue_()


def test_a_run_that_fails_shows_on_the_overview(signed_in: Page, site: Site, door: Door) -> None:
    """A failed run appears at the top of an open overview, with its error as text."""
    signed_in.goto(f"{site.url}/")
    site.scheduler.run_now("gated")
    expect(signed_in.get_by_text("Nothing is late, silent or failing.")).to_be_visible()
    expect(signed_in.locator(".runs").get_by_role("row").nth(1)).to_contain_text("running")
    with same_load(signed_in):
        door.outcome = "fail"
        expect(signed_in.locator(".troubles")).to_contain_text("dead letters")
        error = "<script>alert('from an error')</script>"
        expect(signed_in.locator(".runs")).to_contain_text(error)


def test_typed_text_survives_a_refresh(signed_in: Page, site: Site) -> None:
    """An open dialog keeps its text and focus while the page is refreshed."""
    signed_in.goto(f"{site.url}/jobs/gated")
    signed_in.get_by_role("button", name="Pause gated").click()
    signed_in.keyboard.type("holi")
    with signed_in.expect_response("**/duly/jobs/gated"):
        signed_in.evaluate(TURN_AWAY, False)
    signed_in.keyboard.type("days")
    expect(signed_in.get_by_role("dialog").get_by_label("Reason")).to_have_value("holidays")
    follow(signed_in.get_by_role("dialog").get_by_role("button", name="Pause"))
    expect(signed_in.get_by_text("Paused by local")).to_contain_text("holidays")


def test_a_page_polls_while_the_stream_is_refused(site: Site, signed_in: Page) -> None:
    """Proxies that do not let a stream pass only make the page slower."""
    signed_in.route("**/api/v1/stream", lambda route: route.fulfill(status=204))
    signed_in.goto(f"{site.url}/")
    expect(signed_in.get_by_text("Updated every 2 s.")).to_be_visible()
    with signed_in.expect_response("**/duly/"):
        pass


def test_a_hidden_page_does_not_refresh(site: Site, signed_in: Page) -> None:
    """A page in the background sends no requests; it refreshes as soon as it is visible."""
    signed_in.clock.install()
    signed_in.goto(f"{site.url}/")
    with signed_in.expect_request("**/duly/"):
        signed_in.clock.run_for(3_000)
    signed_in.wait_for_load_state("networkidle")
    asked: list[str] = []
    signed_in.on("request", lambda request: asked.append(request.url))
    signed_in.evaluate(TURN_AWAY, True)
    signed_in.clock.run_for(600_000)
    assert asked == []
    with signed_in.expect_request("**/duly/"):
        signed_in.evaluate(TURN_AWAY, False)


def test_a_page_reports_that_the_server_does_not_respond(visit: Visit) -> None:
    """The content stays, with a notice that it may be out of date until the server responds."""
    with visit("/", refused=503) as page:
        offline = page.locator("#offline")
        expect(offline).to_be_hidden()
        page.route("**/duly/", lambda route: route.fulfill(status=503))
        for _ in range(2):
            with page.expect_response("**/duly/"):
                page.evaluate(TURN_AWAY, False)
        expect(offline).to_be_visible()
        expect(page.get_by_role("heading", name="Next to fire")).to_be_visible()
        page.unroute("**/duly/")
        page.evaluate(TURN_AWAY, False)
        expect(offline).to_be_hidden()


def test_a_signed_out_user_no_longer_sees_the_page(visit: Visit, site: Site) -> None:
    """When the session ends, the page stops showing its content."""
    with visit("/", refused=401) as page:
        page.context.clear_cookies()
        site.scheduler.pause("gated")  # so that the page asks for an update
        expect(page.get_by_text("You are not signed in.")).to_be_visible()

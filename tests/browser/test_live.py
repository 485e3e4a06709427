"""An open page stays current without a reload."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import MOUNT, in_both_hosts
from tests.browser.demo import KEY
from tests.support.processes import Server

# The script looks anew whenever this event comes and the page is not hidden.
TURN_AWAY = """(away) => {
    Object.defineProperty(document, "hidden", {value: away, configurable: true});
    document.dispatchEvent(new Event("visibilitychange"));
}"""
COUNT_MESSAGES = """
    window.heard = 0;
    window.EventSource = class extends EventSource {
        addEventListener(kind, listener) {
            super.addEventListener(kind, (event) => { listener(event); window.heard += 1; });
        }
    };
"""
pytestmark = [pytest.mark.browser, pytest.mark.processes]


def mark(page: Page) -> None:
    """Mark this load of the page, so that a reload can be detected."""
    page.evaluate("window.sameLoad = true")


def is_same_load(page: Page) -> bool:
    return page.evaluate("window.sameLoad === true") is True


def start(page: Page, job: str = "gated") -> None:
    """Run a job with its button, which opens the page of the run."""
    page.get_by_role("link", name="Jobs").first.click()
    page.get_by_role("button", name=f"Run {job} now").click()
    page.wait_for_url("**/runs/*")


@in_both_hosts
def test_a_run_that_finishes_shows_without_a_reload(signed_in: Page, door: Path) -> None:
    """State, result and progress of an open run page follow the run."""
    start(signed_in)
    heading = signed_in.locator(".heading")
    expect(heading).to_contain_text("running")
    expect(signed_in.locator("progress")).to_have_attribute("value", "1")
    expect(signed_in.get_by_role("log")).to_contain_text("waiting <b>here</b>")
    mark(signed_in)
    door.write_text("pass")
    expect(heading).to_contain_text("succeeded")
    expect(signed_in.get_by_label("Returned value")).to_have_text("came through")
    expect(signed_in).to_have_title("succeeded: gated · Duly")
    assert is_same_load(signed_in)


def test_a_run_that_fails_shows_on_the_overview(
    signed_in: Page, server: Server, door: Path
) -> None:
    """A failed run appears at the top of an open overview, with its error as text."""
    start(signed_in)
    signed_in.goto(f"{server.url}{MOUNT}/")
    expect(signed_in.get_by_text("Nothing is late, silent or failing.")).to_be_visible()
    expect(signed_in.locator(".runs").get_by_role("row").nth(1)).to_contain_text("running")
    mark(signed_in)
    door.write_text("fail")
    expect(signed_in.locator(".troubles")).to_contain_text("dead letters")
    expect(signed_in.locator(".runs")).to_contain_text("<script>alert('from an error')</script>")
    assert is_same_load(signed_in)


@in_both_hosts
def test_typed_text_survives_a_refresh(signed_in: Page, server: Server) -> None:
    """An open dialog keeps its text and focus while the page is refreshed."""
    signed_in.goto(f"{server.url}{MOUNT}/jobs/gated")
    signed_in.get_by_role("button", name="Pause gated").click()
    signed_in.keyboard.type("holi")
    with signed_in.expect_response(lambda answer: answer.url.endswith("/jobs/gated")):
        pass
    signed_in.keyboard.type("days")
    expect(signed_in.get_by_role("dialog").get_by_label("Reason")).to_have_value("holidays")
    signed_in.get_by_role("dialog").get_by_role("button", name="Pause").click()
    expect(signed_in.get_by_text("The job was paused.")).to_be_visible()
    expect(signed_in.get_by_text("Paused by local")).to_contain_text("holidays")
    assert "done=" not in signed_in.url


def test_a_page_is_updated_when_something_happens(server: Server, page: Page) -> None:
    """The stream tells of a change, long before the page would ask by itself."""
    page.add_init_script(COUNT_MESSAGES)
    page.clock.install()
    page.goto(f"{server.url}{MOUNT}/jobs/gated?key={KEY}")
    expect(page.get_by_text("Live.")).to_be_visible()
    page.clock.pause_at(page.evaluate("Date.now() + 2_000"))
    mark(page)
    heard = page.evaluate("window.heard")
    answer = page.request.post(
        f"{server.url}{MOUNT}/api/v1/jobs/gated/pause",
        data={"reason": "holidays"},
        headers={"Authorization": f"Bearer {KEY}"},
    )
    assert answer.ok, answer.text()
    page.wait_for_function("(before) => window.heard > before", arg=heard)
    page.clock.run_for(1_000)
    expect(page.get_by_text("Paused by local")).to_contain_text("holidays")
    assert is_same_load(page)


@pytest.mark.parametrize("host", ["flask"])
def test_a_page_says_that_it_polls(signed_in: Page) -> None:
    """Under WSGI there is no stream, and the footer says how often the page is updated."""
    expect(signed_in.get_by_text("Updated every 2 s.")).to_be_visible()


def test_a_page_polls_while_the_stream_is_refused(server: Server, page: Page) -> None:
    """Proxies that do not let a stream pass only make the page slower."""
    page.route("**/api/v1/stream", lambda route: route.fulfill(status=204))
    page.goto(f"{server.url}{MOUNT}/?key={KEY}")
    expect(page.get_by_text("Updated every 2 s.")).to_be_visible()
    with page.expect_response("**/duly/"):
        pass


def test_a_hidden_page_does_not_refresh(server: Server, page: Page) -> None:
    """A page in the background sends no requests; it refreshes as soon as it is visible."""
    page.clock.install()
    page.goto(f"{server.url}{MOUNT}/?key={KEY}")
    with page.expect_request("**/duly/"):
        page.clock.run_for(3_000)
    page.wait_for_load_state("networkidle")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.evaluate(TURN_AWAY, True)
    page.clock.run_for(600_000)
    assert asked == []
    with page.expect_request("**/duly/"):
        page.evaluate(TURN_AWAY, False)


def test_a_page_reports_that_the_server_does_not_respond(server: Server, chromium: Browser) -> None:
    """The content stays, with a notice that it may be out of date until the server responds."""
    page = chromium.new_page()  # the browser tells of each answer that fails, as it should
    page.goto(f"{server.url}{MOUNT}/?key={KEY}")
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
    page.close()


def test_a_signed_out_user_no_longer_sees_the_page(server: Server, chromium: Browser) -> None:
    """When the session ends, the page stops showing its content."""
    page = chromium.new_page()
    page.clock.install()
    page.goto(f"{server.url}{MOUNT}/?key={KEY}")
    page.context.clear_cookies()
    page.clock.run_for(3_000)
    expect(page.get_by_text("You are not signed in.")).to_be_visible()
    page.close()

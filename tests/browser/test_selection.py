"""Many jobs are selected and changed: with a mouse, by keyboard, and without JavaScript."""

from __future__ import annotations

import json
from urllib.parse import parse_qs

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import MOUNT
from tests.support.processes import Server

pytestmark = [pytest.mark.browser, pytest.mark.processes]


def test_jobs_are_selected_and_paused_by_keyboard(signed_in: Page, server: Server) -> None:
    """j and x select rows; the page that asks focuses the reason, and Enter confirms."""
    signed_in.goto(f"{server.url}{MOUNT}/jobs")
    expect(signed_in.get_by_role("button", name="Pause…")).to_be_disabled()
    for key in ("j", "x", "j", "x", "j", "x", "x"):
        signed_in.keyboard.press(key)
    expect(signed_in.get_by_text("2 selected")).to_be_visible()
    signed_in.get_by_role("button", name="Pause…").press("Enter")
    expect(signed_in.get_by_role("heading", name="Pause 2 jobs?")).to_be_visible()
    expect(signed_in.get_by_label("Reason (optional)")).to_be_focused()
    signed_in.keyboard.type("moving house")
    signed_in.keyboard.press("Enter")
    expect(signed_in.get_by_text("2 jobs were paused.")).to_be_visible()
    expect(signed_in.locator("tbody").get_by_text("moving house")).to_have_count(2)


def test_a_selection_survives_an_update(signed_in: Page, server: Server) -> None:
    """What another user changes appears, and the selected rows stay selected."""
    signed_in.goto(f"{server.url}{MOUNT}/jobs")
    box = signed_in.get_by_role("checkbox", name="Select gated")
    box.check()
    other = signed_in.context.new_page()
    other.goto(f"{server.url}{MOUNT}/jobs/gated")
    other.get_by_role("button", name="Pause").click()
    other.get_by_role("dialog").get_by_label("Reason").fill("changed elsewhere")
    other.get_by_role("dialog").get_by_role("button", name="Pause").click()
    expect(other.get_by_text("The job was paused.")).to_be_visible()
    other.close()
    signed_in.bring_to_front()
    expect(signed_in.locator("tbody")).to_contain_text("changed elsewhere")
    expect(box).to_be_checked()
    expect(signed_in.get_by_text("1 selected")).to_be_visible()
    expect(signed_in.get_by_role("button", name="Resume…")).to_be_enabled()


def test_all_of_a_page_are_selected(signed_in: Page, server: Server) -> None:
    """One box selects every row, and shows whether all, some or none are."""
    signed_in.goto(f"{server.url}{MOUNT}/jobs")
    page_box = signed_in.get_by_role("checkbox", name="this page")
    page_box.check()
    expect(signed_in.get_by_text("3 selected")).to_be_visible()
    signed_in.get_by_role("checkbox", name="Select gated").uncheck()
    expect(page_box).not_to_be_checked()
    expect(signed_in.get_by_text("2 selected")).to_be_visible()


def test_a_large_change_shows_its_progress(signed_in: Page, server: Server) -> None:
    """The script sends part after part, with what the server returned, until it is told to go."""
    signed_in.goto(f"{server.url}{MOUNT}/jobs?tag=slow")
    signed_in.get_by_role("checkbox", name="all 1 that match").check()
    signed_in.get_by_role("button", name="Pause…").click()
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    signed_in.route("**/bulk/jobs/pause", hold)

    def next_part() -> Route:
        while not held:
            signed_in.wait_for_function("true")  # lets Playwright call the handler
        return held.pop()

    def sent(route: Route) -> dict[str, list[str]]:
        return parse_qs(route.request.post_data or "")

    signed_in.get_by_role("button", name="Pause 1 job").click()
    signed_in.wait_for_function("document.querySelector('[data-stop]').hidden === false")
    first = next_part()
    expect(signed_in.get_by_role("progressbar")).to_have_attribute("value", "0")
    assert (sent(first)["every"], sent(first)["tag"]) == (["1"], ["slow"])
    assert "after" not in sent(first)
    part = {"to": None, "done": 1, "fields": {"after": "x", "changed": 1, "left": 0}}
    first.fulfill(body=json.dumps(part), content_type="application/json")
    second = next_part()
    expect(signed_in.get_by_role("progressbar")).to_have_attribute("value", "1")
    assert (sent(second)["after"], sent(second)["changed"]) == (["x"], ["1"])
    signed_in.get_by_role("button", name="Stop").click()
    second.fulfill(body=json.dumps(part), content_type="application/json")
    last = next_part()
    assert sent(last)["stop"] == ["1"]
    last.continue_()
    expect(signed_in.get_by_text("1 job was paused.")).to_be_visible()


def test_an_error_leaves_the_question(signed_in: Page, server: Server) -> None:
    """An alert says that something is wrong, and the button works again."""
    signed_in.goto(f"{server.url}{MOUNT}/jobs?tag=slow")
    signed_in.get_by_role("checkbox", name="Select gated").check()
    signed_in.get_by_role("button", name="Remove…").click()
    signed_in.route("**/bulk/jobs/remove", lambda route: route.fulfill(body="no JSON"))
    signed_in.get_by_role("button", name="Remove 1 job").click()
    expect(signed_in.get_by_role("alert")).to_be_visible()
    expect(signed_in.get_by_role("button", name="Remove 1 job")).to_be_enabled()


def test_all_that_match_are_paused_without_a_script(unscripted: Page, server: Server) -> None:
    """The form of the list leads to the question, and that to the list with a confirmation."""
    unscripted.goto(f"{server.url}{MOUNT}/jobs?tag=slow")
    expect(unscripted.get_by_role("checkbox", name="this page")).to_be_hidden()
    unscripted.get_by_role("checkbox", name="all 1 that match").check()
    unscripted.get_by_role("button", name="Pause…").click()
    expect(unscripted.get_by_role("heading", name="Pause 1 job?")).to_be_visible()
    unscripted.get_by_label("Reason (optional)").fill("holidays")
    unscripted.get_by_role("button", name="Pause 1 job").click()
    expect(unscripted.get_by_text("1 job was paused.")).to_be_visible()
    expect(unscripted).to_have_url(f"{server.url}{MOUNT}/jobs?tag=slow&done=jobs-paused:1:0")
    expect(unscripted.locator("tbody")).to_contain_text("holidays")

"""Jobs are selected and changed together."""

from __future__ import annotations

import json
from urllib.parse import parse_qs

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.demo import Site
from tests.support.browser import HeldRequests, follow, loading

pytestmark = [pytest.mark.browser, pytest.mark.processes]


def test_jobs_are_selected_and_paused_by_keyboard(signed_in: Page, site: Site) -> None:
    """j and x select rows; the page that asks focuses the reason, and Enter confirms."""
    signed_in.goto(f"{site.url}/jobs")
    expect(signed_in.get_by_role("button", name="Pause…")).to_be_disabled()
    for key in ("j", "x", "j", "x", "j", "x", "x"):
        signed_in.keyboard.press(key)
    expect(signed_in.get_by_text("2 selected")).to_be_visible()
    with loading(signed_in):
        signed_in.get_by_role("button", name="Pause…").press("Enter")
    expect(signed_in.get_by_role("heading", name="Pause 2 jobs?")).to_be_visible()
    expect(signed_in.get_by_label("Reason (optional)")).to_be_focused()
    signed_in.keyboard.type("moving house")
    signed_in.keyboard.press("Enter")
    expect(signed_in.get_by_text("2 jobs were paused.")).to_be_visible()
    expect(signed_in.locator("tbody").get_by_text("moving house")).to_have_count(2)


def test_a_selection_survives_an_update(signed_in: Page, site: Site) -> None:
    """What another user changes appears, and the selected rows stay selected."""
    signed_in.goto(f"{site.url}/jobs")
    box = signed_in.get_by_role("checkbox", name="Select gated")
    box.check()
    site.scheduler.pause("gated", reason="changed elsewhere")
    expect(signed_in.locator("tbody")).to_contain_text("changed elsewhere")
    expect(box).to_be_checked()
    expect(signed_in.get_by_text("1 selected")).to_be_visible()
    expect(signed_in.get_by_role("button", name="Resume…")).to_be_enabled()


def test_all_of_a_page_are_selected(signed_in: Page, site: Site) -> None:
    """One box selects every row, and shows whether all, some or none are."""
    signed_in.goto(f"{site.url}/jobs")
    page_box = signed_in.get_by_role("checkbox", name="this page")
    page_box.check()
    expect(signed_in.get_by_text("3 selected")).to_be_visible()
    signed_in.get_by_role("checkbox", name="Select gated").uncheck()
    expect(page_box).not_to_be_checked()
    expect(signed_in.get_by_text("2 selected")).to_be_visible()


def test_a_large_change_shows_its_progress(signed_in: Page, site: Site) -> None:
    """The script sends part after part, with what the server returned, until it is told to go."""
    signed_in.goto(f"{site.url}/jobs?tag=slow")
    signed_in.get_by_role("checkbox", name="all 1 that match").check()
    follow(signed_in.get_by_role("button", name="Pause…"))
    parts = HeldRequests(signed_in, "**/bulk/jobs/pause")

    def sent(route: Route) -> dict[str, list[str]]:
        return parse_qs(route.request.post_data or "")

    signed_in.get_by_role("button", name="Pause 1 job").click()
    first = parts.next()
    expect(signed_in.get_by_role("progressbar")).to_have_attribute("value", "0")
    assert (sent(first)["every"], sent(first)["tag"]) == (["1"], ["slow"])
    assert "after" not in sent(first)
    part = {"to": None, "done": 1, "fields": {"after": "x", "changed": 1, "left": 0}}
    first.fulfill(body=json.dumps(part), content_type="application/json")
    second = parts.next()
    expect(signed_in.get_by_role("progressbar")).to_have_attribute("value", "1")
    assert (sent(second)["after"], sent(second)["changed"]) == (["x"], ["1"])
    signed_in.get_by_role("button", name="Stop").click()
    second.fulfill(body=json.dumps(part), content_type="application/json")
    last = parts.next()
    assert sent(last)["stop"] == ["1"]
    last.continue_()
    expect(signed_in.get_by_text("1 job was paused.")).to_be_visible()


def test_an_error_leaves_the_question(signed_in: Page, site: Site) -> None:
    """An alert says that something is wrong, and the button works again."""
    signed_in.goto(f"{site.url}/jobs?tag=slow")
    signed_in.get_by_role("checkbox", name="Select gated").check()
    follow(signed_in.get_by_role("button", name="Remove…"))
    signed_in.route("**/bulk/jobs/remove", lambda route: route.fulfill(body="no JSON"))
    signed_in.get_by_role("button", name="Remove 1 job").click()
    expect(signed_in.get_by_role("alert")).to_be_visible()
    expect(signed_in.get_by_role("button", name="Remove 1 job")).to_be_enabled()

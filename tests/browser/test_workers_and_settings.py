"""Workers, queues and settings in a browser: by keyboard, without a script, in both themes."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Visit
from tests.browser.demo import Site
from tests.browser.drivers import Keyboard
from tests.support.browser import follow, loading, same_load

pytestmark = [pytest.mark.browser, pytest.mark.processes]

BACKGROUND = "() => getComputedStyle(document.body).backgroundColor"
DARK = "rgb(18, 19, 22)"


def test_a_worker_is_drained_by_keyboard(signed_in: Page, site: Site) -> None:
    """``g w`` opens the page, Enter the dialog, and Enter in its field drains the worker."""
    signed_in.goto(f"{site.url}/settings")
    keyboard = Keyboard(signed_in)
    keyboard.go("Workers")
    fleet = signed_in.get_by_role("table", name="Workers")
    expect(fleet).to_contain_text("alive")
    keyboard.press(signed_in.get_by_role("button", name="Drain process"))
    expect(signed_in.get_by_role("dialog").get_by_label("Reason")).to_be_focused()
    signed_in.keyboard.type("new kernel")
    with loading(signed_in):
        signed_in.keyboard.press("Enter")
    expect(signed_in.get_by_text("The worker was asked to drain")).to_be_visible()
    expect(fleet).to_contain_text("draining")
    keyboard.go("Audit")
    expect(signed_in.locator(".events")).to_contain_text("to drain: new kernel")


def test_running_runs_appear_without_a_reload(signed_in: Page, site: Site) -> None:
    """The slots and the runs of each worker follow what happens."""
    signed_in.goto(f"{site.url}/workers")
    fleet = signed_in.get_by_role("table", name="Workers")
    expect(fleet).to_contain_text("nothing")
    with same_load(signed_in):
        site.scheduler.run_now("gated")
        expect(fleet.get_by_role("link", name="gated")).to_be_visible()
        expect(fleet).to_contain_text("1 of 10")


def test_limits_are_set_in_a_dialog(visit: Visit) -> None:
    """What is not valid comes back with what was typed, and is not lost by an update."""
    with visit("/workers", refused=422) as page:
        page.get_by_role("button", name="Limits of queue default").click()
        dialog = page.get_by_role("dialog", name="Limits of the queue default")
        dialog.get_by_label("Runs at once").fill("three")
        follow(dialog.get_by_role("button", name="Set limits"))
        refused = page.get_by_label("Runs at once")
        expect(refused).to_have_value("three")
        expect(refused).to_have_attribute("aria-invalid", "true")
        refused.fill("3")
        follow(page.get_by_role("button", name="Set limits"))
        expect(page.get_by_text("The limits of the queue were set.")).to_be_visible()
        expect(page.get_by_role("table", name="Queues")).to_contain_text("at most 3 runs at once")


def test_a_key_stays_on_its_page_until_the_user_leaves(signed_in: Page, site: Site) -> None:
    """No update replaces it; afterwards, no page has it."""
    signed_in.goto(f"{site.url}/settings/keys")
    signed_in.get_by_label("What it is for").fill("deploy")
    follow(signed_in.get_by_role("button", name="Create the key"))
    shown = signed_in.get_by_label("Key", exact=True)
    key = shown.inner_text()
    assert re.fullmatch(r"duly_[\w-]{43}", key)
    assert key not in signed_in.url
    expect(signed_in.locator("main")).not_to_have_attribute("data-refresh", re.compile(""))
    follow(signed_in.get_by_role("link", name="I have copied it"))
    expect(signed_in.get_by_role("table")).to_contain_text("deploy")
    assert key not in signed_in.content()
    signed_in.get_by_role("button", name="Revoke the key deploy").click()
    follow(signed_in.get_by_role("dialog").get_by_role("button", name="Revoke the key"))
    expect(signed_in.get_by_role("table")).to_contain_text("revoked")


def test_the_theme_is_chosen_and_kept(signed_in: Page, site: Site) -> None:
    """On every page from then on, and the choice is marked; "system" follows the system again."""
    signed_in.goto(f"{site.url}/settings")
    light = signed_in.evaluate(BACKGROUND)
    assert light != DARK
    follow(signed_in.get_by_role("button", name="Dark"))
    expect(signed_in.get_by_role("button", name="Dark chosen")).to_be_visible()
    signed_in.goto(f"{site.url}/jobs")
    assert signed_in.evaluate(BACKGROUND) == DARK
    signed_in.goto(f"{site.url}/settings")
    follow(signed_in.get_by_role("button", name="As the system"))
    expect(signed_in.get_by_role("button", name="As the system chosen")).to_be_visible()
    assert signed_in.evaluate(BACKGROUND) == light


def test_these_pages_work_without_a_script(unscripted: Page, site: Site) -> None:
    """Pausing a queue with a reason, limits, the theme, and a filter of the audit trail."""
    unscripted.goto(f"{site.url}/workers")
    unscripted.get_by_role("button", name="Pause queue default").click()
    unscripted.get_by_role("dialog").get_by_label("Reason").fill("stocktaking")
    follow(unscripted.get_by_role("dialog").get_by_role("button", name="Pause"))
    queues = unscripted.get_by_role("table", name="Queues")
    expect(queues).to_contain_text("paused by local: stocktaking")
    unscripted.get_by_role("button", name="Set a limit").click()
    dialog = unscripted.get_by_role("dialog")
    dialog.get_by_label("Concurrency key").fill("shop")
    dialog.get_by_label("Runs at once").fill("2")
    follow(dialog.get_by_role("button", name="Set the limit"))
    limits = unscripted.get_by_role("table", name="Limits of concurrency keys")
    expect(limits).to_contain_text("shop")
    unscripted.goto(f"{site.url}/settings")
    follow(unscripted.get_by_role("button", name="Dark"))
    assert unscripted.evaluate(BACKGROUND) == DARK
    unscripted.goto(f"{site.url}/audit")
    unscripted.get_by_label("What happened").select_option("queue.paused")
    follow(unscripted.get_by_role("button", name="Search"))
    expect(unscripted.locator(".events > li")).to_have_count(1)
    expect(unscripted.locator(".events")).to_contain_text(
        "local paused the queue default: stocktaking"
    )

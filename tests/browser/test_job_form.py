"""The form of a job in a real browser: generated inputs, the live preview, keyboard, no script."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import MOUNT
from tests.browser.demo import KEY
from tests.browser.test_pages import STICKING_OUT, WIDTHS
from tests.support.processes import Server

pytestmark = [pytest.mark.browser, pytest.mark.processes]
NEW = f"{MOUNT}/new-job?task=ship"
INVALID = re.compile(r"hour field")


@pytest.fixture
def refused(server: Server, chromium: Browser) -> Iterator[Callable[..., Page]]:
    """Opens signed-in pages, which may be responses with an error."""
    pages: list[Page] = []

    def open_page(*, script: bool = True) -> Page:
        page = chromium.new_context(java_script_enabled=script).new_page()
        pages.append(page)
        page.goto(f"{server.url}{MOUNT}/?key={KEY}")
        return page

    yield open_page
    for page in pages:
        page.context.close()


def fill_parcel(page: Page) -> None:
    """Type a job with an enumeration and a nested model."""
    page.get_by_label("Id", exact=True).fill("parcel")
    page.get_by_label("Cron expression").fill("30 2 * * *")
    address = page.get_by_role("group", name="address", exact=True)
    address.get_by_label("street").fill("Main street")
    page.get_by_label("size").select_option("large")


def expect_parcel(page: Page) -> None:
    """The page of the job that was created."""
    page.wait_for_url(f"**{MOUNT}/jobs/parcel**")
    expect(page.get_by_text("The job was created.")).to_be_visible()
    expect(page.locator("main")).to_contain_text("Main street")
    expect(page.locator("main")).to_contain_text("large")


def test_creating_a_job(signed_in: Page, server: Server) -> None:
    """From the jobs page through the tasks to the page of the new job."""
    signed_in.goto(f"{server.url}{MOUNT}/jobs")
    signed_in.get_by_role("link", name="New job").click()
    signed_in.get_by_role("link", name="ship").click()
    fill_parcel(signed_in)
    back = signed_in.get_by_role("group", name="back_to")
    expect(back.get_by_label("street")).to_be_hidden()
    back.get_by_label("back_to").check()
    back.get_by_label("street").fill("Side street")
    signed_in.get_by_role("button", name="Create job").click()
    expect_parcel(signed_in)
    expect(signed_in.locator("main")).to_contain_text("Side street")


def test_creating_a_job_without_a_script(refused: Callable[..., Page], server: Server) -> None:
    """What is wrong comes back at its input, and nothing that was typed is lost."""
    unscripted = refused(script=False)
    unscripted.goto(f"{server.url}{NEW}")
    fill_parcel(unscripted)
    unscripted.get_by_label("Cron expression").fill("0 25 * * *")
    unscripted.get_by_role("button", name="Preview").click()
    cron = unscripted.get_by_label("Cron expression")
    expect(cron).to_have_accessible_description(INVALID)
    expect(cron).to_be_focused()
    cron.fill("0 9 * * mon-fri")
    unscripted.get_by_role("button", name="Preview").click()
    expect(unscripted.locator("#preview")).to_contain_text("At 09:00 on Monday to Friday")
    unscripted.get_by_text("Interval", exact=True).click()
    expect(cron).to_be_hidden()
    unscripted.get_by_label("Every", exact=True).first.fill("20")
    unscripted.get_by_role("button", name="Create job").click()
    expect_parcel(unscripted)
    expect(unscripted.locator("main")).to_contain_text("every 20 minutes")


def test_the_preview_follows_what_is_typed(signed_in: Page, server: Server) -> None:
    """English, next times and warnings; an error is at the input, and goes when it is repaired."""
    signed_in.goto(f"{server.url}{MOUNT}/jobs/gated/edit#trigger")
    preview, cron = signed_in.locator("#preview"), signed_in.get_by_label("Cron expression")
    expect(preview).to_contain_text("Fri 1 Jan 2027")
    cron.fill("30 2 * * *")
    expect(preview).to_contain_text("At 02:30, Europe/Madrid time")
    expect(preview.get_by_role("listitem")).to_have_count(10)
    expect(preview).to_contain_text("which does not exist on")
    cron.fill("0 25 * * *")
    expect(cron).to_have_attribute("aria-invalid", "true")
    expect(signed_in.locator(".panel-cron .fault")).to_contain_text(INVALID)
    cron.fill("0 20 * * *")
    expect(preview).to_contain_text("At 20:00")
    expect(signed_in.locator(".panel-cron .fault")).to_have_count(0)
    signed_in.get_by_role("button", name="Save changes").click()
    expect(signed_in.get_by_text("The changes were saved.")).to_be_visible()
    expect(signed_in.locator("main")).to_contain_text("Fires at 20:00")


def test_the_form_works_by_keyboard(signed_in: Page, server: Server) -> None:
    """Arrows change the kind of trigger, and Enter saves."""
    signed_in.goto(f"{server.url}{NEW}")
    fill_parcel(signed_in)
    signed_in.get_by_role("radio", name="Cron").focus()
    signed_in.keyboard.press("ArrowRight")
    expect(signed_in.get_by_role("radio", name="Interval")).to_be_focused()
    signed_in.keyboard.press("Tab")
    signed_in.keyboard.type("3")
    signed_in.keyboard.press("Tab")
    signed_in.keyboard.type("ho")
    expect(signed_in.locator("#preview")).to_contain_text("Every 3 hours")
    signed_in.get_by_label("Reason").press("Enter")
    expect_parcel(signed_in)
    expect(signed_in.locator("main")).to_contain_text("every 3 hours")


def test_typed_text_survives_updates(refused: Callable[..., Page], server: Server) -> None:
    """The page is updated around the form, also after problems were shown."""
    signed_in = refused()
    signed_in.goto(f"{server.url}{NEW}")
    fill_parcel(signed_in)
    signed_in.get_by_label("Cron expression").fill("x")
    signed_in.get_by_role("button", name="Create job").click()
    expect(signed_in.get_by_text("Nothing was saved.")).to_be_visible()
    signed_in.get_by_label("Reason").fill("half-")
    with signed_in.expect_response(lambda answer: answer.request.method == "GET"):
        signed_in.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    signed_in.keyboard.type("typed")
    expect(signed_in.get_by_label("Reason")).to_have_value("half-typed")
    expect(signed_in.get_by_label("Id", exact=True)).to_have_value("parcel")
    expect(signed_in.get_by_text("Nothing was saved.")).to_be_visible()


def test_the_form_fits_every_screen(signed_in: Page, server: Server) -> None:
    """With everything open, from a phone to a wall display."""
    for path in ("/new-job", "/new-job?task=ship", "/jobs/gated/edit"):
        signed_in.goto(f"{server.url}{MOUNT}{path}")
        signed_in.evaluate("document.querySelectorAll('details').forEach((one) => one.open = true)")
        for width in WIDTHS:
            signed_in.set_viewport_size({"width": width, "height": 800})
            assert signed_in.evaluate(STICKING_OUT) == [], (path, width)

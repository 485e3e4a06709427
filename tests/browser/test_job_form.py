"""The form of a job in a real browser: what is refused, updates around it, and screens."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Visit
from tests.browser.demo import Site
from tests.browser.test_pages import STICKING_OUT, WIDTHS
from tests.support.browser import follow

pytestmark = [pytest.mark.browser, pytest.mark.processes]
NEW = "/new-job?task=ship"
INVALID = re.compile(r"hour field")


def fill_parcel(page: Page) -> None:
    """Type a job with an enumeration and a nested model."""
    page.get_by_label("Id", exact=True).fill("parcel")
    page.get_by_label("Cron expression").fill("30 2 * * *")
    address = page.get_by_role("group", name="address", exact=True)
    address.get_by_label("street").fill("Main street")
    page.get_by_label("size").select_option("large")


def test_a_form_is_refused_without_a_script(visit: Visit) -> None:
    """What is wrong comes back at its input, and nothing that was typed is lost."""
    with visit(NEW, refused=422, java_script_enabled=False) as page:
        fill_parcel(page)
        cron = page.get_by_label("Cron expression")
        cron.fill("0 25 * * *")
        follow(page.get_by_role("button", name="Preview"))
        expect(cron).to_have_accessible_description(INVALID)
        expect(cron).to_be_focused()
        cron.fill("0 9 * * mon-fri")
        follow(page.get_by_role("button", name="Preview"))
        expect(page.locator("#preview")).to_contain_text("At 09:00 on Monday to Friday")
        follow(page.get_by_role("button", name="Create job"))
        expect(page.get_by_text("The job was created.")).to_be_visible()
        expect(page.get_by_role("main")).to_contain_text("Main street")


def test_typed_text_survives_updates(visit: Visit) -> None:
    """The page is updated around the form, also after problems were shown."""
    with visit(NEW, refused=422) as page:
        fill_parcel(page)
        page.get_by_label("Cron expression").fill("x")
        follow(page.get_by_role("button", name="Create job"))
        expect(page.get_by_text("Nothing was saved.")).to_be_visible()
        page.get_by_label("Reason").fill("half-")
        with page.expect_response(lambda answer: answer.request.method == "GET"):
            page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        page.keyboard.type("typed")
        expect(page.get_by_label("Reason")).to_have_value("half-typed")
        expect(page.get_by_label("Id", exact=True)).to_have_value("parcel")
        expect(page.get_by_text("Nothing was saved.")).to_be_visible()


def test_the_form_fits_every_screen(signed_in: Page, site: Site) -> None:
    """With everything open, from a phone to a wall display."""
    for path in ("/new-job", "/new-job?task=ship", "/jobs/gated/edit"):
        signed_in.goto(f"{site.url}{path}")
        signed_in.evaluate("document.querySelectorAll('details').forEach((one) => one.open = true)")
        for width in WIDTHS:
            signed_in.set_viewport_size({"width": width, "height": 800})
            assert signed_in.evaluate(STICKING_OUT) == [], (path, width)

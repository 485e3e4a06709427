"""Every page of the dashboard, with the content of the scene, for people with any disability."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Literal, NamedTuple, TypeAlias

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from duly import Scheduler
from duly.web.dashboard.pages import ROUTES
from scripts.scene import pages as scene_pages
from scripts.scene.serve import KEY, scene_app
from scripts.scene.stage import SceneClock
from scripts.scene.story import NOW, play
from tests.support.browser import open_page
from tests.support.serving import serve_asgi
from tests.support.session import only_one, session_folder

pytestmark = [pytest.mark.browser, pytest.mark.processes, pytest.mark.slow]
Theme: TypeAlias = Literal["light", "dark"]
AXE: Any = Axe()
RUN_AXE = "(rules) => axe.run({resultTypes: ['violations'], ...rules}).then((it) => it.violations)"
RULES: dict[Theme, Any] = {
    "light": {},
    "dark": {
        "runOnly": {"type": "tag", "values": ["cat.color"]},
        "rules": {"color-contrast-enhanced": {"enabled": False}},  # as by default
    },
}
"""All rules in one theme, and those about colours in the other: nothing else differs."""
PARTS = 4
"""The number of tests that share the pages, so that several processes can run them."""

NARROW, WIDE = 360, 1280
HEIGHT = 900
MAX_TABS = 25
LANDMARKS: tuple[Literal["banner", "navigation", "main"], ...] = ("banner", "navigation", "main")
HEADINGS = """() => [...document.querySelectorAll("h1, h2, h3, h4")]
    .filter((each) => each.checkVisibility())
    .map((each) => Number(each.tagName[1]))"""
JUMPING_THE_QUEUE = """() => [...document.querySelectorAll("[tabindex]")]
    .filter((each) => each.checkVisibility() && each.tabIndex > 0)
    .map((each) => each.outerHTML)"""
FOCUS = """() => {
    const each = document.activeElement, box = each.getBoundingClientRect();
    const style = getComputedStyle(each);
    return {
        text: each.outerHTML.slice(0, 120),
        seen: style.outlineStyle !== "none" || style.boxShadow !== "none",
        inside: box.width > 0 && box.height > 0,
        last: each === document.body,
    };
}"""
STICKING_OUT = """() => {
    const wide = document.documentElement;
    return wide.scrollWidth - wide.clientWidth;
}"""


class Scene(NamedTuple):
    """A dashboard that shows the scene.

    Attributes:
        url: its address.
        pages: its pages.
    """

    url: str
    pages: list[scene_pages.Page]


def play_once(url: str) -> None:
    """Play the short scene, unless another process of the session has done it."""
    played = session_folder() / "scene.played"
    with only_one("scene"):
        if played.exists():
            return
        logging.getLogger("duly").setLevel(logging.CRITICAL)
        try:
            play(url, short=True)
        finally:
            logging.getLogger("duly").setLevel(logging.NOTSET)
        played.touch()


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    """The dashboard of the short scene, which the tests only look at."""
    url = f"sqlite:///{session_folder() / 'scene.db'}"
    play_once(url)
    scheduler = Scheduler(url, clock=SceneClock(NOW, NOW))
    with serve_asgi(scene_app(url, still=True, work=False)) as address:
        yield Scene(f"{address}/duly", scene_pages.pages_of(scheduler))


@pytest.fixture
def page(chromium: Browser, scene: Scene) -> Iterator[Page]:
    """A signed-in page; the test fails if its profile met a problem."""
    screen: Any = {"width": WIDE, "height": HEIGHT}
    with open_page(chromium, viewport=screen, reduced_motion="reduce") as page:
        page.clock.set_fixed_time(NOW)
        page.goto(f"{scene.url}/?key={KEY}")
        yield page


def visit(page: Page, url: str, pages: list[scene_pages.Page]) -> Iterator[str]:
    """Open pages of the dashboard at an address, one after another; yield the name of each."""
    for name, path in pages:
        answer = page.goto(url + path)
        assert answer is not None
        assert answer.status == 200, path
        yield name


def test_every_page_is_in_the_list(scene: Scene) -> None:
    """A page that is new is tested and shown in pictures without further ado."""
    for route in ROUTES:
        if route.method == "GET" and not route.path.endswith(".txt"):
            assert any(route.path_regex.match(each.path) for each in scene.pages), route.path


@pytest.mark.parametrize("part", range(PARTS))
def test_no_page_violates_a_rule(page: Page, scene: Scene, part: int) -> None:
    """On a phone and a wide screen, in both themes, axe finds nothing of any level.

    No page scrolls sideways at 360 px either, whatever the names and errors in it. Each page has
    one of each landmark, one first heading, and leaves no level out.
    """
    found: list[object] = []
    for name in visit(page, scene.url, scene.pages[part::PARTS]):
        page.evaluate(AXE.axe_script)
        for width in (WIDE, NARROW):
            page.set_viewport_size({"width": width, "height": HEIGHT})
            for theme, rules in RULES.items():
                page.emulate_media(color_scheme=theme)
                found += [(name, width, theme, each) for each in violations(page, rules)]
            if page.evaluate(STICKING_OUT) > 0:
                found.append((name, width, "scrolls sideways"))
            found += [(name, width, each) for each in faults_of_outline(page)]
    assert not found, "\n".join(map(str, found))


def violations(page: Page, rules: Any) -> Iterator[tuple[str, list[object]]]:
    """Yield the rules that a page violates, each with some of the elements."""
    for violation in page.evaluate(RUN_AXE, rules):
        nodes: list[object]
        nodes = [(node["html"][:160], node["failureSummary"]) for node in violation["nodes"]]
        yield violation["id"], nodes[:3]


def faults_of_outline(page: Page) -> Iterator[object]:
    """Yield the landmarks that are missing or repeated, and the headings that skip a level."""
    for landmark in LANDMARKS:
        count = page.get_by_role(landmark).count()
        if count < 1 or (count > 1 and landmark != "navigation"):
            yield landmark, count
    levels = page.evaluate(HEADINGS)
    if levels[:1] != [1] or levels.count(1) != 1 or any(b > a + 1 for a, b in pairwise(levels)):
        yield levels


def test_the_focus_moves_in_order_and_is_seen(page: Page, scene: Scene) -> None:
    """Tab goes through each page in the order of the text, and always shows where it is."""
    for name in visit(page, scene.url, scene.pages):
        assert page.evaluate(JUMPING_THE_QUEUE) == [], name
        page.keyboard.press("Tab")
        first = page.evaluate(FOCUS)
        assert "Skip" in page.evaluate("document.activeElement.textContent"), (name, first)
        for _ in range(MAX_TABS):
            page.keyboard.press("Tab")
            focus = page.evaluate(FOCUS)
            if focus["last"]:
                break
            assert focus["seen"], (name, focus)
            assert focus["inside"], (name, focus)

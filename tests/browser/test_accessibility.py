"""Every page of the dashboard, with the content of the scene, for people with any disability."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Literal

import pytest
import uvicorn
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from duly import Scheduler
from duly.web.dashboard.pages import ROUTES
from scripts.scene import pages as scene_pages
from scripts.scene.serve import KEY, scene_app
from scripts.scene.stage import SceneClock
from scripts.scene.story import NOW, play
from tests.support.browser import record_problems
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.browser, pytest.mark.processes, pytest.mark.slow]
Scene = tuple[str, list[scene_pages.Page]]
Theme = Literal["light", "dark"]
AXE: Any = Axe()
LANDMARKS = ("banner", "navigation", "main")
HEADINGS = """() => [...document.querySelectorAll("h1, h2, h3, h4")]
    .filter((each) => each.checkVisibility())
    .map((each) => Number(each.tagName[1]))"""
NAMELESS = """() => [...document.querySelectorAll("a, button, input, select, textarea, summary")]
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


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """The address of the dashboard of the short scene, and the names and paths of its pages."""
    url = f"sqlite:///{tmp_path_factory.mktemp('scene') / 'scene.db'}"
    logging.getLogger("duly").setLevel(logging.CRITICAL)
    try:
        play(url, short=True)
    finally:
        logging.getLogger("duly").setLevel(logging.NOTSET)
    app = scene_app(url, still=True, work=False)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
        thread.start()
        wait_until(lambda: server.started, what="the server")
        scheduler = Scheduler(url, clock=SceneClock(NOW, NOW))
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/duly", scene_pages.pages_of(scheduler)
        server.should_exit = True
        thread.join(10)


def open_pages(
    chromium: Browser, scene: Scene, theme: Theme, width: int
) -> Iterator[tuple[str, Page]]:
    """Open each page, signed in; no page may have a message of the console."""
    base, pages = scene
    context = chromium.new_context(
        color_scheme=theme, viewport={"width": width, "height": 900}, reduced_motion="reduce"
    )
    page = context.new_page()
    problems = record_problems(page)
    page.clock.set_fixed_time(NOW)
    page.goto(f"{base}/?key={KEY}")
    for name, path in pages:
        answer = page.goto(base + path)
        assert answer is not None
        assert answer.status == 200, path
        yield name, page
        assert not problems, (name, problems)
    context.close()


def test_every_page_is_in_the_list(scene: Scene) -> None:
    """A page that is new is tested and shown in pictures without further ado."""
    paths = {path for _name, path in scene[1]}
    for route in ROUTES:
        if route.method == "GET" and not route.path.endswith(".txt"):
            assert any(route.path_regex.match(path) for path in paths), route.path


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_no_page_violates_a_rule(chromium: Browser, scene: Scene, theme: Theme, width: int) -> None:
    """Axe finds nothing, of any level: names, contrast, landmarks, tables, structure."""
    found = []
    for name, page in open_pages(chromium, scene, theme, width):
        for violation in AXE.run(page).response["violations"]:
            nodes = [(node["html"][:160], node["failureSummary"]) for node in violation["nodes"]]
            found.append((name, violation["id"], nodes[:3]))
    assert not found, "\n".join(map(str, found))


def test_no_page_is_wider_than_a_phone(chromium: Browser, scene: Scene) -> None:
    """No page scrolls sideways at 360 px, whatever the names and errors in it."""
    wide = [
        (name, page.evaluate(STICKING_OUT))
        for name, page in open_pages(chromium, scene, "light", 360)
        if page.evaluate(STICKING_OUT) > 0
    ]
    assert not wide


def test_pages_have_landmarks_and_an_outline(chromium: Browser, scene: Scene) -> None:
    """Each page has one of each landmark, one first heading, and no level is left out."""
    for name, page in open_pages(chromium, scene, "light", 1280):
        for landmark in LANDMARKS:
            count = page.get_by_role(landmark).count()  # type: ignore[arg-type]
            assert count >= 1 if landmark == "navigation" else count == 1, (name, landmark)
        levels = page.evaluate(HEADINGS)
        assert levels.count(1) == 1, name
        assert levels[0] == 1, name
        assert all(after <= before + 1 for before, after in pairwise(levels))


def test_the_focus_moves_in_order_and_is_seen(chromium: Browser, scene: Scene) -> None:
    """Tab goes through each page in the order of the text, and always shows where it is."""
    for name, page in open_pages(chromium, scene, "light", 1280):
        assert page.evaluate(NAMELESS) == [], "no element jumps the queue"
        page.keyboard.press("Tab")
        first = page.evaluate(FOCUS)
        assert "Skip" in page.evaluate("document.activeElement.textContent"), (name, first)
        for _ in range(25):
            page.keyboard.press("Tab")
            focus = page.evaluate(FOCUS)
            if focus["last"]:
                break
            assert focus["seen"], (name, focus)
            assert focus["inside"], (name, focus)

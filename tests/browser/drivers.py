"""The two ways to use a page: with a mouse, and with a keyboard alone."""

from __future__ import annotations

from typing import Protocol

from playwright.sync_api import Locator, Page, expect

from duly.web.dashboard.rendering import AREAS
from tests.support.browser import follow, loading

KEYS_OF_AREA = {title: keys.split() for _path, title, keys in AREAS}
MAX_STEPS = 80
"""How often Tab, an arrow or j may have to be pressed to reach something."""

# -1: before the element that has the focus, 0: it has the focus, 1: after it.
DIRECTION = """(target) => {
    const at = document.activeElement;
    if (target === at) return 0;
    return at.compareDocumentPosition(target) & Node.DOCUMENT_POSITION_PRECEDING ? -1 : 1;
}"""
TAKES_TEXT = "document.activeElement.matches('input:not([type=checkbox]), select, textarea')"
IS_OF_ITS_GROUP = "(radio) => document.activeElement.name === radio.name"


class Driver(Protocol):
    """A way to use a page.

    What "leads to another page" is awaited until that page has loaded, with its scripts.
    """

    def press(self, target: Locator) -> None:
        """Press a button, or open what a summary hides."""

    def follow(self, target: Locator) -> None:
        """Press a button or a link that leads to another page."""

    def fill(self, field: Locator, text: str) -> None:
        """Replace the text of a field."""

    def tick(self, box: Locator) -> None:
        """Tick a box."""

    def choose(self, field: Locator, option: str) -> None:
        """Choose an option of a select field by its text."""

    def pick(self, radio: Locator) -> None:
        """Pick a radio button."""

    def go(self, area: str) -> None:
        """Open an area of the dashboard."""

    def search(self, text: str) -> None:
        """Search the list that the page shows."""

    def open_row(self, name: str) -> None:
        """Open what a row of a list shows."""


class Mouse:
    """Points and clicks.

    Args:
        page: the page to use.
    """

    def __init__(self, page: Page) -> None:
        self._page = page

    def press(self, target: Locator) -> None:
        """See `Driver.press`."""
        target.click()

    def follow(self, target: Locator) -> None:
        """See `Driver.follow`."""
        follow(target)

    def fill(self, field: Locator, text: str) -> None:
        """See `Driver.fill`."""
        field.fill(text)

    def tick(self, box: Locator) -> None:
        """See `Driver.tick`."""
        box.check()

    def choose(self, field: Locator, option: str) -> None:
        """See `Driver.choose`."""
        field.select_option(option)

    def pick(self, radio: Locator) -> None:
        """See `Driver.pick`; the label shows the button."""
        radio.locator("xpath=..").click()

    def go(self, area: str) -> None:
        """See `Driver.go`."""
        follow(self._page.get_by_role("navigation", name="Main").get_by_role("link", name=area))

    def search(self, text: str) -> None:
        """See `Driver.search`."""
        self._page.get_by_role("searchbox").fill(text)
        follow(self._page.get_by_role("button", name="Search"))

    def open_row(self, name: str) -> None:
        """See `Driver.open_row`."""
        follow(self._page.get_by_role("main").get_by_role("link", name=name, exact=True))


class Keyboard:
    """Presses keys, and nothing else: neither a pointer nor a script moves the focus.

    Args:
        page: the page to use.
    """

    def __init__(self, page: Page) -> None:
        self._page = page
        self._key = page.keyboard.press

    def press(self, target: Locator) -> None:
        """See `Driver.press`."""
        self._reach(target)
        self._key("Enter")

    def follow(self, target: Locator) -> None:
        """See `Driver.follow`."""
        with loading(self._page):
            self.press(target)

    def fill(self, field: Locator, text: str) -> None:
        """See `Driver.fill`."""
        self._reach(field)
        self._key("ControlOrMeta+A")
        self._page.keyboard.type(text)

    def tick(self, box: Locator) -> None:
        """See `Driver.tick`."""
        self._reach(box)
        self._key("Space")
        expect(box).to_be_checked()

    def choose(self, field: Locator, option: str) -> None:
        """See `Driver.choose`."""
        self._reach(field)
        self._page.keyboard.type(option)

    def pick(self, radio: Locator) -> None:
        """See `Driver.pick`; Tab leads to the group, and arrows to its buttons."""
        for _ in range(MAX_STEPS):
            if radio.evaluate(IS_OF_ITS_GROUP):
                break
            self._step_towards(radio)
        for _ in range(MAX_STEPS):
            if radio.is_checked():
                return
            self._key("ArrowRight")
        raise AssertionError(f"no arrow picks {radio}")

    def go(self, area: str) -> None:
        """See `Driver.go`; a field that takes text has to be left first."""
        while self._page.evaluate(TAKES_TEXT):
            self._key("Tab")
        with loading(self._page):
            for key in KEYS_OF_AREA[area]:
                self._key(key)

    def search(self, text: str) -> None:
        """See `Driver.search`."""
        self._key("/")
        with loading(self._page):
            self._page.keyboard.type(text)
            self._key("Enter")

    def open_row(self, name: str) -> None:
        """See `Driver.open_row`."""
        link = self._page.get_by_role("main").get_by_role("link", name=name, exact=True)
        for _ in range(MAX_STEPS):
            self._key("j")
            if link.evaluate(DIRECTION) == 0:
                break
        with loading(self._page):
            self._key("Enter")

    def _reach(self, target: Locator) -> None:
        for _ in range(MAX_STEPS):
            if self._step_towards(target):
                return
        raise AssertionError(f"Tab does not lead to {target}")

    def _step_towards(self, target: Locator) -> bool:
        """Press Tab or Shift+Tab, unless the focus is there; return whether it is."""
        direction = target.evaluate(DIRECTION)
        if direction:
            self._key("Tab" if direction > 0 else "Shift+Tab")
        return not direction

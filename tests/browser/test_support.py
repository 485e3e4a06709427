"""The browser fixtures work, and notice errors of a page."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.support.browser import record_problems
from tests.support.processes import Children

pytestmark = [pytest.mark.browser, pytest.mark.processes]

APP = """
async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200,
                    "headers": [(b"content-type", b"text/html")]})
        await send({"type": "http.response.body", "body": b"<title>Up</title>"})
"""


def test_a_page_shows_what_a_server_sends(page: Page, children: Children, tmp_path: Path) -> None:
    """A real browser renders what a real server serves."""
    (tmp_path / "served.py").write_text(APP)
    server = children.uvicorn("served:app", "--app-dir", str(tmp_path))
    page.goto(server.url)
    assert page.title() == "Up"


def test_errors_of_a_page_are_recorded(chromium: Browser) -> None:
    """An exception and a violation of the content policy count as problems of the page."""
    page = chromium.new_page()
    problems = record_problems(page)
    policy = "<meta http-equiv='content-security-policy' content=\"script-src 'none'\">"
    page.set_content("<script>throw new Error('broken')</script>")
    page.set_content(policy + "<script>1</script>")
    page.close()
    assert any("broken" in problem for problem in problems)
    assert any("Content Security Policy" in problem for problem in problems)

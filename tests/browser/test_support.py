"""The browser fixtures notice the problems of a page."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser

from tests.support.browser import record_problems

pytestmark = [pytest.mark.browser, pytest.mark.processes]


def test_problems_of_a_page_are_recorded(chromium: Browser) -> None:
    """Exceptions, violations of the content policy and whatever the console says are problems."""
    page = chromium.new_page()
    problems = record_problems(page)
    policy = "<meta http-equiv='content-security-policy' content=\"script-src 'none'\">"
    page.set_content("<script>console.info('by the way'); throw new Error('broken')</script>")
    page.set_content(policy + "<script>1</script>")
    page.close()
    assert "info: by the way" in problems
    assert any("broken" in problem for problem in problems)
    assert any("Content Security Policy" in problem for problem in problems)

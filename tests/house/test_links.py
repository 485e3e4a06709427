"""Every link in the documentation leads somewhere, and every page is linked."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.support.documents import pages
from tests.support.sources import ROOT

PAGES = [*pages(), ROOT / "CHANGELOG.md"]
FENCE = re.compile(r"^( *)(```+|~~~+).*?^\1\2 *$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`[^`\n]+`")
LINK = re.compile(r"\]\(\s*<?([^)\s>]*)>?[^)]*\)|^ *\[[^\]]+\]: *<?([^\s>]+)", re.MULTILINE)
HEADING = re.compile(r"^#{1,6} +(.*?)(?: +#+)? *$", re.MULTILINE)
ANCHOR = re.compile(r"<a (?:id|name)=\"([^\"]+)\"")
ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    """A relative link names an existing file and, if it has an anchor, a heading in it."""
    assert [link for link in links(page.read_text()) if not leads_somewhere(page, link)] == []


def test_every_guide_is_linked_from_the_readme() -> None:
    """A reader of the README finds every guide, and every page is linked from another one."""
    readme = ROOT / "README.md"
    guides = set((ROOT / "docs" / "guides").glob("*.md"))
    assert guides - targets(readme) == set()
    linked = {target for page in PAGES for target in targets(page) - {page}}
    assert set(PAGES) - linked - {readme} == set()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('[a](b.md) and [c](d.md#e "title")', ["b.md", "d.md#e"]),
        ("[`code`](b.md)", ["b.md"]),
        ("`[a](b.md)`", []),
        ("```md\n[a](b.md)\n```\n[c](d.md)", ["d.md"]),
        ("[a]: b.md", ["b.md"]),
        ("[a](https://example.org) [b](mailto:a@example.org)", []),
        ("[![image](a.png)](b.md)", ["a.png", "b.md"]),
    ],
)
def test_links_are_found(text: str, found: list[str]) -> None:
    """Links are found in prose, not in code; links to other sites are ignored."""
    assert list(links(text)) == found


def test_headings_have_the_names_that_a_reader_s_browser_looks_for() -> None:
    """An anchor is in lower case, with hyphens for spaces and a number for each repetition."""
    text = '# What *Duly* promises, `now`\n## A\n## A\n```sh\n# no heading\n```\n<a id="own">'
    assert anchors(text) == {"what-duly-promises-now", "a", "a-1", "own"}


def leads_somewhere(page: Path, link: str) -> bool:
    path, _, anchor = link.partition("#")
    target = place(page, path)
    if not target.exists() or not target.is_relative_to(ROOT):
        return False
    return not anchor or (target.suffix == ".md" and anchor in anchors(target.read_text()))


def targets(page: Path) -> set[Path]:
    """The files that a page links to."""
    return {place(page, link.partition("#")[0]) for link in links(page.read_text())}


def place(page: Path, path: str) -> Path:
    return (page.parent / unquote(path)).resolve() if path else page


def links(text: str) -> Iterator[str]:
    """The relative links in a text."""
    prose = CODE.sub(lambda found: "·" * len(found[0]), FENCE.sub("", text))
    for inline, reference in LINK.findall(prose):
        link = inline or reference
        if not ELSEWHERE.match(link):
            yield link


def anchors(text: str) -> set[str]:
    """What a link can name in a page: its headings, as the usual forges name them."""
    plain, seen, found = FENCE.sub("", text), Counter[str](), set(ANCHOR.findall(text))
    for heading in HEADING.findall(plain):
        shown = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        name = re.sub(r"[^\w\- ]", "", shown.lower()).strip().replace(" ", "-")
        found.add(f"{name}-{seen[name]}" if seen[name] else name)
        seen[name] += 1
    return found

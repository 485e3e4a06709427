"""The Python examples in README.md and docs/.

Every fenced block that begins with ```` ```python ```` runs as a program of its own, unless a
comment on the line before the fence says otherwise:

    <!-- example: continues -->     runs in one program with the preceding blocks of the page
    <!-- example: NAME -->          is saved as NAME.py and run by a test of its own in tests/docs/
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.sources import ROOT

BLOCK = re.compile(
    r"(?:^<!-- example: (?P<mark>\w+) -->\n)?^```python\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
CONTINUES = "continues"


@dataclass(frozen=True)
class Example:
    """One block of code in a page.

    Attributes:
        page: the file.
        line: where its code begins, counted from 1.
        code: what a reader would copy.
        program: the same with the blocks that it continues.
        name: given when a test of its own tries it.
    """

    page: Path
    line: int
    code: str
    program: str
    name: str | None

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def pages() -> list[Path]:
    """The pages at the root of the repository, and everything in docs/."""
    top = [ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING", "SECURITY")]
    return [*top, *sorted((ROOT / "docs").rglob("*.md"))]


def examples(page: Path) -> Iterator[Example]:
    """Yield the examples of one page."""
    text = page.read_text()
    before = ""
    for found in BLOCK.finditer(text):
        mark, code = found["mark"], found["code"]
        line = text.count("\n", 0, found.start("code")) + 1
        program = f"{before}\n{code}" if mark == CONTINUES else code
        before = program
        yield Example(page, line, code, program, None if mark == CONTINUES else mark)


def named(name: str) -> Example:
    """Return the only example of that name."""
    (found,) = [one for page in pages() for one in examples(page) if one.name == name]
    return found

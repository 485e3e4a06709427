"""The Python examples in README.md and docs/.

Every fenced block that begins with ```` ```python ```` runs as a program of its own, unless a
comment on the line before the fence says otherwise:

    <!-- example: continues -->     runs in one program with the preceding blocks of the page
    <!-- example: NAME -->          is saved as NAME.py and run by a test of its own in tests/docs/

A block that begins with a comment such as ``# shop/jobs.py`` is that file: it is imported, or tried
by pytest if its name begins with ``test_``, in a folder with the files that precede it on the page.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.sources import ROOT

BLOCK = re.compile(
    r"(?:^<!-- example: (?P<mark>\w+) -->\n)?^```python\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
CONTINUES = "continues"
FILE = re.compile(r"# ([\w/]+)\.py\n")


@dataclass(frozen=True)
class Example:
    """One block of code in a page.

    Attributes:
        page: the file.
        line: where its code begins, counted from 1.
        code: what a reader would copy.
        program: the same with the blocks that it continues.
        name: given when a test of its own tries it.
        files: the files that must be there, by their paths.
    """

    page: Path
    line: int
    code: str
    program: str
    name: str | None
    files: dict[str, str] = field(default_factory=dict)

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
    files: dict[str, str] = {}
    for found in BLOCK.finditer(text):
        mark, code = found["mark"], found["code"]
        line = text.count("\n", 0, found.start("code")) + 1
        program = f"{before}\n{code}" if mark == CONTINUES else code
        before = program
        file = FILE.match(code)
        if file:
            files = {**files, f"{file[1]}.py": code}
            program = _trial(file[1])
        yield Example(
            page, line, code, program, None if mark == CONTINUES else mark, files if file else {}
        )


def _trial(file: str) -> str:
    """Return a program that tries a file of a project in the current folder."""
    if not file.rpartition("/")[2].startswith("test_"):
        return f"import {file.replace('/', '.')}"
    options = ["-q", "-p", "no:cacheprovider", "-p", "no:asyncio", "--rootdir", ".", f"{file}.py"]
    return f"import sys, pytest\nsys.exit(pytest.main({options}))"


def named(name: str) -> Example:
    """Return the only example of that name."""
    (found,) = [one for page in pages() for one in examples(page) if one.name == name]
    return found

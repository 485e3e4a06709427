"""Tracebacks as text, divided into what a reader needs first and the frames of libraries."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

_DULY = str(Path(__file__).parents[2])
# Vertical bars and spaces before it belong to an exception group.
_FRAME = re.compile(r'(?P<margin>[ |]*)  File "(?P<file>.*)", line \d+(?:, in .*)?')
_REPEATED = re.compile(r"  \[Previous line repeated \d+ more times?\]")
_RUNTIME = re.compile(
    r"<frozen |.*[/\\]lib[/\\]python\d[\d.]*[/\\](?!(?:site|dist)-packages[/\\])"
    r"|.*[/\\]Python\d+[/\\]Lib[/\\](?!site-packages[/\\])",
    re.IGNORECASE,
)
_PACKAGE = re.compile(r"[/\\](?:site|dist)-packages[/\\]")


@dataclass(frozen=True, slots=True)
class TracebackPart:
    """Successive lines of a traceback.

    Attributes:
        text: the lines; the texts of all parts together are the traceback.
        frames: the number of frames, if they are to be folded; 0: the lines are to be shown.
    """

    text: str
    frames: int = 0


def divide(traceback: str) -> list[TracebackPart]:
    """Divide a traceback into parts to show and frames to fold.

    Frames of Duly, of the standard library and of installed packages are folded. If all frames are
    in installed packages, perhaps the application is one, so that these are shown. What is not
    recognized as a frame is shown, so that text of any other form is shown as a whole.
    """
    pieces = list(_pieces(traceback.splitlines(keepends=True)))
    files = [file for file, _text in pieces if file is not None]
    is_foreign = next(
        (test for test in (_is_library, _is_runtime) if not all(map(test, files))), None
    )
    if is_foreign is None:
        return [TracebackPart(traceback)] if traceback else []
    return list(_joined(pieces, is_foreign))


def _joined(
    pieces: list[tuple[str | None, str]], is_foreign: Callable[[str], bool]
) -> Iterator[TracebackPart]:
    for folded, some in groupby(
        pieces, lambda piece: piece[0] is not None and is_foreign(piece[0])
    ):
        texts = [text for _file, text in some]
        yield TracebackPart("".join(texts), len(texts) if folded else 0)


def _pieces(lines: list[str]) -> Iterator[tuple[str | None, str]]:
    """Yield each frame with its file, and each other line without one."""
    file, margin, frame = None, "", list[str]()
    for line in lines:
        match = _FRAME.match(line)
        belongs = file is not None and match is None and _continues(line, margin)
        if belongs:
            frame.append(line)
            continue
        if file is not None:
            yield file, "".join(frame)
        file = match["file"] if match else None
        if match:
            margin, frame = match["margin"], [line]
        else:
            yield None, line
    if file is not None:
        yield file, "".join(frame)


def _continues(line: str, margin: str) -> bool:
    """Return whether a line belongs to the frame above: its source, or that it was repeated."""
    rest = line.removeprefix(margin)
    return rest.startswith("    ") or _REPEATED.match(rest) is not None


def _is_runtime(file: str) -> bool:
    return file.startswith(_DULY) or _RUNTIME.match(file) is not None


def _is_library(file: str) -> bool:
    return _is_runtime(file) or _PACKAGE.search(file) is not None

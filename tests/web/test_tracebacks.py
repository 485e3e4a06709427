"""A traceback is divided so that the frames of libraries can be folded, and no text is lost."""

from __future__ import annotations

import asyncio
import json
import traceback

import pytest

from duly.web.dashboard.tracebacks import divide

APPLICATION = '  File "/srv/shop/orders.py", line 7, in load\n    fetch(url)\n'
INSTALLED = (
    '  File "/srv/venv/lib/python3.12/site-packages/httpx/_client.py", line 9, in get\n    raise\n'
)
RUNTIME = '  File "/usr/lib/python3.12/json/decoder.py", line 3, in decode\n    raise\n    ^^^^^\n'
START = "Traceback (most recent call last):\n"
END = "ValueError: no\n"


def folded(text: str) -> list[tuple[int, str]]:
    """Return the parts, after it is checked that together they are the text."""
    parts = divide(text)
    assert "".join(part.text for part in parts) == text
    return [(part.frames, part.text) for part in parts]


def raised(function: object) -> str:
    """Return the traceback of a function that raises."""
    try:
        function()  # type: ignore[operator]
    except BaseException:  # noqa: BLE001 - groups and recursion, too
        return traceback.format_exc()
    raise AssertionError


def test_frames_of_libraries_are_folded_and_those_of_the_application_shown() -> None:
    """Successive frames of installed packages and of the standard library are one part."""
    text = START + APPLICATION + INSTALLED + RUNTIME + APPLICATION + END
    assert folded(text) == [
        (0, START + APPLICATION),
        (2, INSTALLED + RUNTIME),
        (0, APPLICATION + END),
    ]


@pytest.mark.parametrize(
    "file",
    [
        "<frozen importlib._bootstrap>",
        "C:\\Python312\\Lib\\threading.py",
        "/usr/lib/python3/dist-packages/requests/api.py",
        "/opt/homebrew/Frameworks/Python.framework/Versions/3.12/lib/python3.12/runpy.py",
    ],
)
def test_libraries_of_every_platform_are_known(file: str) -> None:
    """Their frames are folded."""
    frame = f'  File "{file}", line 1, in f\n    g()\n'
    assert folded(START + APPLICATION + frame + END)[1] == (1, frame)


def test_an_application_that_is_installed_as_a_package_is_shown() -> None:
    """If all frames are in packages or the runtime, only the runtime's are folded."""
    text = START + RUNTIME + INSTALLED + END
    assert folded(text) == [(0, START), (1, RUNTIME), (0, INSTALLED + END)]


@pytest.mark.parametrize("text", ["", "nonsense", "File x, line 1\n  y", START + RUNTIME + END])
def test_what_cannot_be_divided_is_shown_whole(text: str) -> None:
    """Text of another form, and a traceback without any frame of an application."""
    assert all(frames == 0 for frames, _ in folded(text))


def test_chained_exceptions() -> None:
    """Both tracebacks are divided; the sentences between them are shown."""

    def chained() -> None:
        try:
            json.loads("{")
        except ValueError as error:
            raise KeyError("two\nlines") from error

    parts = folded(raised(chained))
    assert [frames for frames, _ in parts] == [0, 3, 0]
    assert "The above exception was the direct cause" in parts[2][1]


def test_groups_of_exceptions() -> None:
    """The frames of each member are folded, although bars stand before them."""

    async def bad() -> None:
        json.loads("[")

    async def together() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(bad())
            group.create_task(bad())

    parts = folded(raised(lambda: asyncio.run(together())))
    shown = "".join(text for frames, text in parts if not frames)
    assert sum(3 for frames, _ in parts if frames == 3) >= 6
    assert "taskgroups.py" not in shown
    assert shown.count("in bad") == 2


def test_repeated_lines_belong_to_their_frame() -> None:
    """A recursion in a library is folded with the note of its repetition."""
    note = "  [Previous line repeated 996 more times]\n"
    parts = folded(START + APPLICATION + INSTALLED + note + END)
    assert parts[1] == (1, INSTALLED + note)

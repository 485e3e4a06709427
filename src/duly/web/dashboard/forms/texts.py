"""What the inputs of a form contain: names, each with the texts of one input or of several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Texts = Mapping[str, Sequence[str]]


def first(texts: Texts, name: str) -> str:
    """Return the text of an input; empty if the form has none of this name."""
    return normal(next(iter(texts.get(name, ())), ""))


def lines(texts: Texts, name: str) -> list[str]:
    """Return the lines of an input that are not blank."""
    return [line for line in first(texts, name).split("\n") if line.strip()]


def normal(text: str) -> str:
    """Return a text with the line ends that browsers change as one character."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def is_changed(typed: Texts, initial: Texts, *names: str) -> bool:
    """Return whether one of these inputs was changed."""
    return any(
        list(map(normal, typed.get(name, ()))) != list(map(normal, initial.get(name, ())))
        for name in names
    )

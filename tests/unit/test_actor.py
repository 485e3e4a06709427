"""An actor's texts are stored in a form that no reader of the audit trail has to fear."""

from __future__ import annotations

from typing import Any

import pytest

from duly import Actor
from duly.model.actor import MAX_NAME, MAX_REASON


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("ana", "ana"),
        ("José Pérez", "José Pérez"),
        ("ana\n2026-01-01 bo paused it", "ana\\n2026-01-01 bo paused it"),
        ("\x1b[31mroot", "\\x1b[31mroot"),
        ("\u202eana", "\\u202eana"),
        ("a\x00b", "a␀b"),
        ("\ud800", "?"),
        ("😀" * 191, "😀" * 191),
        ("x" * 192, "x" * 190 + "…"),
        (5, "5"),
    ],
)
def test_a_name_and_a_request_id_are_one_printable_line(given: Any, stored: str) -> None:
    """They can neither forge a line nor send commands to a terminal, and fit their columns."""
    actor = Actor(given, request_id=given)
    assert (actor.name, actor.request_id) == (stored, stored)
    assert len(actor.name) <= MAX_NAME


def test_a_reason_is_kept_as_text_of_limited_length() -> None:
    """It may have several lines; unstorable characters are replaced."""
    actor = Actor("ana", reason="first\nsecond\x00")
    assert actor.reason == "first\nsecond␀"
    assert len(Actor("ana", reason="x" * 10_000).reason or "") <= MAX_REASON
    assert (Actor("ana").reason, Actor("ana").request_id) == (None, None)


def test_a_name_alone_is_an_actor() -> None:
    """``actor="ana"`` is short for ``actor=Actor("ana")``."""
    ana = Actor("ana", "why")
    assert (Actor.of("ana"), Actor.of(ana), Actor.of(None)) == (Actor("ana"), ana, None)

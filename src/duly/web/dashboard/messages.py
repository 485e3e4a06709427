"""Messages of errors without what differs from run to run, to show which are alike."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from duly.model.redaction import redact_text
from duly.model.run import RunRecord

GAP = "…"
"""What stands for a part that differs."""

MAX_LENGTH = 160
MAX_MESSAGES = 4
"""The number of different messages that a group shows."""

_SHORTEST_PART = 4
_VARIABLE = re.compile(
    r"\"[^\"\n]{0,200}\"|(?<!\w)'[^'\n]{0,200}'|\[hidden\]"  # quoted
    r"|\b0x[0-9a-f]+\b|\b(?=[0-9a-f-]*\d)[0-9a-f]{6,}(?:-[0-9a-f]+)*\b"  # addresses and ids
    r"|\d+(?:[.,:]\d+)*",
    re.IGNORECASE,
)


@dataclass(slots=True)
class Message:
    """A message that several failed runs have in common, apart from numbers, ids and quotations.

    Attributes:
        pattern: the message with gaps.
        part: a text that all of them contain, to search for; ``None``: there is none.
        example: the id of the newest of these runs.
        number: their number among the runs that were read.
    """

    pattern: str
    part: str | None
    example: str
    number: int = 0


@dataclass(slots=True)
class Messages:
    """The messages of one group, the most frequent first.

    Attributes:
        read: the number of runs of the group that were read.
        by_pattern: the messages, by their pattern.
    """

    read: int = 0
    by_pattern: dict[str, Message] = field(default_factory=dict)

    def add(self, run: RunRecord) -> None:
        """Count a run; the first one of a pattern is its example."""
        pattern = pattern_of(redact_text(run.error_message or ""))
        message = self.by_pattern.get(pattern)
        if message is None:
            message = self.by_pattern[pattern] = Message(pattern, common_part(pattern), run.id)
        message.number += 1
        self.read += 1

    def most_frequent(self) -> list[Message]:
        """Return the messages to show."""
        ordered = sorted(self.by_pattern.values(), key=lambda message: -message.number)
        return ordered[:MAX_MESSAGES]


def messages_of(runs: Iterable[RunRecord]) -> dict[tuple[str, str], Messages]:
    """Return the messages of failed runs, by task and type of error."""
    found: dict[tuple[str, str], Messages] = {}
    for run in runs:
        found.setdefault((run.task, run.error_type or ""), Messages()).add(run)
    return found


def pattern_of(message: str | None) -> str:
    """Return the first line of a message, with `GAP` for numbers, ids and quoted text."""
    line = next(iter((message or "").splitlines()), "").strip()
    short = line[:MAX_LENGTH]
    if len(line) > MAX_LENGTH:
        short = f"{short.rsplit(' ', 1)[0]} {GAP}"
    return _VARIABLE.sub(GAP, short)


def common_part(pattern: str) -> str | None:
    """Return the longest part that all messages of a pattern have; ``None``: it is too short."""
    longest = max((part.strip() for part in pattern.split(GAP)), key=len)
    return longest if len(longest) >= _SHORTEST_PART else None

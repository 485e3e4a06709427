"""The confirmation of a change of many jobs or runs."""

from __future__ import annotations

import re

from duly.web.dashboard import formatting

OF_MANY = {
    "jobs-paused": ("job", "was paused", "were paused"),
    "jobs-resumed": ("job", "was resumed", "were resumed"),
    "jobs-removed": ("job", "was removed", "were removed"),
    "runs-cancelled": ("run", "was cancelled or asked to stop", "were cancelled or asked to stop"),
    "runs-retried": ("run", "will be tried again", "will be tried again"),
    "runs-discarded": ("run", "was discarded", "were discarded"),
}
"""What changed, and what happened to one of it and to several, by the code in the URL."""

_CODE = re.compile(r"([a-z-]+):([0-9]{1,15}):([0-9]{1,15})", re.ASCII)


def confirmation_of_many(code: str) -> str | None:
    """Return the confirmation for a code such as ``jobs-paused:12:0``; ``None`` for another text.

    The code ends with the number of those that were changed, and of those that were left unchanged.
    """
    found = _CODE.fullmatch(code)
    if found is None or found[1] not in OF_MANY:
        return None
    noun, one, several = OF_MANY[found[1]]
    changed, left = int(found[2]), int(found[3])
    text = f"{formatting.count(changed, noun)} {one if changed == 1 else several}."
    if left:
        were = "was" if left == 1 else "were"
        text += f" {formatting.count(left, noun)} {were} left unchanged; the audit trail says why."
    return text

"""Confirmations: what a page says after an action that redirected to it."""

from __future__ import annotations

import re

from duly.web.dashboard import formatting

CONFIRMATIONS = {
    "paused": "The job was paused.",
    "was-paused": "Nothing has changed: the job was already paused.",
    "resumed": "The job was resumed.",
    "not-paused": "Nothing has changed: the job was not paused.",
    "started": "The run was created.",
    "cancelled": "Cancellation was requested.",
    "retried": "The run will be tried again.",
    "discarded": "The run was discarded.",
    "queue-paused": "The queue was paused.",
    "queue-resumed": "The queue was resumed.",
    "stopped": "The scheduler was switched off in all workers.",
    "switched-on": "The scheduler was switched on again.",
}
"""The confirmation of an action by the code in the URL, so that no URL can inject text."""

OF_MANY = {
    "jobs-paused": ("job", "was paused", "were paused"),
    "jobs-resumed": ("job", "was resumed", "were resumed"),
    "jobs-removed": ("job", "was removed", "were removed"),
    "runs-cancelled": ("run", "was cancelled or asked to stop", "were cancelled or asked to stop"),
    "runs-retried": ("run", "will be tried again", "will be tried again"),
    "runs-discarded": ("run", "was discarded", "were discarded"),
}
"""The words for a change of many: what changed, and what happened to one of it and to several."""

_MANY = re.compile(r"([a-z-]+):([0-9]{1,15}):([0-9]{1,15})", re.ASCII)


def confirmation(code: str) -> str | None:
    """Return the confirmation for the code in a URL; ``None`` if there is none.

    The code of a change of many ends with the number of those that were changed, and of those that
    were left as they were.
    """
    found = _MANY.fullmatch(code)
    if found is None or found[1] not in OF_MANY:
        return CONFIRMATIONS.get(code)
    noun, one, several = OF_MANY[found[1]]
    changed, left = int(found[2]), int(found[3])
    text = f"{formatting.count(changed, noun)} {one if changed == 1 else several}."
    if left:
        were = "was" if left == 1 else "were"
        text += f" {formatting.count(left, noun)} {were} left unchanged; the audit trail says why."
    return text

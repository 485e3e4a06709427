"""Functions that the trigger tests share."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from datetime import UTC, datetime

from duly.errors import TriggerError
from duly.triggers import Trigger


def utc(text: str) -> datetime:
    """Parse an instant in ISO 8601; without an offset it is UTC."""
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def fires(trigger: Trigger, after: str | datetime, until: str | datetime) -> list[datetime]:
    """Return every fire in (after, until], found by calling ``next_after`` repeatedly."""
    moment: datetime | None = utc(after) if isinstance(after, str) else after
    end = utc(until) if isinstance(until, str) else until
    collected = []
    while moment is not None and (moment := trigger.next_after(moment)) is not None:
        if moment > end:
            break
        collected.append(moment)
        assert len(collected) < 40_000
    return collected


def shown(moments: list[datetime]) -> list[str]:
    return [f"{moment:%Y-%m-%dT%H:%M:%SZ}" for moment in moments]


def cpu_seconds(call: Callable[[], object]) -> float:
    """Return the processor time of a call that may raise: the best of three, as the GC may run."""
    taken = []
    for _ in range(3):
        start = time.thread_time()
        with contextlib.suppress(TriggerError):
            call()
        taken.append(time.thread_time() - start)
    return min(taken)

"""What makes a job run, as it is said in a call: a trigger, or other jobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from duly.errors import ConfigurationError
from duly.triggers import After, Trigger
from duly.triggers.dependency import Outcome

TIMED = ("misfire_grace", "jitter", "start", "end", "max_fires")
"""Options that mean nothing to a job without times of its own."""


def trigger_of(
    trigger: Trigger | None,
    after: Sequence[str] | None,
    on: Outcome | None,
    options: Mapping[str, Any],
) -> Trigger:
    """The trigger that was given, or the one that ``after=`` stands for.

    Raises:
        ConfigurationError: both or neither, or an option that needs times.
        TriggerError: an ``after`` or ``on`` that cannot be.
    """
    if after is None:
        if on is not None:
            raise ConfigurationError(f"on={on!r} goes with after=[…], the jobs that it is about")
        if trigger is None:
            raise ConfigurationError("give a trigger, such as every(hours=1), or after=['job id']")
        return trigger
    if trigger is not None:
        raise ConfigurationError(
            "give either a trigger or after=[…]: a job that runs after others has no times"
        )
    for name in TIMED:
        if options.get(name) is not None:
            raise ConfigurationError(f"{name}= needs a trigger with times; after= has none")
    return After(tuple(after) if not isinstance(after, str) else after, on or "success")  # type: ignore[arg-type]

"""What was edited manually of a job that code declares, beside what code says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from duly.model.job import JobDeclaration, JobRecord
from duly.model.policy import JobOptions
from duly.web.dashboard import formatting

LABELS = {
    "overlap": "If the last run has not finished",
    "catch_up": "After a pause or an outage",
    "misfire_grace": "May fire late by",
    "retry": "Attempts",
    "timeout": "Time limit",
    "max_running": "Concurrent runs",
    "jitter": "Start times spread over",
    "expires": "Expires after",
    "priority": "Priority",
    "owner": "Owner",
    "max_fires": "Fires at most",
}
"""The options whose values `formatting.policy` puts into words, with its labels."""


@dataclass(frozen=True, slots=True)
class Override:
    """A field that was edited manually.

    Attributes:
        label: the name of the field.
        current: its value, as text.
        declared: the value in code; ``None`` if it is not known.
    """

    label: str
    current: str
    declared: str | None


def overrides_of(job: JobRecord, declared: JobDeclaration | None) -> list[Override]:
    """Return the fields of a job that were edited manually."""
    return [_override(job, declared, name) for name in job.overridden]


def _override(job: JobRecord, declared: JobDeclaration | None, name: str) -> Override:
    option = name.removeprefix("options.")
    label = LABELS.get(option, option.replace("_", " ").capitalize())
    return Override(
        label, _text(job, option), None if declared is None else _text(declared, option)
    )


def _text(definition: JobRecord | JobDeclaration, name: str) -> str:
    if name == "trigger":
        return definition.trigger.describe() if definition.trigger else "cannot be read"
    if name == "tags":
        return ", ".join(definition.tags) or "none"
    if name == "args":
        return formatting.one_line(definition.args)
    return _option_text(definition.options, name)


def _option_text(options: JobOptions, name: str) -> str:
    label = LABELS.get(name)
    if label is not None:
        worded: Mapping[str, str] = dict(formatting.policy(options))
        return worded.get(label, "not set")
    value: Any = getattr(options, name, None)
    if name == "ping":
        return "none" if value is None else "hidden"
    return "not set" if value is None else str(value)

"""The options of a job as a form shows them, and what was typed as options."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal
from zoneinfo import ZoneInfo

from duly.errors import ConfigurationError, DulyError
from duly.model.policy import CatchUp, JobOptions, Retry
from duly.model.watch import Watch
from duly.web.dashboard.formatting import CATCH_UPS, OVERLAPS
from duly.web.dashboard.forms.durations import duration_text, read_duration
from duly.web.dashboard.forms.texts import Texts, first

Kind = Literal["text", "whole", "number", "duration", "instant", "choice"]
_PARTS: Mapping[str, Callable[..., Any]] = {"retry": Retry, "catch_up": CatchUp, "watch": Watch}
"""The options that have parts."""


@dataclass(frozen=True, slots=True)
class Option:
    """An input for an option, or for a part of one.

    Attributes:
        path: the name of the option, and of its part.
        label: its label.
        kind: how it is typed.
        note: what it does, unless the label tells.
        choices: the allowed values, and how they are shown.
        empty: what an empty input means; ``None``: it must not be empty.
    """

    path: str
    label: str
    kind: Kind
    note: str = ""
    choices: Mapping[str, str] = field(default_factory=dict)
    empty: str | None = None

    @property
    def name(self) -> str:
        """The name of the input."""
        return f"options.{self.path}"


GROUPS: Mapping[str, tuple[Option, ...]] = {
    "Execution": (
        Option("queue", "Queue", "text"),
        Option("priority", "Priority", "whole", "Smaller numbers start first."),
        Option("timeout", "Time limit of an attempt", "duration", empty="none"),
        Option("expires", "Expires if it has not started after", "duration", empty="never"),
        Option("concurrency_key", "Concurrency key", "text", "Runs with one key share a limit.",
               empty="none"),
        Option("on_crash", "If the worker dies", "choice",
               choices={"retry": "run it again", "fail": "fail"}),
        Option("keep", "Keep finished runs for (days)", "number", empty="30, failed ones 90"),
    ),
    "Retries": (
        Option("retry.attempts", "Attempts", "whole", "Including the first."),
        Option("retry.wait", "Wait before the second", "duration"),
        Option("retry.factor", "Each further wait grows by a factor of", "number"),
        Option("retry.max_wait", "Longest wait", "duration"),
        Option("retry.jitter", "Waits vary by a fraction of", "number", "0 to 1."),
    ),
    "Firing": (
        Option("overlap", "If the last run has not finished", "choice", choices=OVERLAPS),
        Option("max_running", "Unfinished runs allowed", "whole"),
        Option("catch_up.mode", "After a pause or an outage", "choice", choices=CATCH_UPS),
        Option("catch_up.limit", "Run at most this number of missed times", "whole"),
        Option("catch_up.max_age", "Skip missed times older than", "duration", empty="no limit"),
        Option("misfire_grace", "May fire late by", "duration", empty="no limit"),
        Option("jitter", "Spread starts over", "duration"),
        Option("start", "Not before", "instant", empty="no limit"),
        Option("end", "Not after", "instant", empty="no limit"),
        Option("max_fires", "Fires at most (times)", "whole", empty="no limit"),
    ),
    "Watch": (
        Option("watch.expected_every", "A success is expected every", "duration", empty="off"),
        Option("watch.late_after", "A run is late if it has not started after", "duration",
               empty="off"),
        Option("watch.overrun_after", "An attempt is too long after", "duration", empty="off"),
        Option("watch.failing_after", "Failing after this number of failures", "whole",
               empty="off"),
    ),
}  # fmt: skip
OWNER = Option("owner", "Owner", "text", "Whom the job and its runs belong to.", empty="no one")
OPTIONS = (*(option for group in GROUPS.values() for option in group), OWNER)


@dataclass(slots=True)
class TypedOptions:
    """The options that were typed.

    Attributes:
        changed: the options that differ from what the form started with, as a user writes them.
        problems: what is wrong, by the name of the input.
    """

    changed: dict[str, Any] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)


def option_texts(options: JobOptions, zone: ZoneInfo) -> dict[str, list[str]]:
    """Return the texts that the inputs start with; instants are on the clock of a zone."""
    return {
        option.name: [_written(option, _value(options, option.path), zone)] for option in OPTIONS
    }


def read_options(options: JobOptions, typed: Texts, zone: ZoneInfo) -> TypedOptions:
    """Return the options that were typed.

    Args:
        options: the options that the form started with.
        typed: what was typed.
        zone: the zone of instants.
    """
    found, values = TypedOptions(), dict[str, Any]()
    initial = option_texts(options, zone)
    for option in OPTIONS:
        try:
            text = first(typed, option.name)
            same = _read(option, text, zone) == _read(option, initial[option.name][0], zone)
            if not same:
                values[option.path] = _checked(option, _read(option, text, zone))
        except (DulyError, ValueError) as error:
            found.problems[option.name] = _sentence(option, error)
    for path in values:
        name, _, part = path.partition(".")
        found.changed[name] = _whole(options, name, values) if part else values[path]
    return found


def problem_of_option(error: DulyError) -> dict[str, str]:
    """Return which option an error of the scheduler is about, by the name of its input."""
    match = re.match(r"(\w+)(?:=| is )", str(error))
    named = [option.name for option in OPTIONS if match and option.path == match[1]]
    return {named[0]: str(error)} if named else {}


def _value(options: JobOptions, path: str) -> Any:
    name, _, part = path.partition(".")
    value = getattr(options, name)
    if name == "retry" and value is None:
        value = Retry(attempts=1)
    return getattr(value, part, None) if part else value


def _whole(options: JobOptions, name: str, values: Mapping[str, Any]) -> Any:
    """Return an option that has parts, with some of them replaced."""
    stored = getattr(options, name)
    if stored is None:
        stored = Retry(attempts=1) if name == "retry" else None
    parts = {} if stored is None else asdict(stored)
    parts |= {
        path.partition(".")[2]: value
        for path, value in values.items()
        if path.startswith(f"{name}.")
    }
    if name == "watch" and not any(value is not None for value in parts.values()):
        return None
    return parts


def _written(option: Option, value: Any, zone: ZoneInfo) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.astimezone(zone).replace(tzinfo=None).isoformat()
    if option.kind == "duration":
        return duration_text(value)
    return value if isinstance(value, str) else f"{value!r}"


def _read(option: Option, text: str, zone: ZoneInfo) -> Any:
    """Return the value of a text.

    Raises:
        ValueError: the text is not such a value.
    """
    if not text.strip():
        if option.empty is None:
            raise ConfigurationError("write a value")
        return None
    match option.kind:
        case "duration":
            return read_duration(text)
        case "whole":
            return int(text)
        case "number":
            number = float(text)
            return int(number) if number.is_integer() else number
        case "instant":
            moment = datetime.fromisoformat(text)
            return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)
    return text


def _checked(option: Option, value: Any) -> Any:
    """Return a value that the option accepts.

    Raises:
        ConfigurationError: it does not accept the value.
    """
    name, _, part = option.path.partition(".")
    if not part:
        JobOptions().with_overrides({name: value}, "")
    elif not (name == "watch" and value is None):
        _PARTS[name](**{part: value})
    return value


def _sentence(option: Option, error: Exception) -> str:
    if not isinstance(error, DulyError):
        kinds = {"whole": "Write a whole number.", "number": "Write a number."}
        return kinds.get(option.kind, "Write a date and a time.")
    allowed = re.search(r"it must be (.+?)(?: \(.*\))?$", str(error))
    text = f"This must be {allowed[1]}" if allowed else f"{str(error)[:1].upper()}{str(error)[1:]}"
    return text.rstrip(".") + "."

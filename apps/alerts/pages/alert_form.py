"""The form of an alert: between the fields of a page and the values of the API."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi import HTTPException
from pydantic import ValidationError
from starlette.datastructures import FormData

from apps.alerts.api.schemas import NewAlert
from apps.alerts.models import Alert
from apps.alerts.pages.formatting import UNITS, split_length

KINDS = {
    "daily": "Every day",
    "weekly": "Days of the week",
    "monthly": "Days of the month",
    "hourly": "Every hour",
    "interval": "At intervals",
    "once": "Once",
    "cron": "Crontab",
    "none": "Only after other alerts",
}
_RETRY = {
    "retryAttempts": "attempts", "retryBase": "wait", "retryFactor": "factor",
    "retryMax": "max_wait", "retryJitter": "jitter",
}  # fmt: skip
_HINTS = {
    "client_id": "Choose one of your clients.",
    "name": "Give the alert a name of at most 200 characters.",
    "metric": "Use lower-case letters, digits and underscores, such as cost_per_click.",
    "operator": "Choose a comparison.",
    "threshold": "Give a number.",
    "lookback": "Choose from 1 minute to 366 days.",
    "recipients": "Give at most 50 e-mail addresses, separated by commas.",
    "task_template": "A task needs a title of at most 200 characters; its assignee is an address.",
    "retry": "Give 1 or more attempts; positive seconds; a factor of 1 or more; a jitter up to 1.",
}
_FIELD_OF = {
    "every_minutes": "everyMinutes", "dayOfMonth": "monthDays", "weekOfMonth": "weeks",
    "": "type",
}  # fmt: skip


class AlertForm:
    """The fields of the form, as text.

    Args:
        fields: the values of each field; several for boxes.
    """

    def __init__(self, fields: Mapping[str, Sequence[str]]) -> None:
        self._fields = fields

    @classmethod
    def sent(cls, data: FormData) -> AlertForm:
        """Return the form that a browser sent."""
        return cls(
            {name: [str(value)[:2000] for value in data.getlist(name)[:100]] for name in data}
        )

    @classmethod
    def new(cls, client: UUID | None, zone: str) -> AlertForm:
        """Return the form of an alert to be."""
        return cls(
            {
                **_DEFAULTS, "client_id": [str(client or "")], "timezone": [zone],
                "type": ["daily"], "operator": [">"], "lookback": ["1"],
                "lookbackUnit": ["days"], "is_active": ["on"],
            }
        )  # fmt: skip

    @classmethod
    def of(cls, alert: Alert, zone: str) -> AlertForm:
        """Return the form of a stored alert, whose frequency may be unreadable."""
        count, unit = split_length(alert.lookback)
        template, retry = alert.task_template or {}, alert.retry or {}
        fields = {
            "client_id": str(alert.client_id), "name": alert.name, "metric": alert.metric,
            "operator": alert.operator, "threshold": f"{alert.threshold:.15g}",
            "lookback": str(count), "lookbackUnit": unit,
            "recipients": ", ".join(alert.recipients),
            "taskTitle": template.get("title", ""), "taskBody": template.get("body", ""),
            "taskAssignee": template.get("assignee") or "",
            **{field: f"{retry[name]:g}" for field, name in _RETRY.items() if name in retry},
        }  # fmt: skip
        active = {"is_active": ["on"]} if alert.is_active else {}
        own = {name: [str(value)] for name, value in fields.items()}
        return cls({**_DEFAULTS, **own, **active, **_frequency_fields(alert.frequency, zone)})

    def text(self, name: str) -> str:
        """Return the value of a field, without surrounding space."""
        return next(iter(self._fields.get(name, ())), "").strip()

    def has(self, name: str, value: object) -> bool:
        """Return whether a box or an option is chosen."""
        return str(value) in self._fields.get(name, ())

    @property
    def frequency(self) -> dict[str, Any] | None:
        """The frequency as the API takes it; only fields of the chosen type count."""
        kind = self.text("type")
        if kind == "none":
            return None
        read = _READERS.get(kind)
        rule = {"type": kind, "timezone": self.text("timezone"), **(read(self) if read else {})}
        if kind not in ("interval", "once", "cron"):
            rule |= _given("months", self._numbers("months"))
        if kind != "once":
            rule |= _given("startDate", self.text("startDate"))
            rule |= _given("endDate", self.text("endDate"))
            rule |= _given("excludeDates", self._parts("excludeDates"))
        return rule

    @property
    def values(self) -> dict[str, Any]:
        """All values as the API takes them, not yet validated."""
        amount, unit = self.text("lookback"), UNITS.get(self.text("lookbackUnit"), 60)
        task = {
            "title": self.text("taskTitle"), "body": self.text("taskBody"),
            "assignee": self.text("taskAssignee") or None,
        }  # fmt: skip
        retry = {name: self.text(field) for field, name in _RETRY.items() if self.text(field)}
        return {
            **{name: self.text(name) for name in _PLAIN},
            "frequency": self.frequency,
            "is_active": self.has("is_active", "on"),
            "lookback": int(amount) * unit if amount.isdecimal() and len(amount) < 9 else amount,
            "recipients": self._parts("recipients"),
            "task_template": task if any(task.values()) else None,
            "retry": retry or None,
        }

    def checked(self) -> NewAlert | dict[str, str]:
        """Return the validated values, or a message for each field that is not valid."""
        try:
            return NewAlert.model_validate(self.values)
        except (ValidationError, TypeError) as error:
            faults = error.errors() if isinstance(error, ValidationError) else [{"loc": ["retry"]}]
            names = [str(fault["loc"][0]) for fault in faults]
            return {name: _HINTS.get(name, "This is not valid.") for name in names}

    def fault_of(self, error: HTTPException) -> dict[str, str]:
        """Return the message of a refused frequency by its field, or that of the whole form."""
        path, _, problem = str(error.detail).partition(": ")
        if not path.startswith("frequency"):
            return {"form": str(error.detail)}
        key = path.removeprefix("frequency").removeprefix(".").partition("[")[0]
        field = _FIELD_OF.get(key, key)
        if key in ("time", "times"):
            field = "hourTime" if self.text("type") == "hourly" else "times"
        if key == "dayOfWeek":
            field = "weekdays" if self.text("type") == "weekly" else "monthWeekdays"
        return {field: _sentence(problem)}

    def _parts(self, name: str) -> list[str]:
        return self.text(name).replace(",", " ").split()

    def _numbers(self, name: str) -> list[int | str]:
        chosen = self._fields.get(name, ())
        parts = [part for text in chosen for part in text.replace(",", " ").split()]
        return [_integer(part) for part in parts]

    def _at(self, name: str) -> str:
        """Return a local time of the form's zone with its UTC offset."""
        text = self.text(name)
        try:
            moment = datetime.fromisoformat(text)
            zone = ZoneInfo(self.text("timezone"))
        except (ValueError, KeyError, OSError):  # no time, or no zone
            return text
        return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).isoformat()

    def _times(self) -> dict[str, Any]:
        times = [part.zfill(5) for part in self._parts("times")]
        return {"times": times} if len(times) > 1 else _given("time", "".join(times))

    def _month(self) -> dict[str, Any]:
        if self.text("monthBy") == "weeks":
            return {
                **self._times(), "weekOfMonth": self._numbers("weeks"),
                "dayOfWeek": self._numbers("monthWeekdays"),
            }  # fmt: skip
        skip = {"monthEnd": "skip"} if self.text("monthEnd") == "skip" else {}
        return {**self._times(), "dayOfMonth": self._numbers("monthDays"), **skip}


_PLAIN = ("client_id", "name", "metric", "operator", "threshold")
_DEFAULTS = {
    "times": ["09:00"], "hourTime": ["00:00"], "weekdays": ["1", "2", "3", "4", "5"],
    "monthBy": ["days"], "monthDays": ["1"], "weeks": ["1"], "monthWeekdays": ["1"],
    "monthEnd": ["last"], "expression": ["0 9 * * 1-5"], "everyMinutes": ["60"],
}  # fmt: skip
_READERS: dict[str, Callable[[AlertForm], dict[str, Any]]] = {
    "daily": lambda form: form._times(),
    "weekly": lambda form: {**form._times(), "dayOfWeek": form._numbers("weekdays")},
    "monthly": lambda form: form._month(),
    "hourly": lambda form: _given("time", form.text("hourTime")),
    "cron": lambda form: {"expression": form.text("expression")},
    "interval": lambda form: {
        "every_minutes": _integer(form.text("everyMinutes")), **_given("anchor", form._at("anchor"))
    },
    "once": lambda form: {"at": form._at("at")},
}  # fmt: skip


def _frequency_fields(rule: Mapping[str, Any] | None, zone: str) -> dict[str, list[str]]:
    """Return the fields of a stored frequency; those of a new one if it is unreadable."""
    if rule is None:
        return {"type": ["none"], "timezone": [zone]}
    kind, zone = str(rule.get("type", "daily")), str(rule.get("timezone", zone))
    fields = {"type": [kind if kind in KINDS else "daily"], "timezone": [zone]}

    def take(name: str, key: str, text: Callable[[Any], str] = str) -> None:
        if key in rule:
            value = rule[key]
            fields[name] = [text(one) for one in (value if isinstance(value, list) else [value])]

    def there(text: Any) -> str:
        return datetime.fromisoformat(str(text)).astimezone(ZoneInfo(zone)).isoformat()[:19]

    take("hourTime" if kind == "hourly" else "times", "times" if "times" in rule else "time")
    take("monthWeekdays" if kind == "monthly" else "weekdays", "dayOfWeek")
    for name, key in (
        ("monthDays", "dayOfMonth"), ("weeks", "weekOfMonth"), ("monthEnd", "monthEnd"),
        ("months", "months"), ("expression", "expression"), ("everyMinutes", "every_minutes"),
        ("startDate", "startDate"), ("endDate", "endDate"), ("excludeDates", "excludeDates"),
    ):  # fmt: skip
        take(name, key)
    try:
        take("anchor", "anchor", there)
        take("at", "at", there)
    except (ValueError, KeyError, OSError):  # an unreadable time or zone: the form shows none
        pass
    for name in ("times", "monthDays", "excludeDates"):
        if name in fields:
            fields[name] = [", ".join(fields[name])]
    if "weeks" in fields:
        fields["monthBy"] = ["weeks"]
    return fields


def _given(key: str, value: Any) -> dict[str, Any]:
    return {key: value} if value else {}


def _integer(text: str) -> int | str:
    try:
        return int(text) if len(text) < 12 else text
    except ValueError:
        return text


def _sentence(problem: str) -> str:
    """Return a message that does not name its key as a sentence."""
    text = f"This {problem}" if problem.startswith(("is ", "must ", "requires ")) else problem
    return f"{text[:1].upper()}{text[1:]}."

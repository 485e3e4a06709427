"""A notice rule: which events, of what, reach whom, and how often at most."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, TypedDict, Unpack
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from duly.errors import ConfigurationError, UnknownOption
from duly.misuse import explains_arguments
from duly.model import payload
from duly.model.checks import Check, check_fields, label, number, refuse
from duly.model.record import Record, Shown, record
from duly.model.settings import check_zone

GREW = "dead_letters.grew"
RECOVERIES: Mapping[str, frozenset[str]] = {
    "job.recovered": frozenset({"job.failing", "run.late", "run.overrun"}),
    "scheduler.started": frozenset({"scheduler.stopped"}),
}
"""The alarms that end with a recovery, by the kind of event that reports it."""

ALARMS = frozenset().union(*RECOVERIES.values())
KINDS = frozenset({"run.failed", "run.missed", "worker.lost", GREW, *RECOVERIES, *ALARMS})
"""The kinds of events that rules can name. `GREW` stands for the runs that fail, taken together."""

EVENTS = KINDS - {GREW}
MAX_LISTED = 100
"""The maximum number of items in each list of a rule."""

MAX_RECIPIENT = 500
MAX_EVERY_S = 31 * 86_400.0
_NAME = label(191)
_EVERY = number(0, MAX_EVERY_S, "0 or more seconds, at most 31 days")
_ADDRESS = re.compile(
    r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?"
)
_TIME_OF_DAY = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")


LISTS = ("jobs", "tags", "tasks", "queues", "owners")
"""The conditions that are lists of names."""


class NoticeConditions(TypedDict, total=False):
    """What `Scheduler.notify` and `Scheduler.add_notice_rule` take; `NoticeRule` explains it."""

    jobs: Collection[str]
    tags: Collection[str]
    tasks: Collection[str]
    queues: Collection[str]
    owners: Collection[str]
    every: float
    quiet: QuietHours | None
    urgent: Collection[str]


def shown_recipient(recipient: str) -> str:
    """Return a recipient as it may be shown: of a URL, whose path may be a secret, the host."""
    if not is_url(recipient):
        return recipient
    parts = urlsplit(recipient)
    return f"{parts.scheme}://{parts.hostname}/…"


Recipient = Annotated[str, Shown(shown_recipient, redacts=True)]
"""The name of a channel, an e-mail address, or a URL of which only the host is shown."""


def _time_of_day(name: str, value: Any) -> str:
    if isinstance(value, str) and _TIME_OF_DAY.fullmatch(value):
        return value
    raise refuse(name, value, "a time of day such as '22:00'")


def _zone_name(name: str, value: Any) -> str:
    return str(check_zone(value))


_QUIET: Mapping[str, Check] = {"start": _time_of_day, "end": _time_of_day, "timezone": _zone_name}


@explains_arguments
@dataclass(frozen=True, slots=True)
class QuietHours:
    """The hours of each day in which a rule sends only what is urgent.

    Args:
        start: when they begin, as local time: ``"22:00"``.
        end: when they end; if that is earlier than ``start``, on the following day.
        timezone: the zone of both, as an IANA name; default: UTC.

    Raises:
        ConfigurationError: a value is not valid, or ``start`` and ``end`` are the same.
    """

    start: str
    end: str
    timezone: str = "UTC"

    def __post_init__(self) -> None:
        check_fields(self, _QUIET, "QuietHours({}=…)")
        if self.start == self.end:
            raise ConfigurationError(
                f"QuietHours({self.start!r}, {self.end!r}) never end; give two different times"
            )

    def end_after(self, now: datetime) -> datetime | None:
        """Return when the quiet hours end that ``now`` is in; ``None`` if it is in none."""
        local = now.astimezone(ZoneInfo(self.timezone))
        time = local.strftime("%H:%M")
        if self.start < self.end:
            quiet, days = self.start <= time < self.end, 0
        else:
            quiet, days = time >= self.start or time < self.end, int(time >= self.start)
        if not quiet:
            return None
        hour, minute = map(int, self.end.split(":"))
        day = local.date() + timedelta(days=days)
        end = datetime(day.year, day.month, day.day, hour, minute, tzinfo=local.tzinfo)
        # In the hour that a clock repeats, the end of that name may be past already.
        return max(end.astimezone(UTC), now)


@record
class NoticeRule(Record):
    """A rule: notices of these events, of these jobs or runs, to these recipients.

    An event must meet every condition that is given; an empty one is met by every event.

    Attributes:
        name: its name.
        on: the kinds of events: ``run.failed`` (after the last attempt), ``run.missed``,
            ``run.late``, ``run.overrun``, ``job.failing``, ``job.recovered``, ``worker.lost``,
            ``scheduler.stopped``, ``scheduler.started``, ``dead_letters.grew``.
        to: the names of channels that code configures, e-mail addresses, or ``https://`` URLs.
        jobs: ids of jobs.
        tags: tags of jobs; a job must have one of them.
        tasks: names of tasks.
        queues: names of queues.
        owners: owners of jobs and runs.
        every: seconds between two notices about the same subject at least; what happens meanwhile
            is part of the next one. 0: a notice for each event.
        quiet: the hours in which only what is urgent is sent.
        urgent: the kinds of events that are sent in quiet hours too.
        app: the application whose code declares it; empty if it was added by a call.
        created_by: who added it.
        created_at: when it was stored first.
    """

    name: str
    on: tuple[str, ...]
    to: tuple[Recipient, ...]
    jobs: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    queues: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()
    every: float = 0
    quiet: QuietHours | None = None
    urgent: tuple[str, ...] = ()
    app: str = ""
    created_by: str | None = None
    created_at: datetime | None = None


def make_rule(
    name: str,
    on: Collection[str],
    to: Collection[str],
    *,
    app: str = "",
    **conditions: Unpack[NoticeConditions],
) -> NoticeRule:
    """Return a rule of checked values.

    Raises:
        ConfigurationError: a value is not valid.
        UnknownOption: there is no condition of this name.
    """
    unknown = conditions.keys() - NoticeConditions.__annotations__.keys()
    if unknown:
        raise UnknownOption(min(unknown), NoticeConditions.__annotations__, "in a notice rule")
    kinds = _kinds("on", on)
    if not kinds:
        raise ConfigurationError(f"on={on!r} names no event; known: {', '.join(sorted(KINDS))}")
    for recovery in RECOVERIES.keys() & set(kinds):
        if not RECOVERIES[recovery] & set(kinds):
            raise ConfigurationError(
                f"on={list(kinds)!r}: {recovery} tells the end of an alarm that the same rule has "
                f"sent; name one too: {', '.join(sorted(RECOVERIES[recovery]))}"
            )
    quiet = conditions.get("quiet")
    if not isinstance(quiet, QuietHours | None):
        raise refuse("quiet", quiet, "QuietHours(…), or None")
    recipients = tuple(_recipient(each) for each in _listed("to", to))
    if not recipients:
        raise ConfigurationError("to=[] names no recipient")
    given: Mapping[str, Any] = conditions
    lists: dict[str, Any] = {
        key: tuple(_NAME(f"{key}=", each) for each in _listed(key, given.get(key, ())))
        for key in LISTS
    }
    return NoticeRule(
        _NAME("name", name), kinds, recipients, **lists,
        every=_EVERY("every", conditions.get("every", 0)), quiet=quiet,
        urgent=_kinds("urgent", conditions.get("urgent", ())), app=app,
    )  # fmt: skip


def encode_rule(rule: NoticeRule) -> str:
    """Return what a rule says, without its name and its origin, as JSON text."""
    quiet = rule.quiet and [rule.quiet.start, rule.quiet.end, rule.quiet.timezone]
    lists = {name: getattr(rule, name) for name in (*LISTS, "on", "to", "urgent")}
    return payload.encode({**lists, "every": rule.every, "quiet": quiet})


def decode_rule(name: str, app: str, text: str) -> NoticeRule:
    """Return the rule that `encode_rule` made a text of.

    Raises:
        ConfigurationError: another version of Duly stored it in a way unknown here.
        PayloadError: the text is not JSON.
    """
    data = payload.decode(text)
    if not isinstance(data, dict) or not {"on", "to"} <= data.keys():
        raise ConfigurationError(f"the stored notice rule {name!r} has no events or recipients")
    if data.get("quiet") is not None:
        data["quiet"] = QuietHours(*data["quiet"])
    return make_rule(name, data.pop("on"), data.pop("to"), app=app, **data)


def is_url(recipient: str) -> bool:
    """Return whether a recipient is a URL, and so a webhook."""
    return recipient.startswith(("http://", "https://"))


def is_address(recipient: str) -> bool:
    """Return whether a recipient is an e-mail address."""
    return _ADDRESS.fullmatch(recipient) is not None


def _recipient(value: Any) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= MAX_RECIPIENT:
        raise refuse("to", value, f"a text of 1 to {MAX_RECIPIENT} characters")
    if not value.isprintable() or (is_url(value) and not value.isascii()):
        raise refuse("to", value, "a channel's name, an e-mail address or a URL in ASCII")
    name: str = value if is_url(value) else _NAME("to", value)
    return name


def _kinds(name: str, value: Collection[str]) -> tuple[str, ...]:
    for kind in _listed(name, value):
        if kind not in KINDS:
            raise UnknownOption(str(kind), KINDS, f"as an event of a notice rule ({name}=)")
    return tuple(value)


def _listed(name: str, value: Collection[str]) -> Collection[str]:
    given: object = value
    if isinstance(given, str) or not isinstance(given, Collection):
        raise refuse(name, value, "a list of texts")
    if len(value) > MAX_LISTED:
        raise ConfigurationError(f"{name} has {len(value)} items; at most {MAX_LISTED} are allowed")
    return value

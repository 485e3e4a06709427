"""A notice: what a channel sends, and its record in the outbox."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from duly.model.notice_rule import GREW, RECOVERIES, Recipient
from duly.model.record import Record, SafeText, record

NoticeState = Literal["pending", "sent", "dead"]
SHOWN = 20
"""The maximum number of events that one notice tells in full."""

_ABOUT_JOB = {
    "run.failed": "{} failed",
    "run.missed": "{} missed its time",
    "run.late": "{} is late",
    "run.overrun": "{} takes too long",
    "job.failing": "{} keeps failing",
    "job.recovered": "{} has recovered",
}
_ABOUT_ALL = {
    "worker.lost": "A worker was lost",
    "scheduler.stopped": "The scheduler was switched off",
    "scheduler.started": "The scheduler was switched on again",
    GREW: "There are new dead letters",
    "test": "This is a test of the notices of Duly",
}


@dataclass(frozen=True, slots=True)
class Happening:
    """One event as a notice tells it.

    Attributes:
        kind: the kind of event, as the rule names it.
        at: when it happened, in UTC.
        job: the job's id, if any.
        run: the run's id, if any.
        worker: the worker's id, if any.
        task: the task's name, if any.
        queue: the queue, if any.
        owner: the owner of the job or run, if any.
        actor: who caused it, if it was a user.
        detail: further facts, without secrets.
    """

    kind: str
    at: datetime
    job: str | None = None
    run: str | None = None
    worker: str | None = None
    task: str | None = None
    queue: str | None = None
    owner: str | None = None
    actor: str | None = None
    detail: Mapping[str, Any] | None = None

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Happening:
        """Return what `to_data` made JSON of."""
        known = {name: data[name] for name in cls.__slots__ if name in data}
        return cls(**{**known, "at": datetime.fromisoformat(data["at"])})

    def to_data(self) -> dict[str, Any]:
        """Return it as JSON values, without what is unknown."""
        values = {name: getattr(self, name) for name in self.__slots__}
        values["at"] = self.at.isoformat()
        return {name: value for name, value in values.items() if value is not None}

    @property
    def title(self) -> str:
        """What happened, in one line."""
        if self.kind in _ABOUT_ALL:
            return _ABOUT_ALL[self.kind]
        return _ABOUT_JOB.get(self.kind, "{}: " + self.kind).format(self.what)

    @property
    def what(self) -> str:
        """The job or the task that it is about."""
        if self.job is not None:
            return f"Job {self.job}"
        return f"Task {self.task}" if self.task is not None else "A run"

    @property
    def line(self) -> str:
        """When and what happened, and its details, in one line."""
        facts = [self.title]
        if self.kind == GREW:
            facts.append(f"{self.what} failed")
        detail = self.detail or {}
        error, message = detail.get("error"), detail.get("message")
        facts += [f"{error}: {message}"] if error else []
        facts += [f"by {self.actor}"] if self.actor else []
        facts += [str(detail["reason"])] if detail.get("reason") else []
        facts += [f"{detail['count']} times"] if detail.get("count", 1) != 1 else []
        facts += [f"on {detail['host']}"] if detail.get("host") else []
        facts += [f"run {self.run}"] if self.run else []
        return f"{self.at:%Y-%m-%d %H:%M:%S} UTC  " + "; ".join(facts)


@dataclass(frozen=True, slots=True)
class Notice:
    """What a channel sends to its recipients.

    Attributes:
        id: its id, which stays the same when it is sent again; receivers recognize a repetition
            by it.
        rule: the name of its rule.
        subject: what it is about, such as ``job:nightly``.
        happenings: the events that it tells, oldest first, at most 20.
        more: how many others happened before the last of them.
    """

    id: str
    rule: str
    subject: str
    happenings: Sequence[Happening]
    more: int = 0

    @property
    def title(self) -> str:
        """What it is about, in one line."""
        last = self.happenings[-1]
        count = len(self.happenings) + self.more
        return last.title if count == 1 else f"{last.title} ({count} events)"

    @property
    def is_recovery(self) -> bool:
        """Whether it tells that an alarm has ended."""
        return self.happenings[-1].kind in RECOVERIES

    @property
    def lines(self) -> list[str]:
        """One line for each event."""
        lines = [happening.line for happening in self.happenings]
        if self.more:
            lines.insert(-1, f"({self.more} more)")
        return lines

    @property
    def text(self) -> str:
        """The whole notice as plain text."""
        return "\n".join([self.title, "", *self.lines, "", f"Rule {self.rule}, notice {self.id}"])

    def to_data(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "id": self.id,
            "rule": self.rule,
            "subject": self.subject,
            "title": self.title,
            "recovery": self.is_recovery,
            "events": [happening.to_data() for happening in self.happenings],
            "more": self.more,
        }


@record
class NoticeRecord(Record):
    """A notice in the outbox.

    Attributes:
        id: its id.
        rule: the name of its rule.
        app: the application whose code declares the rule; empty if it was added by a call.
        subject: what it is about.
        title: its title.
        to: the name of the channel, the e-mail address or the URL that it is sent to.
        state: ``pending``, ``sent`` or ``dead``.
        attempts: how often sending has failed.
        created_at: when it was created.
        due_at: when it is sent next, if it is pending.
        finished_at: when it was sent or given up.
        error: why it could not be sent the last time.
    """

    id: str
    rule: str
    app: str
    subject: str
    title: str
    to: Recipient
    state: NoticeState
    attempts: int
    created_at: datetime
    due_at: datetime
    finished_at: datetime | None = None
    error: SafeText | None = None

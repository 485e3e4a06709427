"""A job: a task, its arguments, a trigger and a policy, stored under a text id."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, get_args

from duly.errors import ConfigurationError
from duly.model.policy import JobOptions
from duly.model.run import RunRecord
from duly.triggers import After, Trigger

JobState = Literal["active", "paused", "finished", "unresolved"]
Origin = Literal["code", "api", "import"]
JOB_STATES: tuple[JobState, ...] = get_args(JobState)
MAX_ID = 191


@dataclass(frozen=True, slots=True)
class JobRecord:
    """A stored job as queries return it.

    Attributes:
        uid: this incarnation; a job removed and added again under its id gets another one.
        trigger: ``None`` when the stored text cannot be decoded (the state is ``unresolved``).
        next_fire_at: the next nominal time that has no decision yet.
        last_nominal: the last one that has.
        overridden: what was edited by hand and therefore wins over the declaration.
        last_run: its newest run, where the query was asked for it.
    """

    id: str
    uid: str
    task: str
    args: dict[str, Any]
    trigger: Trigger | None
    options: JobOptions
    state: JobState
    next_fire_at: datetime | None
    last_nominal: datetime | None
    origin: Origin
    revision: int
    created_at: datetime
    updated_at: datetime
    tags: tuple[str, ...] = ()
    overridden: tuple[str, ...] = ()
    paused_by: str | None = None
    paused_reason: str | None = None
    paused_at: datetime | None = None
    unresolved_reason: str | None = None
    consecutive_failures: int = 0
    fired_count: int = 0
    last_run: RunRecord | None = field(default=None, compare=False)

    @property
    def after(self) -> tuple[str, ...]:
        """The ids of the jobs after whose runs it runs; none for a job with times of its own."""
        return self.trigger.parents if isinstance(self.trigger, After) else ()

    @property
    def queue(self) -> str:
        """The lane its runs wait in."""
        return self.options.queue


@dataclass(slots=True)
class Occupancy:
    """How many runs of a job are not over.

    Attributes:
        active: started, or about to.
        waiting: for their turn.
        backfill: active, and made by a backfill; those that wait are in nobody's way.
    """

    active: int = 0
    waiting: int = 0
    backfill: int = 0


def check_id(job_id: object) -> str:
    """The same id when it can be stored.

    Raises:
        ConfigurationError: empty, longer than 191 characters, with control characters, or ``.``
            or ``..``, which no address can hold: every browser takes them for a way up.
    """
    if not isinstance(job_id, str) or not 0 < len(job_id) <= MAX_ID or not job_id.isprintable():
        raise ConfigurationError(
            f"job id {job_id!r}: it must be 1 to {MAX_ID} printable characters"
        )
    if job_id in (".", ".."):
        raise ConfigurationError(
            f"job id {job_id!r}: it must not be '.' or '..', which no web address can hold"
        )
    return job_id


def check_tags(tags: object) -> tuple[str, ...]:
    """Tags as a sorted tuple without doubles.

    Raises:
        ConfigurationError: a tag that is no text of 1 to 191 printable characters.
    """
    if isinstance(tags, str):
        raise ConfigurationError(f"tags is the text {tags!r}; give a list: tags=[{tags!r}]")
    if not isinstance(tags, Iterable):
        raise ConfigurationError(f"tags is {tags!r}; give a list of texts")
    held = list(tags)
    for tag in held:
        if not isinstance(tag, str) or not 0 < len(tag) <= MAX_ID or not tag.isprintable():
            raise ConfigurationError(f"tag {tag!r}: it must be 1 to {MAX_ID} printable characters")
    return tuple(sorted(set(held)))

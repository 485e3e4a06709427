"""Jobs: a task, its arguments, a trigger and options, stored under a text id."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Literal, get_args

from duly.errors import ConfigurationError
from duly.model.policy import JobOptions
from duly.model.record import Record, SafeArguments, SafeText, Shown, record
from duly.model.run import RunRecord
from duly.triggers import After, Trigger

JobState = Literal["active", "paused", "finished", "unresolved"]
Origin = Literal["code", "api", "import"]
JOB_STATES: tuple[JobState, ...] = get_args(JobState)
MAX_ID = 191


@dataclass(frozen=True, slots=True)
class ShownTrigger:
    """A trigger: in English, as a crontab expression if there is one, and as it is stored."""

    kind: str
    text: str
    crontab: str | None
    tz: str | None
    definition: dict[str, Any]


def _show_trigger(trigger: Trigger | None) -> ShownTrigger | None:
    if trigger is None:
        return None
    definition = trigger.to_json()
    return ShownTrigger(
        kind=trigger.kind,
        text=trigger.describe(),
        crontab=trigger.crontab,
        tz=definition.get("tz"),
        definition=definition,
    )


@record
class JobRecord(Record):
    """A stored job as queries return it.

    Attributes:
        id: chosen by the application; unique among the stored jobs.
        uid: identifies this instance of the job: a job that is removed and added again under the
            same id gets another one.
        task: the name of the task.
        args: the arguments of the task.
        trigger: ``None`` if the stored trigger cannot be decoded (the state is ``unresolved``).
        options: the effective options.
        state: ``active``, ``paused``, ``finished``, or ``unresolved``, which means that it cannot
            run with the code that is deployed.
        next_fire_at: the next nominal time without a decision.
        last_nominal: the last nominal time with a decision.
        origin: whether the job was created by ``code``, the ``api`` or an ``import``.
        revision: increases with every change.
        created_at: when the job was stored.
        updated_at: when its definition or its state was last changed.
        tags: the labels by which it can be found.
        overridden: the fields edited manually, which take precedence over the declaration.
        paused_by: the actor who paused it, or ``code`` if code no longer declares it.
        paused_reason: the reason that was given for the pause.
        paused_at: when it was paused.
        unresolved_reason: why the job cannot run, if it is ``unresolved``.
        consecutive_failures: the number of failed runs since the last success.
        fired_count: the number of times that the job has fired.
        last_run: its newest run, if the query includes it.
    """

    id: str
    uid: str
    task: str
    args: SafeArguments
    trigger: Annotated[Trigger | None, Shown(_show_trigger, ShownTrigger | None)]
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
    paused_reason: SafeText | None = None
    paused_at: datetime | None = None
    unresolved_reason: SafeText | None = None
    consecutive_failures: int = 0
    fired_count: int = 0
    last_run: RunRecord | None = field(default=None, compare=False)

    @property
    def after(self) -> tuple[str, ...]:
        """The ids of the jobs that this job runs after; empty if it has times of its own."""
        return self.trigger.parents if isinstance(self.trigger, After) else ()

    @property
    def queue(self) -> str:
        """The name of the queue for its runs."""
        return self.options.queue

    @property
    def owner(self) -> str | None:
        """Whom it belongs to; ``None``: no one."""
        return self.options.owner


@record
class JobDeclaration(Record):
    """A job as code declares it, without what was edited manually.

    Attributes:
        task: the name of the task.
        args: the arguments of the task.
        trigger: as it was declared; the zone and the start that it leaves open are not filled in.
        options: the effective options.
        tags: the labels by which it can be found.
    """

    task: str
    args: SafeArguments
    trigger: Annotated[Trigger | None, Shown(_show_trigger, ShownTrigger | None)]
    options: JobOptions
    tags: tuple[str, ...] = ()


@dataclass(slots=True)
class Occupancy:
    """The number of unfinished runs of a job.

    Attributes:
        active: runs that have started or are ready to start.
        waiting: runs that wait for an active run to finish.
        backfill: active runs created by a backfill; waiting ones do not delay other runs.
    """

    active: int = 0
    waiting: int = 0
    backfill: int = 0


def check_id(job_id: object) -> str:
    """Return a job id if it can be stored.

    Raises:
        ConfigurationError: it is empty, is longer than 191 characters, has control characters, or
            is ``.`` or ``..``, which cannot be part of a URL because browsers resolve them.
    """
    if not isinstance(job_id, str) or not 0 < len(job_id) <= MAX_ID or not job_id.isprintable():
        raise ConfigurationError(
            f"job id {job_id!r} is not valid; it must be 1 to {MAX_ID} printable characters"
        )
    if job_id in (".", ".."):
        raise ConfigurationError(
            f"job id {job_id!r} is not valid; '.' and '..' cannot be part of a URL"
        )
    return job_id


def check_tags(tags: object) -> tuple[str, ...]:
    """Return tags as a sorted tuple without duplicates.

    Raises:
        ConfigurationError: a tag is not a string of 1 to 191 printable characters.
    """
    if isinstance(tags, str):
        raise ConfigurationError(f"tags is the string {tags!r}; give a list: tags=[{tags!r}]")
    if not isinstance(tags, Iterable):
        raise ConfigurationError(f"tags is {tags!r}; give a list of strings")
    given = list(tags)
    for tag in given:
        if not isinstance(tag, str) or not 0 < len(tag) <= MAX_ID or not tag.isprintable():
            raise ConfigurationError(
                f"tag {tag!r} is not valid; it must be 1 to {MAX_ID} printable characters"
            )
    return tuple(sorted(set(given)))

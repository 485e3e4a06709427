"""The schedules of Celery beat as jobs: ``duly import celery-beat``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from celery import Celery
from celery.schedules import crontab, maybe_schedule, schedule
from sqlalchemy import MetaData, create_engine, select

from duly.errors import ConfigurationError, TriggerError
from duly.integrations.celery.tasks import POSITIONAL, CeleryTask, celery_task
from duly.model.record import Record, record
from duly.scheduler import Scheduler
from duly.triggers.base import Trigger
from duly.triggers.combine import all_of
from duly.triggers.crontab.trigger import cron
from duly.triggers.interval import every
from duly.triggers.once import at

PREFIX = "django_celery_beat_"
TABLES = ("periodictask", "crontabschedule", "intervalschedule", "clockedschedule")
COMPARED = 200
"""The number of fires in which a readable cron expression must agree with an exact one."""

KEPT = frozenset({"queue", "expires"})
"""The options of an entry that are kept."""


@dataclass(frozen=True, slots=True)
class BeatEntry:
    """An entry of Celery beat, as a job.

    Attributes:
        id: the job's id: the entry's name.
        task: the name of the Celery task.
        queue: the Celery queue, if the entry names one.
        trigger: when the job fires; ``None``: Duly has no such schedule.
        args: the keyword arguments; positional ones are under ``*``.
        options: the options of the job.
        paused: whether the entry is disabled.
        remarks: what is not carried over, or differs.
    """

    id: str
    task: str
    queue: str | None
    trigger: Trigger | None
    args: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    paused: bool = False
    remarks: tuple[str, ...] = ()


@record
class ImportedEntry(Record):
    """What an import does, or would do, with one entry.

    Attributes:
        id: the job's id.
        task: the name of the Celery task.
        trigger: when the job fires, as text.
        outcome: ``added``, ``exists`` (a job of that id is stored, and stays as it is) or
            ``refused``.
        paused: whether it is added paused, because the entry is disabled.
        remarks: what is not carried over, or differs, or why it is refused.
        declaration: the line of code by which the application knows the task.
    """

    id: str
    task: str
    trigger: str
    outcome: str
    paused: bool
    remarks: list[str]
    declaration: str


def read_beat_schedule(app: Celery) -> list[BeatEntry]:
    """Read the ``beat_schedule`` of a Celery application."""
    return [_entry(name, entry, app) for name, entry in sorted(app.conf.beat_schedule.items())]


def read_django_celery_beat(url: str) -> list[BeatEntry]:
    """Read the tables of django-celery-beat.

    Args:
        url: the SQLAlchemy URL of the Django database, which is only read.

    Raises:
        ConfigurationError: the database has no such tables.
    """
    engine = create_engine(url)
    names = [PREFIX + name for name in TABLES]
    try:
        metadata = MetaData()
        metadata.reflect(engine, only=lambda name, _: name in names)
        if missing := set(names) - metadata.tables.keys():
            raise ConfigurationError(f"{engine.url!r} has no table {min(missing)}")
        with engine.connect() as conn:
            tasks, *schedules = (
                [dict(row._mapping) for row in conn.execute(select(metadata.tables[name]))]
                for name in names
            )
    finally:
        engine.dispose()
    crontabs, intervals, clocked = ({row["id"]: row for row in rows} for rows in schedules)
    return [
        _django_entry(row, crontabs, intervals, clocked)
        for row in sorted(tasks, key=lambda row: str(row["name"]))
    ]


def import_entries(
    scheduler: Scheduler, entries: Sequence[BeatEntry], app: Celery, *, apply: bool
) -> list[ImportedEntry]:
    """Add entries as jobs, or tell what that would do.

    A job that exists already is left alone, so that an import can be repeated.

    Args:
        scheduler: where to add them.
        entries: the entries.
        app: the Celery application.
        apply: whether to add them.
    """
    stored = set(scheduler.job_ids())
    return [_import(scheduler, entry, app, stored, apply=apply) for entry in entries]


def _import(
    scheduler: Scheduler, entry: BeatEntry, app: Celery, stored: set[str], *, apply: bool
) -> ImportedEntry:
    task = celery_task(entry.task, app=app, queue=entry.queue)
    outcome, remarks = "added", list(entry.remarks)
    if entry.trigger is None:
        outcome = "refused"
    elif entry.id in stored:
        outcome = "exists"
    elif apply:
        _add(scheduler, entry, task)
    return ImportedEntry(
        entry.id, entry.task, "" if entry.trigger is None else repr(entry.trigger), outcome,
        entry.paused, remarks, _declaration(entry),
    )  # fmt: skip


def _add(scheduler: Scheduler, entry: BeatEntry, task: CeleryTask) -> None:
    paused: bool | str = "disabled in Celery beat" if entry.paused else False
    scheduler.add(
        task, entry.trigger, id=entry.id, args=entry.args, paused=paused,
        actor="import", **entry.options,
    )  # fmt: skip


def _declaration(entry: BeatEntry) -> str:
    queue = "" if entry.queue is None else f", queue={entry.queue!r}"
    return f"scheduler.task()(celery_task({entry.task!r}, app=celery_app{queue}))"


# ------------------------------------------------------------------------------ beat_schedule


def _entry(name: str, entry: Mapping[str, Any], app: Celery) -> BeatEntry:
    given = dict(entry.get("options") or {})
    trigger, remarks = _trigger(entry["schedule"], app)
    remarks += [f"option {key!r} is not carried over" for key in sorted(given.keys() - KEPT)]
    expires = given.get("expires")
    options = {}
    if isinstance(expires, int | float | timedelta) and not isinstance(expires, bool):
        options["expires"] = _seconds(expires)
    elif expires is not None:
        remarks.append("option 'expires' is an instant, and is not carried over")
    args = _arguments(entry.get("args") or (), entry.get("kwargs") or {})
    return BeatEntry(
        name, entry["task"], given.get("queue"), trigger, args, options, remarks=tuple(remarks)
    )


def _seconds(value: float | timedelta) -> float:
    return value.total_seconds() if isinstance(value, timedelta) else float(value)


def _arguments(positional: Sequence[Any], named: Mapping[str, Any]) -> dict[str, Any]:
    return {**named, **({POSITIONAL: list(positional)} if positional else {})}


def _trigger(given: Any, app: Celery) -> tuple[Trigger | None, list[str]]:
    """Return the trigger of a schedule, with remarks; without a trigger they say why."""
    given = maybe_schedule(given, app=app)  # a crontab without a zone has that of its application
    if isinstance(given, crontab):
        return _crontab(given)
    if type(given) is schedule:
        return _interval(given.run_every.total_seconds())
    return None, [f"a schedule of type {type(given).__name__} has no equivalent"]


def _interval(seconds: float) -> tuple[Trigger | None, list[str]]:
    try:
        return every(seconds=seconds), []
    except TriggerError as error:
        return None, [str(error)]


def _crontab(given: crontab) -> tuple[Trigger | None, list[str]]:
    try:
        return _exact_crontab(given, str(given.tz)), []
    except TriggerError as error:
        return None, [str(error)]


def _exact_crontab(given: crontab, zone: str) -> Trigger:
    """Return a trigger that fires when a crontab of Celery does.

    Celery wants the day of the month *and* the weekday to match where both are restricted.
    """
    minute, hour = _field(given.minute, range(60)), _field(given.hour, range(24))
    day, month = _field(given.day_of_month, range(1, 32)), _field(given.month_of_year, range(1, 13))
    weekday = _field(given.day_of_week, range(7))
    if "*" not in (day, weekday):
        return all_of(
            cron(f"{minute} {hour} {day} {month} *", tz=zone),
            cron(f"{minute} {hour} * {month} {weekday}", tz=zone),
        )
    exact = cron(f"{minute} {hour} {day} {month} {weekday}", tz=zone)
    return _as_written(given, zone, exact)


def _as_written(given: crontab, zone: str, exact: Trigger) -> Trigger:
    """Return the trigger of the fields as they were written, if it means the same."""
    fields = (
        given._orig_minute, given._orig_hour, given._orig_day_of_month,
        given._orig_month_of_year, given._orig_day_of_week,
    )  # fmt: skip
    try:
        written = cron(" ".join(map(str, fields)), tz=zone)
    except TriggerError:
        return exact
    return written if _first_fires(written) == _first_fires(exact) else exact


def _first_fires(trigger: Trigger) -> list[datetime]:
    found: list[datetime] = []
    moment = datetime(2024, 1, 1, tzinfo=UTC)
    while len(found) < COMPARED:
        following = trigger.next_after(moment)
        if following is None:
            break
        found.append(following)
        moment = following
    return found


def _field(values: set[int], whole: range) -> str:
    """Return the field of a cron expression with these values."""
    return "*" if values >= set(whole) else ",".join(map(str, sorted(values)))


# ------------------------------------------------------------------------------ django-celery-beat


def _django_entry(
    row: Mapping[str, Any],
    crontabs: Mapping[int, Mapping[str, Any]],
    intervals: Mapping[int, Mapping[str, Any]],
    clocked: Mapping[int, Mapping[str, Any]],
) -> BeatEntry:
    trigger, remarks = None, ["a solar schedule has no equivalent"]
    if row["crontab_id"] is not None:
        trigger, remarks = _stored_crontab(crontabs[row["crontab_id"]])
    elif row["interval_id"] is not None:
        found = intervals[row["interval_id"]]
        trigger, remarks = _interval(timedelta(**{found["period"]: found["every"]}).total_seconds())
    elif row["clocked_id"] is not None:
        trigger, remarks = at(_instant(clocked[row["clocked_id"]]["clocked_time"])), []
    remarks += _not_carried(row)
    args = _arguments(json.loads(row["args"] or "[]"), json.loads(row["kwargs"] or "{}"))
    return BeatEntry(
        row["name"], row["task"], row["queue"] or None, trigger, args, dict(_options(row)),
        paused=not row["enabled"], remarks=tuple(remarks),
    )  # fmt: skip


def _stored_crontab(found: Mapping[str, Any]) -> tuple[Trigger | None, list[str]]:
    names = ("minute", "hour", "day_of_week", "day_of_month", "month_of_year")
    made = crontab(**{name: found[name] for name in names})
    made.tz = found["timezone"]
    return _crontab(made)


def _options(row: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    if row["one_off"] and row["clocked_id"] is None:
        yield "max_fires", 1
    if row["start_time"] is not None:
        yield "start", _instant(row["start_time"])
    if row["expires"] is not None:
        yield "end", _instant(row["expires"])
    if row["expire_seconds"]:
        yield "expires", float(row["expire_seconds"])


def _not_carried(row: Mapping[str, Any]) -> Iterator[str]:
    for name in ("exchange", "routing_key", "priority"):
        if row[name] not in (None, ""):
            yield f"option {name!r} is not carried over"
    if row["headers"] not in (None, "", "{}"):
        yield "option 'headers' is not carried over"


def _instant(value: datetime) -> datetime:
    """Return an instant that Django has stored, which is UTC where the database keeps no zone."""
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value

"""The checks of ``duly doctor``, which find present and likely problems."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from duly import triggers
from duly.errors import ConfigurationError, DulyError
from duly.model.finding import Finding
from duly.model.zone_data import tzdb_location, tzdb_version
from duly.operations import problems, zone_data
from duly.operations.core import Core
from duly.operations.problems import count, some
from duly.store import examination, schema
from duly.store.rows import definition_of

SKEW = timedelta(seconds=2)


def examine(core: Core) -> list[Finding]:
    """Check the clock, the time zones, the database, and the rows in it, as ``duly doctor`` does.

    Nothing is written and no table is created. Each finding has the name of a check, its result,
    and advice. A database that does not respond is a finding too.
    """
    found: list[Finding] = []
    try:
        with core.store.read_unprepared() as conn:
            found += _examine(core, conn)
    except ConfigurationError as error:
        found.append(Finding("database", "problem", str(error)))
    except DulyError as error:
        advice = "check that it is running, and that the address, name and password are correct"
        found.append(Finding("database", "problem", str(error), advice))
    return found


def _examine(core: Core, conn: Connection) -> Iterator[Finding]:
    core.store.read_clock(conn)
    now, tables = core.store.time.now(), _schema(conn)
    readable = tables.level == "ok"
    workers = examination.live_workers(conn, now) if readable else []
    processes = len({(worker.host, worker.pid) for worker in workers})
    yield from core.store.dialect.examine(conn, processes)
    yield _clock(core, conn)
    yield tables
    if not readable:
        yield _zones([], behind=False)
        return
    tasks = core.registry.names()
    stored = examination.some_jobs(conn)
    yield _indexes(examination.missing_indexes(conn))
    yield _workers(workers)
    yield _zones([worker.tzdb for worker in workers], behind=zone_data.is_behind(conn))
    yield _tasks(core.settings.name, examination.unknown_jobs(conn, tasks))
    yield _waiting(examination.unknown_runs(conn, tasks))
    yield from _operation(core, conn, stored)
    yield _unresolved(stored)
    yield _surprises(stored, now)


def _operation(core: Core, conn: Connection, stored: Sequence[Any]) -> Iterator[Finding]:
    """Report what is wrong with the scheduler as a whole."""
    found = [one for one in problems.find(core, conn) if one.check != "options"]
    options = {wanted.id: wanted.options for wanted in core.declared.values()}
    options |= {row.id: definition_of(row).options for row in stored}
    found += problems.unsuitable_options(options.items())
    yield from found or [
        Finding("operation", "ok", "it is switched on, jobs are fired, and queues are served")
    ]


def _clock(core: Core, conn: Connection) -> Finding:
    if not core.store.dialect.has_server_clock:
        return Finding("clock", "ok", "all workers use the clock of this machine")
    began = core.clock.now()
    server = core.store.dialect.server_time(conn)
    ended = core.clock.now()
    skew = began + (ended - began) / 2 - server
    text = f"this process is {abs(skew).total_seconds():.3f} s "
    text += f"{'ahead of' if skew > timedelta(0) else 'behind'} the database"
    if abs(skew) <= SKEW:
        return Finding("clock", "ok", text)
    advice = "synchronize both machines with a time server; jobs follow the database's clock"
    return Finding("clock", "warning", text, advice)


def _schema(conn: Connection) -> Finding:
    version = schema.stored_version(conn)
    if version is None:
        advice = "the first start of the scheduler creates them"
        return Finding("tables", "warning", "this database has no Duly tables", advice)
    text = f"version {version}"
    if version > schema.HEAD:
        advice = "they were created by a newer version of Duly: upgrade the package duly"
        return Finding("tables", "problem", f"{text}; this Duly knows {schema.HEAD}", advice)
    if version < schema.HEAD:
        advice = f"the next start migrates them to {schema.HEAD}"
        return Finding("tables", "warning", text, advice)
    missing = examination.missing_tables(conn)
    if missing:
        advice = "restore them from a backup, or drop all of Duly's tables to start afresh"
        return Finding("tables", "problem", f"missing: {', '.join(missing)}", advice)
    return Finding("tables", "ok", text)


def _indexes(missing: dict[str, str]) -> Finding:
    if not missing:
        return Finding("indexes", "ok", "complete")
    text = f"missing: {', '.join(missing)}"
    return Finding("indexes", "problem", text, f"create them again: {'; '.join(missing.values())}")


def _workers(alive: Sequence[Any]) -> Finding:
    releases = Counter(
        f"{worker.app} {worker.app_version or 'without a version'}, Duly {worker.version}"
        for worker in alive
    )
    text = count(alive, "worker")
    if releases:
        text += f": {some([f'{name} ({count})' for name, count in sorted(releases.items())])}"
    return Finding("workers", "ok", text)


def _zones(versions: list[str], *, behind: bool) -> Finding:
    text = f"data {tzdb_version()} from {tzdb_location()}"
    advice = "give all processes the same, for example by updating the package tzdata"
    others = sorted(set(versions) - {tzdb_version()})
    if others:
        text += f"; workers have {', '.join(others)}"
        return Finding("time zones", "warning", text, advice)
    if behind:
        text += "; the stored times were computed with newer data"
        return Finding("time zones", "warning", text, advice)
    return Finding("time zones", "ok", text)


def _tasks(app: str, jobs: Sequence[Any]) -> Finding:
    own = [f"{row.id} (task {row.task})" for row in jobs if row.app == app]
    others = [f"{row.id} (task {row.task}, of {row.app})" for row in jobs if row.app != app]
    if own:
        return Finding(
            "tasks",
            "problem",
            f"{count(own, 'job')} whose task is not registered here: {some(own)}",
            "bring the task back, give the job another one, or remove it: scheduler.remove(…)",
        )
    if others:
        text = f"{count(others, 'job')} of other applications, unknown here: {some(others)}"
        return Finding("tasks", "ok", text)
    return Finding("tasks", "ok", f"{count(jobs, 'job')} whose task is not registered here")


def _waiting(unknown: dict[str, int]) -> Finding:
    if not unknown:
        return Finding("waiting runs", "ok", "their tasks are all registered here")
    tasks = [f"{task} ({count})" for task, count in unknown.items()]
    return Finding(
        "waiting runs",
        "warning",
        f"some have tasks that are not registered here: {some(tasks)}",
        "start a worker that knows these tasks, or cancel the runs",
    )


def _unresolved(stored: Iterable[Any]) -> Finding:
    unreadable = []
    for row in stored:
        problem = definition_of(row).problem or row.unresolved_reason
        if row.state == "unresolved" or definition_of(row).problem is not None:
            unreadable.append(f"{row.id} ({problem})")
    if not unreadable:
        return Finding("definitions", "ok", "every job can be read")
    return Finding(
        "definitions",
        "problem",
        f"{count(unreadable, 'job')} that cannot be read and so cannot fire: {some(unreadable)}",
        "store them again with replace=True, or run the version of Duly that stored them",
    )


def _surprises(stored: Iterable[Any], now: datetime) -> Finding:
    surprising = []
    for row in stored:
        trigger = definition_of(row).trigger
        warnings = triggers.lint(trigger, now) if trigger is not None else ()
        if warnings:
            surprising.append(f"{row.id} ({warnings[0]})")
    if not surprising:
        return Finding("triggers", "ok", "none is likely to surprise")
    text = f"{count(surprising, 'job')} that may surprise: {some(surprising)}"
    return Finding("triggers", "warning", text, "duly explain TRIGGER shows what it does and when")

"""Looking for what is wrong, or will be: the checks of ``duly doctor``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from duly import triggers
from duly.errors import ConfigurationError, DulyError
from duly.model.finding import Finding
from duly.model.zone_data import tzdb_location, tzdb_version
from duly.operations import zone_data as zone_changes
from duly.operations.core import Wiring
from duly.store import examination, schema
from duly.store.rows import definition_of

SKEW = timedelta(seconds=2)
SHOWN = 3
"""How many of many are named in one line."""


class Examining(Wiring):
    """How one finds out what is wrong."""

    def examine(self) -> list[Finding]:
        """Look at the clock, the time zones, the database, and what is stored in it.

        Nothing is written and no table is made. Each finding says what was looked at, how it is,
        and what to do. A database that does not answer is a finding too.
        """
        found: list[Finding] = []
        try:
            with self.store.look() as conn:
                self._examine(conn, found)
        except ConfigurationError as error:
            found.append(Finding("database", "problem", str(error)))
        except DulyError as error:
            advice = "see that it runs, and that address, name and password are right"
            found.append(Finding("database", "problem", str(error), advice))
        return found

    def _examine(self, conn: Connection, found: list[Finding]) -> None:
        self.store.read_clock(conn)
        now, tables = self.store.time.now(), _schema(conn)
        there = tables.level == "ok"
        workers = examination.live_workers(conn, now) if there else []
        processes = len({(held.host, held.pid) for held in workers})
        found += [
            *self.store.dialect.examine(conn, processes),
            self._clock(conn),
            tables,
        ]
        if not there:
            found.append(_zones([], behind=False))
            return
        tasks = self.registry.names()
        stored = examination.some_jobs(conn)
        found += [
            _indexes(examination.missing_indexes(conn)),
            _workers(workers),
            _zones([held.tzdb for held in workers], behind=zone_changes.is_behind(conn)),
            _tasks(self.settings.name, examination.unknown_jobs(conn, tasks)),
            _waiting(examination.unknown_runs(conn, tasks)),
            _unresolved(stored),
            _surprises(stored, now),
        ]

    def _clock(self, conn: Connection) -> Finding:
        if not self.store.dialect.has_server_clock:
            return Finding("clock", "ok", "all workers go by the clock of this machine")
        began = self.clock.now()
        told = self.store.dialect.server_time(conn)
        ended = self.clock.now()
        skew = began + (ended - began) / 2 - told
        text = f"this process is {abs(skew).total_seconds():.3f} s "
        text += f"{'ahead of' if skew > timedelta(0) else 'behind'} the database"
        if abs(skew) <= SKEW:
            return Finding("clock", "ok", text)
        advice = "let both machines follow a time server; jobs go by the database's clock"
        return Finding("clock", "warning", text, advice)


def _schema(conn: Connection) -> Finding:
    version = schema.stored_version(conn)
    if version is None:
        advice = "they are made when the scheduler starts for the first time"
        return Finding("tables", "warning", "there are none of Duly's in this database", advice)
    told = f"version {version}"
    if version > schema.HEAD:
        advice = "a newer Duly wrote them: upgrade the package duly"
        return Finding("tables", "problem", f"{told}; this Duly knows {schema.HEAD}", advice)
    if version < schema.HEAD:
        advice = f"the next start migrates them to {schema.HEAD}"
        return Finding("tables", "warning", told, advice)
    missing = examination.missing_tables(conn)
    if missing:
        advice = "restore them from a backup, or drop all of Duly's tables to begin anew"
        return Finding("tables", "problem", f"missing: {', '.join(missing)}", advice)
    return Finding("tables", "ok", told)


def _indexes(missing: dict[str, str]) -> Finding:
    if not missing:
        return Finding("indexes", "ok", "all there")
    told = f"missing: {', '.join(missing)}"
    return Finding("indexes", "problem", told, f"make them again: {'; '.join(missing.values())}")


def _workers(alive: Sequence[Any]) -> Finding:
    releases = Counter(
        f"{held.app} {held.app_version or 'without a version'}, Duly {held.version}"
        for held in alive
    )
    told = _count(list(alive), "worker")
    if releases:
        held = [f"{release} ({number})" for release, number in sorted(releases.items())]
        told += f": {_some(held)}"
    return Finding("workers", "ok", told)


def _zones(versions: list[str], *, behind: bool) -> Finding:
    told = f"data {tzdb_version()} from {tzdb_location()}"
    advice = "give all processes the same, for example by updating the package tzdata"
    others = sorted(set(versions) - {tzdb_version()})
    if others:
        told += f"; workers have {', '.join(others)}"
        return Finding("time zones", "warning", told, advice)
    if behind:
        told += "; the stored times were worked out with newer data"
        return Finding("time zones", "warning", told, advice)
    return Finding("time zones", "ok", told)


def _tasks(app: str, strange: Iterable[Any]) -> Finding:
    held = list(strange)
    own = [f"{row.id} (task {row.task})" for row in held if row.app == app]
    others = [f"{row.id} (task {row.task}, of {row.app})" for row in held if row.app != app]
    if own:
        return Finding(
            "tasks",
            "problem",
            f"{_count(own, 'job')} whose task is not registered here: {_some(own)}",
            "bring the task back, give the job another one, or remove it: scheduler.remove(…)",
        )
    if others:
        told = f"{_count(others, 'job')} of other applications, unknown here: {_some(others)}"
        return Finding("tasks", "ok", told)
    return Finding("tasks", "ok", f"{_count(held, 'job')} whose task is not registered here")


def _waiting(strange: dict[str, int]) -> Finding:
    if not strange:
        return Finding("waiting runs", "ok", "each is of a task that is registered here")
    held = [f"{task} ({count})" for task, count in strange.items()]
    return Finding(
        "waiting runs",
        "warning",
        f"some are of tasks that are not registered here: {_some(held)}",
        "a worker that knows them must run; or cancel them",
    )


def _unresolved(stored: Iterable[Any]) -> Finding:
    held = []
    for row in stored:
        problem = definition_of(row).problem or row.unresolved_reason
        if row.state == "unresolved" or definition_of(row).problem is not None:
            held.append(f"{row.id} ({problem})")
    if not held:
        return Finding("definitions", "ok", "every job can be read")
    return Finding(
        "definitions",
        "problem",
        f"{_count(held, 'job')} that cannot be read and does not fire: {_some(held)}",
        "store it again with replace=True, or run the version of Duly that wrote it",
    )


def _surprises(stored: Iterable[Any], now: datetime) -> Finding:
    held = []
    for row in stored:
        trigger = definition_of(row).trigger
        warnings = triggers.lint(trigger, now) if trigger is not None else ()
        if warnings:
            held.append(f"{row.id} ({warnings[0]})")
    if not held:
        return Finding("triggers", "ok", "none that may surprise")
    told = f"{_count(held, 'job')} that may surprise: {_some(held)}"
    return Finding("triggers", "warning", told, "duly explain TRIGGER shows what it does and when")


def _count(held: list[Any], what: str) -> str:
    return f"{len(held) or 'no'} {what}{'' if len(held) == 1 else 's'}"


def _some(held: list[str]) -> str:
    more = f", and {len(held) - SHOWN} more" if len(held) > SHOWN else ""
    return ", ".join(held[:SHOWN]) + more

"""An audit log of every committed change, written by database triggers.

Duly does not know about the triggers, and a transaction that is rolled back takes its lines with
it. The log therefore tells independently which states each row went through, and who wrote them.
"""

# ruff: noqa: S608 - the statements are built from the names below
from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

_RUN = (
    "state", "token", "claim_id", "worker_id", "attempt", "crashes", "waits_for_slot", "occupied",
    "due_at", "result", "queue", "concurrency_key", "unique_key", "unique_scope", "expires_at",
    "started_at",
)  # fmt: skip
_JOB = ("next_fire_at", "last_nominal", "trigger", "options", "state", "fired_count", "updated_at")


@dataclass(frozen=True, slots=True)
class RunColumns:
    """A run's row before or after a change; all ``None`` before the row existed."""

    state: str | None
    token: int | None
    claim_id: str | None
    worker_id: str | None
    attempt: int | None
    crashes: int | None
    waits_for_slot: int | None
    occupied: int | None
    due_at: str | None
    result: str | None
    queue: str | None
    concurrency_key: str | None
    unique_key: str | None
    unique_scope: str | None
    expires_at: str | None
    started_at: str | None

    @property
    def is_executing(self) -> bool:
        """Whether a function executes the run, or still does although the run has ended."""
        return bool(self.occupied) or self.state == "running"


@dataclass(frozen=True, slots=True)
class RunChange:
    """One committed change of a run's row.

    Attributes:
        step: the world's step counter at that time.
        actor: the number of the process that made the change.
    """

    step: int
    actor: int
    run_id: str
    job_id: str | None
    max_attempts: int
    before: RunColumns
    after: RunColumns


@dataclass(frozen=True, slots=True)
class JobColumns:
    """A job's row before or after a change; all ``None`` where there is no row."""

    next_fire_at: datetime | None
    last_nominal: datetime | None
    trigger: str | None
    options: str | None
    state: str | None
    fired_count: int | None
    updated_at: datetime | None


@dataclass(frozen=True, slots=True)
class JobChange:
    """One committed change of a job's row.

    Attributes:
        step: the world's step counter at that time.
        actor: the number of the process that made the change.
        kind: ``insert``, ``update`` or ``delete``.
        uid: the incarnation of the job: a job that is removed and added again has another one.
    """

    step: int
    actor: int
    kind: str
    job_id: str
    uid: str
    before: JobColumns
    after: JobColumns


def install(connection: sqlite3.Connection) -> None:
    """Create the triggers and their tables."""
    connection.executescript(_TABLES + "".join(_run_triggers()) + "".join(_job_triggers()))


def run_changes(conn: Connection) -> list[RunChange]:
    """Return all changes of runs in the order of their commits."""
    width = len(_RUN)
    rows = conn.execute(text("select * from sim_run_change order by seq")).all()
    return [
        RunChange(
            row[1], row[2], row[3], row[4], row[5],
            RunColumns(*row[6 : 6 + width]), RunColumns(*row[6 + width :]),
        )
        for row in rows
    ]  # fmt: skip


def orphaned_children(conn: Connection) -> list[tuple[str, str]]:
    """Return each job that was deleted while another one ran after it, and that other one."""
    return [(row[0], row[1]) for row in conn.execute(text("select * from sim_orphan"))]


def job_changes(conn: Connection) -> list[JobChange]:
    """Return all changes of jobs in the order of their commits."""
    width = len(_JOB)
    rows = conn.execute(text("select * from sim_job_change order by seq")).all()
    return [
        JobChange(
            row[1], row[2], row[3], row[4], row[5],
            _job_columns(row[6 : 6 + width]), _job_columns(row[6 + width :]),
        )
        for row in rows
    ]  # fmt: skip


def _job_columns(values: Sequence[Any]) -> JobColumns:
    next_fire_at, last_nominal, trigger, options, state, fired_count, updated_at = values
    return JobColumns(
        _instant(next_fire_at), _instant(last_nominal), trigger, options, state, fired_count,
        _instant(updated_at),
    )  # fmt: skip


def _instant(stored: str | None) -> datetime | None:
    return None if stored is None else datetime.fromisoformat(stored)


def _columns(names: tuple[str, ...], side: str) -> str:
    return ", ".join(f"{side}.{name}" if side else "null" for name in names)


def _run_triggers() -> list[str]:
    changed = " or ".join(f"old.{name} is not new.{name}" for name in _RUN)
    head = "null, sim_step(), sim_actor(), new.id, new.job_id, new.max_attempts"
    return [
        f"create trigger sim_run_insert after insert on duly_run begin "
        f"insert into sim_run_change values "
        f"({head}, {_columns(_RUN, '')}, {_columns(_RUN, 'new')}); end;\n",
        f"create trigger sim_run_update after update on duly_run when {changed} begin "
        f"insert into sim_run_change values "
        f"({head}, {_columns(_RUN, 'old')}, {_columns(_RUN, 'new')}); end;\n",
    ]


def _job_triggers() -> list[str]:
    statements = []
    for kind, named, sides in (
        ("insert", "new", ("", "new")), ("update", "new", ("old", "new")),
        ("delete", "old", ("old", "")),
    ):  # fmt: skip
        head = f"null, sim_step(), sim_actor(), '{kind}', {named}.id, {named}.uid"
        both = ", ".join(_columns(_JOB, side) for side in sides)
        statements.append(
            f"create trigger sim_job_{kind} after {kind} on duly_job begin "
            f"insert into sim_job_change values ({head}, {both}); end;\n"
        )
    statements.append(
        "create trigger sim_job_orphan after delete on duly_job begin insert into sim_orphan "
        "select parent_id, child_id from duly_dependency where parent_id = old.id; end;\n"
    )
    return statements


def _both_sides(names: tuple[str, ...]) -> str:
    return ", ".join(f"{side}_{name}" for side in ("old", "new") for name in names)


_TABLES = f"""
create table sim_run_change (seq integer primary key, step, actor, run_id, job_id, max_attempts,
 {_both_sides(_RUN)});
create table sim_job_change (seq integer primary key, step, actor, kind, job_id, uid,
 {_both_sides(_JOB)});
create table sim_orphan (parent_id, child_id);
create table sim_effect (key text primary key, run_id text not null);
create table sim_charge (run_id text not null, n integer not null);
"""

"""What really happened: triggers in the simulated database write down every committed move.

The engine does not know of them, and a rolled back transaction takes its lines back, so they are
an independent record of what the engine's rows went through, and by whom.
"""

# ruff: noqa: S608 - its statements are made of the names below
from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

_RUN = (
    "state", "token", "claim_id", "worker_id", "attempt", "crashes", "waits_for_slot", "occupied",
    "due_at", "result",
)  # fmt: skip
_JOB = ("next_fire_at", "last_nominal", "trigger", "options", "state", "fired_count", "updated_at")


@dataclass(frozen=True, slots=True)
class Side:
    """A run's row on one side of a move; all ``None`` before it existed."""

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


@dataclass(frozen=True, slots=True)
class Move:
    """One committed change of a run's row.

    Attributes:
        step: the world's counter at that time.
        actor: the number of the process that made it.
    """

    step: int
    actor: int
    run_id: str
    job_id: str | None
    max_attempts: int
    before: Side
    after: Side


@dataclass(frozen=True, slots=True)
class Cursor:
    """A job's row on one side of a change."""

    next_fire_at: datetime | None
    last_nominal: datetime | None
    trigger: str | None
    options: str | None
    state: str | None
    fired_count: int | None
    updated_at: datetime | None


@dataclass(frozen=True, slots=True)
class JobChange:
    """One committed change of a job's row; ``kind`` is ``insert``, ``update`` or ``delete``."""

    step: int
    actor: int
    kind: str
    job_id: str
    uid: str
    before: Cursor
    after: Cursor


def install(connection: sqlite3.Connection) -> None:
    """Create the triggers and their tables."""
    connection.executescript(_TABLES + "".join(_run_triggers()) + "".join(_job_triggers()))


def moves(conn: Connection) -> list[Move]:
    """All moves of runs, in the order of their commits."""
    width = len(_RUN)
    rows = conn.execute(text("select * from sim_move order by seq")).all()
    return [
        Move(row[1], row[2], row[3], row[4], row[5], Side(*row[6 : 6 + width]),
             Side(*row[6 + width :]))
        for row in rows
    ]  # fmt: skip


def job_changes(conn: Connection) -> list[JobChange]:
    """All changes of jobs, in the order of their commits."""
    width = len(_JOB)
    rows = conn.execute(text("select * from sim_job order by seq")).all()
    return [
        JobChange(row[1], row[2], row[3], row[4], row[5], _cursor(row[6 : 6 + width]),
                  _cursor(row[6 + width :]))
        for row in rows
    ]  # fmt: skip


def _cursor(values: Sequence[Any]) -> Cursor:
    following, last, trigger, options, state, fired, updated = values
    return Cursor(
        instant(following), instant(last), trigger, options, state, fired, instant(updated)
    )


def instant(stored: str | None) -> datetime | None:
    """An instant as SQLite stores it."""
    return None if stored is None else datetime.fromisoformat(stored)


def _columns(names: tuple[str, ...], side: str) -> str:
    return ", ".join(f"{side}.{name}" if side else "null" for name in names)


def _run_triggers() -> list[str]:
    changed = " or ".join(f"old.{name} is not new.{name}" for name in _RUN)
    head = "null, sim_step(), sim_actor(), new.id, new.job_id, new.max_attempts"
    return [
        f"create trigger sim_run_in after insert on duly_run begin insert into sim_move values "
        f"({head}, {_columns(_RUN, '')}, {_columns(_RUN, 'new')}); end;\n",
        f"create trigger sim_run_up after update on duly_run when {changed} begin "
        f"insert into sim_move values "
        f"({head}, {_columns(_RUN, 'old')}, {_columns(_RUN, 'new')}); end;\n",
    ]


def _job_triggers() -> list[str]:
    made = []
    for kind, named, sides in (
        ("insert", "new", ("", "new")), ("update", "new", ("old", "new")),
        ("delete", "old", ("old", "")),
    ):  # fmt: skip
        head = f"null, sim_step(), sim_actor(), '{kind}', {named}.id, {named}.uid"
        both = ", ".join(_columns(_JOB, side) for side in sides)
        made.append(
            f"create trigger sim_job_{kind} after {kind} on duly_job begin insert into sim_job "
            f"values ({head}, {both}); end;\n"
        )
    return made


def _declared(names: tuple[str, ...]) -> str:
    return ", ".join(f"{side}_{name}" for side in ("old", "new") for name in names)


_TABLES = f"""
create table sim_move (seq integer primary key, step, actor, run_id, job_id, max_attempts,
 {_declared(_RUN)});
create table sim_job (seq integer primary key, step, actor, kind, job_id, uid, {_declared(_JOB)});
create table sim_effect (key text primary key, run_id text not null);
create table sim_charge (run_id text not null, n integer not null);
"""

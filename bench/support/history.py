"""Fills a database with a long history, row by row: 100,000 jobs and 5,000,000 runs by default.

The engine would take hours to write so many, so a few jobs are added through Duly and their rows
are copied; runs are written as the engine writes them. Indexes are created after the rows, which is
faster.
"""

from __future__ import annotations

import random
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, NamedTuple, Protocol

import psycopg
from sqlalchemy import make_url

from duly import Retry, Scheduler, Watch, cron, dates, every
from duly.model.identity import new_id, run_ids

DAYS = 30
HOT = 50
"""The number of jobs that have a tenth of all runs, some ten thousand each."""

CHUNK = 20_000
OWNERS, TASKS, WORKERS = 200, 120, 40
QUEUES = (
    "default",
    "mail",
    "imports",
    "reports",
    "payments",
    "heavy",
    "gpu",
    "sync",
    "web",
    "bulk",
)
LOGGED = 100_000
"""The number of the newest runs whose log lines are stored."""

ERRORS = ("TimeoutError", "CardDeclined", "IntegrityError", "FeedError", "KeyError", "OSError")
TRACEBACK = "Traceback (most recent call last):\n" + "".join(
    f'  File "/srv/shop/imports/step_{n}.py", line {n * 17}, in step_{n}\n    read(source, {n})\n'
    for n in range(14)
)
WIDTHS = ((60, 7200), (900, 2 * 86_400), (7200, 14 * 86_400))
"""The periods of each window in seconds, and for how long they are kept."""


class Size(NamedTuple):
    """How much is stored."""

    jobs: int = 100_000
    runs: int = 5_000_000


class Writer(Protocol):
    """Inserts rows as fast as a database can."""

    def write(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Insert rows."""

    def query(self, statement: str) -> list[Any]:
        """Return the rows of a query, or of nothing."""

    def columns(self, table: str) -> list[str]:
        """Return the names of a table's columns; none if there is no such table."""

    def drop_indexes(self, table: str) -> list[str]:
        """Drop the indexes of a table but its key; return the statements that create them."""


def fill(url: str, size: Size) -> None:
    """Fill an empty database.

    Args:
        url: its URL.
        size: how much is stored.
    """
    _prepare(url)
    now = datetime.now(UTC)
    with _writer(url) as writer:
        jobs = _write_jobs(writer, size.jobs, now)
        workers = [new_id() for _ in range(WORKERS)]
        _write_workers(writer, workers, now)
        indexes = writer.drop_indexes("duly_run")
        _Runs(jobs, workers, size.runs, now).write(writer)
        for statement in indexes:
            writer.query(statement)
        if not url.startswith("sqlite"):  # where nothing analyses a user's file
            writer.query("analyze")


def _prepare(url: str) -> None:
    """Store what there are few of, and the jobs that are copied."""
    scheduler = Scheduler(url, name="shop", timezone="Europe/Madrid")
    task = scheduler.task(name="task-0")(lambda: None)
    scheduler.prepare()
    anchor = datetime(2026, 1, 1, tzinfo=UTC)
    triggers = (
        every(hours=1, anchor=anchor), cron("15 * * * *", tz="Europe/Madrid"),
        cron("0 9 * * mon-fri", tz="America/New_York"),
    )  # fmt: skip
    for number in range(100):
        scheduler.add(
            task, triggers[number % 3], id=f"sample-{number}", tags=["sample"], owner="nobody",
            retry=Retry(attempts=3), paused="migration" if number % 50 == 7 else False,
            watch=Watch(failing_after=5) if number % 20 == 3 else None,
        )  # fmt: skip
    for name in QUEUES[4:]:
        scheduler.set_queue(name, max_running=20, rate=600)
    scheduler.pause_queue("bulk", reason="after the migration")
    scheduler.set_calendar("holidays", dates("12-25", "01-01"))
    for number in range(30):
        scheduler.create_key(f"key-{number}", role="viewer")
    scheduler.add_notice_rule("failures", on=["run.failed"], to=["ops@example.com"])
    scheduler.stop()


def _write_jobs(writer: Writer, count: int, now: datetime) -> list[dict[str, Any]]:
    """Copy the sample jobs, and return the rows."""
    columns = writer.columns("duly_job")
    samples = [
        dict(zip(columns, row, strict=True)) for row in writer.query("select * from duly_job")
    ]
    rng = random.Random(1)
    rows = []
    for number in range(count):
        row = dict(samples[number % len(samples)])
        due = now + timedelta(hours=6, seconds=rng.uniform(0, 86_400))
        row.update(
            id=f"job-{number:06}", uid=new_id(), task=f"task-{number % TASKS}",
            queue=QUEUES[number % 7 if number % 3 else 0], owner=f"customer-{number % OWNERS:03}",
            next_fire_at=due.isoformat(timespec="microseconds"),
            fired_count=max(0, int(rng.gauss(600, 200))),
            consecutive_failures=rng.choice((1, 2, 8, 40)) if number % 100 == 1 else 0,
        )  # fmt: skip
        if number % 200 == 9:
            row.update(state="unresolved", unresolved_reason="task is not registered")
        elif number % 70 == 11:
            row.update(state="finished", next_fire_at=None)
        rows.append(row)
    writer.write("duly_job", columns, ([row[name] for name in columns] for row in rows))
    tags = (
        (tag, row["id"])
        for number, row in enumerate(rows)
        for tag in (row["owner"], f"team-{number % 12}", f"region-{number % 9}")
    )
    writer.write("duly_job_tag", ("tag", "job_id"), tags)
    names = ("at", "kind", "job_id", "actor")
    events = (
        (_before(now, DAYS * 86_400 - number), "job.added", row["id"], "ana")
        for number, row in enumerate(rows)
    )
    writer.write("duly_event", names, events)
    return rows


def _write_workers(writer: Writer, workers: Sequence[str], now: datetime) -> None:
    columns = (
        "id", "app", "host", "pid", "process", "version", "tzdb", "queues", "started_at",
        "beat_at", "lease_until", "draining", "drain_requested", "fires",
    )  # fmt: skip
    lease = (now + timedelta(days=1)).isoformat(timespec="microseconds")
    rows = (
        (
            worker, "shop", f"web-{number:02}.internal", 400 + number, f"{number}", "0.1.0",
            "2025b", '{"default":10,"mail":4}', _before(now, 86_400), _before(now, 3), lease,
            False, False, True,
        )
        for number, worker in enumerate(workers)
    )  # fmt: skip
    writer.write("duly_worker", columns, rows)


class _Runs:
    """The runs of all jobs over 30 days, the last of them not finished."""

    COLUMNS = (
        "id", "job_id", "job_uid", "task", "args", "scheduled_for", "due_at", "cause", "owner",
        "queue", "priority", "state", "attempt", "max_attempts", "crashes", "token", "claim_id",
        "worker_id", "occupied", "started_at", "finished_at", "keep_until", "error_type",
        "error_message", "waits_for_slot", "cancel_requested", "feeds", "quarantined",
    )  # fmt: skip

    def __init__(
        self, jobs: Sequence[dict[str, Any]], workers: Sequence[str], count: int, now: datetime
    ) -> None:
        self._jobs, self._workers, self._count, self._now = jobs, workers, count, now
        self._rng = random.Random(2)
        self._ids = run_ids(self)
        self._failed: list[tuple[Any, ...]] = []
        self._counts: Counter[tuple[str, str, str, int]] = Counter()

    def write(self, writer: Writer) -> None:
        """Write the runs, and what belongs to them."""
        writer.write("duly_run", self.COLUMNS, self._rows())
        self._write_failures(writer)
        self._write_logs(writer)
        self._write_counts(writer)

    def _rows(self) -> Iterator[tuple[Any, ...]]:
        gap = DAYS * 86_400 / self._count
        start = self._now - timedelta(days=DAYS)
        for number in range(self._count):
            hot = number % 10 == 0
            job = self._jobs[number * 7919 % (HOT if hot else len(self._jobs))]
            yield self._row(job, start + timedelta(seconds=number * gap), self._count - number)

    def _row(self, job: dict[str, Any], due: datetime, left: int) -> tuple[Any, ...]:
        state = self._state(left)
        began = due + timedelta(seconds=self._rng.expovariate(2))
        ended = began + timedelta(seconds=self._rng.expovariate(0.2))
        done = state not in ("running", "ready", "scheduled")
        started = state in ("running", "succeeded", "failed")
        worker = self._workers[left % WORKERS] if started else None
        error, run_id = None, self._ids.make(due)
        if state == "failed":
            error = ERRORS[left % len(ERRORS)]
            self._failed.append((run_id, job["id"], worker, _text(began), _text(ended), error))
        if done:
            self._counts[job["task"], job["queue"], state, int(ended.timestamp()) // 60 * 60] += 1
        keep = ended + timedelta(days=90 if state == "failed" else 30)
        return (
            run_id, job["id"], job["uid"], job["task"], job["args"], _text(due), _text(due),
            "schedule", job["owner"], job["queue"], 0, state, int(started), 3, 0, int(started),
            run_id if started else None, worker, state == "running",
            _text(began) if started else None, _text(ended) if done else None,
            _text(keep) if done else None, error,
            None if error is None else f"import {left % 40} failed after 30 s", False, False,
            False, False,
        )  # fmt: skip

    def _state(self, left: int) -> str:
        """Return the state of a run, by the number of runs from it to the newest."""
        if left <= 600:
            return "ready" if left <= 400 else "running"
        luck = self._rng.random()
        if luck < 0.98:
            return "succeeded"
        return "failed" if luck < 0.99 else ("missed", "skipped", "cancelled")[left % 3]

    def _write_failures(self, writer: Writer) -> None:
        columns = (
            "run_id", "attempt", "worker_id", "started_at", "finished_at", "error_type",
            "error_message", "traceback",
        )  # fmt: skip
        attempts = (
            (run_id, attempt, worker, began, ended, error, "failed after 30 s", TRACEBACK)
            for run_id, _job, worker, began, ended, error in self._failed
            for attempt in (1, 2, 3)
        )
        writer.write("duly_attempt", columns, attempts)
        events = (
            (ended, "run.failed", job, run_id, f'{{"error":"{error}"}}')
            for run_id, job, _worker, _began, ended, error in self._failed
        )
        writer.write("duly_event", ("at", "kind", "job_id", "run_id", "detail"), events)

    def _write_logs(self, writer: Writer) -> None:
        newest = writer.query(f"select id, due_at from duly_run order by id desc limit {LOGGED}")
        rows = (
            (run_id, due, "INFO", "duly.run", f"read page {number} of 4")
            for run_id, due in reversed(newest)
            for number in range(1, 5)
        )
        writer.write("duly_run_log", ("run_id", "at", "level", "logger", "message"), rows)

    def _write_counts(self, writer: Writer) -> None:
        totals: Counter[tuple[str, str, str]] = Counter()
        periods: Counter[tuple[int, int, str, int]] = Counter()
        present = self._now.timestamp()
        for (task, queue, state, minute), count in self._counts.items():
            totals[task, queue, state] += count
            for width, kept in WIDTHS:
                if minute > present - kept:
                    periods[width, minute - minute % width, state, minute // 60 % 5] += count
        periodic = bool(writer.columns("duly_outcome_period"))
        columns = ["task", "queue", "outcome", "count", *(["lateness"] if periodic else [])]
        rest = (0,) if periodic else ()
        rows = ((*key, count, *rest) for key, count in totals.items())
        writer.write("duly_outcome_count", columns, rows)
        if periodic:
            names = ("width", "start", "outcome", "lateness", "count")
            writer.write(
                "duly_outcome_period", names, ((*key, count) for key, count in periods.items())
            )


def _before(now: datetime, seconds: float) -> str:
    return _text(now - timedelta(seconds=seconds))


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds")


@contextmanager
def _writer(url: str) -> Iterator[Writer]:
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        connection = sqlite3.connect(parsed.database or "")
        try:
            yield _SQLiteWriter(connection)
        finally:
            connection.close()
        return
    dsn = parsed.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(dsn, autocommit=True) as session:
        yield _PostgreSQLWriter(session)


class _SQLiteWriter:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        connection.execute("pragma synchronous = off")
        connection.execute("pragma cache_size = -500000")

    def write(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        names, marks = ", ".join(columns), ", ".join("?" * len(columns))
        names = names.replace("trigger", '"trigger"')
        waiting = iter(rows)
        while chunk := list(islice(waiting, CHUNK)):
            with self._connection:
                self._connection.executemany(
                    f"insert into {table} ({names}) values ({marks})", chunk
                )

    def query(self, statement: str) -> list[Any]:
        with self._connection:
            return self._connection.execute(statement).fetchall()

    def columns(self, table: str) -> list[str]:
        return [row[1] for row in self.query(f"pragma table_info({table})")]

    def drop_indexes(self, table: str) -> list[str]:
        found = self.query(
            "select name, sql from sqlite_master where type = 'index' and sql is not null"
            f" and tbl_name = '{table}'"
        )
        for name, _statement in found:
            self.query(f"drop index {name}")
        return [statement for _name, statement in found]


class _PostgreSQLWriter:
    def __init__(self, session: psycopg.Connection[Any]) -> None:
        self._session = session
        session.execute("set maintenance_work_mem = '512MB'")

    def write(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        names = ", ".join(f'"{name}"' for name in columns)
        with (
            self._session.cursor() as cursor,
            cursor.copy(f"copy {table} ({names}) from stdin") as copy,
        ):
            for row in rows:
                copy.write_row(row)

    def query(self, statement: str) -> list[Any]:
        cursor = self._session.execute(statement)
        return cursor.fetchall() if cursor.description else []

    def columns(self, table: str) -> list[str]:
        return [
            row[0]
            for row in self.query(
                "select column_name from information_schema.columns"
                f" where table_name = '{table}' order by ordinal_position"
            )
        ]

    def drop_indexes(self, table: str) -> list[str]:
        found = self.query(
            f"select indexname, indexdef from pg_indexes where tablename = '{table}'"
            f" and indexname not in (select conname from pg_constraint)"
        )
        for name, _statement in found:
            self.query(f"drop index {name}")
        return [statement for _name, statement in found]


def is_filled(url: str) -> bool:
    """Return whether a database has been filled."""
    with _writer(url) as writer:
        return bool(writer.columns("duly_run"))

"""Statements use the indexes, so that a million finished runs do not slow down the next claim."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event, text

from duly.clock import VirtualClock
from duly.model.identity import new_id
from duly.operations.declare import has_unresolved
from duly.store import (
    attention,
    completions,
    declarations,
    examination,
    history,
    jobs,
    outcomes,
    run_counts,
    runs,
    slot_queues,
    throughput,
    totals,
    transitions,
    workers,
)
from duly.store.agenda import AgendaQuery
from duly.store.dialect import Mark
from duly.store.jobs import JobFilter
from duly.store.runs import RunFilter
from duly.store.store import Store
from duly.store.transaction import Transaction
from duly.store.transitions import Executed
from tests.store.conftest import add_job, add_run, claim

if TYPE_CHECKING:
    from tests.support.mariadb import MariaDatabases
    from tests.support.postgresql import Databases

FAILED = RunFilter(states=("failed",))
_QUEUE = slot_queues.SlotQueue("j", new_id(), exists=True, options=None, executing=0)


@pytest.fixture
def prepared_postgresql_url(postgres_databases: Databases) -> Iterator[str]:
    """The URL of a new database: what a used one has held before changes what plans cost."""
    from tests.support.postgresql import TEMPLATE

    name = postgres_databases.create(template=TEMPLATE)
    yield postgres_databases.server.url(name)
    postgres_databases.drop(name)


@pytest.fixture
def prepared_mariadb_url(maria_databases: MariaDatabases) -> Iterator[str]:
    """The URL of a new database, as above."""
    from tests.support.mariadb import DULY

    url = maria_databases.create(DULY.statements())
    yield url
    maria_databases.drop(url)


@pytest.fixture
def full(store: Store, clock: VirtualClock) -> Store:
    """A store with a long history, a few live rows, and fresh statistics.

    SQLite has none, because nothing analyses a user's file. With statistics it would look for a
    job's unfinished runs in the job's history wherever histories are short on average.
    """
    with store.write() as tx:
        add_job(tx, "j")
        for number in range(300):
            add_job(tx, f"idle {number:03}", state="finished", next_fire_at=None)
        keep_until = tx.now + timedelta(days=30)
        for number in range(600):
            state = "failed" if number % 50 == 0 else "succeeded"
            add_run(tx, job_id=f"idle {number % 300:03}", state=state, keep_until=keep_until)
        for number in range(60):
            add_run(tx, job_id="j", state="succeeded", keep_until=keep_until)
            add_run(tx, state="running", worker_id=new_id(), priority=number)
            run_id = add_run(tx, unique_key="k" if number == 0 else None, priority=number)
            add_run(tx, state="scheduled", due_at=tx.now + timedelta(days=1))
            line = {"run_id": run_id, "at": tx.now, "level": "INFO", "logger": "x", "message": "x"}
            completions.add_log(tx.conn, [line] * 10)
    analyze = {
        "mysql": "analyze table duly_job, duly_run, duly_run_log",
        "postgresql": "analyze",
    }.get(store.dialect.name)
    if analyze is not None:
        with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
            conn.execute(text(analyze))
    return store


def plans(store: Store, act: Callable[[Transaction], Any]) -> str:
    """Return the database's plans for the statements of ``act``."""
    caught: list[tuple[str, Any]] = []

    def catch(_conn: Any, _cursor: Any, statement: str, parameters: Any, *_rest: Any) -> None:
        caught.append((statement, parameters))

    event.listen(store.engine, "before_cursor_execute", catch)
    with store.write() as tx:
        act(tx)
    event.remove(store.engine, "before_cursor_execute", catch)
    lines: list[str] = []
    with store.engine.connect() as conn:
        if store.dialect.name == "postgresql":
            conn.execute(text("set local enable_seqscan = off"))
        for statement, parameters in caught:
            if statement.startswith(("BEGIN", "SET")):
                continue
            first = parameters[0] if isinstance(parameters, list) else parameters
            prefix = "EXPLAIN QUERY PLAN " if store.dialect.name == "sqlite" else "EXPLAIN "
            found = conn.exec_driver_sql(prefix + statement, first)
            if store.dialect.name == "mysql":
                lines += [
                    # Reading what an inner query has found is no scan of a table.
                    f"{'derived' if str(row.table).startswith('<') else row.type} "
                    f"INDEX {row.key} {row.Extra}"
                    for row in found
                ]
            else:
                lines += [str(row[-1]) for row in found]
    return "\n".join(lines)


def index_used(name: str, plan: str) -> bool:
    if "optimized away" in plan:  # MariaDB has read the end of an index while planning
        return True
    return re.search(rf"(INDEX|Scan using|Scan Backward using|Scan on) {name}\b", plan) is not None


@pytest.mark.parametrize(
    ("act", "indexes"),
    [
        (claim, ["duly_run_ready"]),
        (lambda tx: jobs.due(tx, 10), ["duly_job_due"]),
        (lambda tx: runs.occupancy(tx.conn, {"j": new_id()}), ["duly_run_live"]),
        (lambda tx: runs.promote_due(tx, 10), ["duly_run_scheduled"]),
        (lambda tx: runs.expired(tx, 10), ["duly_run_expiring"]),
        (lambda tx: slot_queues.find(tx.conn), ["duly_run_waiting"]),
        (lambda tx: slot_queues.lock_next(tx, {_QUEUE: 1}), ["duly_run_waiting"]),
        (lambda tx: runs.holders_of_keys(tx.conn, ["k"]), ["duly_run_unique_key"]),
        (lambda tx: history.prune(tx, 10), ["duly_run_keep"]),
        (lambda tx: workers.cancel_requests(tx.conn, new_id()), ["duly_run_running"]),
        (
            lambda tx: AgendaQuery(["default"]).read(tx.conn, tx.now),
            ["duly_job_due", "duly_run_scheduled", "duly_run_expiring", "duly_run_waiting",
             "duly_run_ready"],
        ),
        (lambda tx: runs.newest_of_jobs(tx.conn, ["j"]), ["duly_run_of_job"]),
        (
            lambda tx: history.log_lines(tx.conn, runs.holders_of_keys(tx.conn, ["k"])["k"]),
            ["duly_run_log_run"],
        ),
        (lambda tx: declarations.orphans(tx.conn, "app"), ["duly_job_declared"]),
        (lambda tx: has_unresolved(tx.conn), ["duly_job_unresolved"]),
        (lambda tx: history.prune_jobs(tx, 10), ["duly_job_ended"]),
        (
            lambda tx: transitions.succeed_all(
                tx, dict.fromkeys([new_id(), new_id()], Executed("noop", "d", tx.now, tx.now)),
                claim_id=new_id(), token=1, keep_until=tx.now,
            ),
            ["duly_job_failing"],
        ),
        (
            lambda tx: runs.last_of_jobs(tx.conn, ["j", "idle 001", "idle 002"], 20, None),
            ["duly_run_of_job"],
        ),
        (lambda tx: runs.count_some(tx.conn, FAILED, 1000), ["duly_run_notable"]),
        (
            lambda tx: runs.search_end(tx.conn, RunFilter(job="j", task="x"), look=9),
            ["duly_run_of_job"],
        ),
        (
            lambda tx: runs.search_end(tx.conn, replace(FAILED, text="x"), look=9),
            ["duly_run_notable"],
        ),
        (
            lambda tx: jobs.count_some(tx.conn, JobFilter(failing=True), 1000),
            ["duly_job_failing"],
        ),
        (lambda tx: totals.queue_depths(tx.conn, ["default", "mail"]), ["duly_run_ready"]),
        (lambda tx: examination.ready_queues(tx.conn), ["duly_run_ready"]),
        (
            lambda tx: run_counts.of_periods(
                tx.conn, "j", [tx.now - timedelta(days=1), tx.now, tx.now + timedelta(days=1)], 200
            ),
            ["duly_run_of_job"],
        ),
        (lambda tx: run_counts.unfinished(tx.conn, "j", new_id()), ["duly_run_live"]),
        (lambda tx: attention.waiting(tx.conn, "default", tx.now, 9), ["duly_run_ready"]),
        (lambda tx: attention.blocked(tx.conn, tx.now, 9), []),
        (lambda tx: attention.missed(tx.conn, 9), ["duly_run_notable", "duly_run_of_job"]),
        (lambda tx: attention.alarmed(tx.conn, 9), ["duly_job_alarmed"]),
        (lambda tx: attention.paused_since(tx.conn, tx.now, 9), ["duly_job_paused"]),
        (
            lambda tx: jobs.page(tx.conn, jobs.JobFilter(state="unresolved"), limit=9),
            ["duly_job_unresolved"],
        ),
    ],
    ids=[
        "claim", "due jobs", "occupancy", "promotion", "expiry", "waiting", "next waiting",
        "unique key",
        "pruning", "cancel requests", "agenda", "newest run", "log",
        "orphans", "unresolved jobs", "pruning of jobs", "success", "last outcomes",
        "count of failed runs", "search of a job's runs", "search of failed runs",
        "count of failing jobs", "depths of queues", "ready queues",
        "counts of days", "unfinished runs",
        "waiting jobs", "blocked jobs", "missed jobs", "alarmed jobs", "paused jobs",
        "page of unresolved jobs",
    ],
)  # fmt: skip
def test_the_hot_statements_use_their_indexes(
    full: Store, act: Callable[[Transaction], Any], indexes: list[str]
) -> None:
    """The database's plan names each index, and no table is scanned."""
    plan = plans(full, act)
    for name in indexes:
        assert index_used(name, plan), plan
    assert "SCAN duly_run\n" not in plan + "\n"
    assert "Seq Scan on duly_run " not in plan
    if full.dialect.name == "mysql":
        assert not re.search(r"^(ALL|index) INDEX .*$", plan, re.MULTILINE), plan


def _read_throughput(tx: Transaction, periods: throughput.Periods) -> None:
    throughput.read(tx.conn, periods, 0)


def test_the_numbers_of_monitoring_are_read_without_a_scan_of_runs(full: Store) -> None:
    """The totals of outcomes and the throughput of each window come from tables of their own."""
    totals = plans(full, lambda tx: outcomes.totals(tx.conn))
    assert "duly_outcome_count" in totals or full.dialect.name == "mysql", totals
    assert "duly_run" not in totals, totals
    for periods in throughput.WINDOWS.values():
        plan = plans(full, partial(_read_throughput, periods=periods))
        assert "duly_run" not in plan, plan
        primary = {
            "sqlite": r"SEARCH duly_outcome_period USING .*\(width=\? AND start>\?\)",
            "postgresql": r"(on|using) duly_outcome_period_pkey|Scan on duly_outcome_period_pkey",
            "mysql": "INDEX PRIMARY",
        }[full.dialect.name]
        assert re.search(primary, plan), plan


@pytest.mark.parametrize("state", ["running", "ready", "scheduled"])
def test_a_page_of_unfinished_runs_does_not_read_the_history(full: Store, state: str) -> None:
    """SQLite, which has no statistics, would read all runs in the order of their ids."""
    if full.dialect.name == "sqlite":
        wanted = runs.RunFilter(states=(state,))
        plan = plans(full, lambda tx: runs.page(tx.conn, wanted, limit=500))
        assert "SCAN duly_run" not in plan, plan


def test_a_search_reads_a_bounded_part_of_the_history(full: Store) -> None:
    """The ids at both ends lead to a range of the primary key; what an index lacks is compared."""
    middle = new_id()

    def search(tx: Transaction) -> None:
        end = runs.search_end(tx.conn, RunFilter(text="nothing"), look=50)
        assert end is not None
        runs.page(tx.conn, RunFilter(text="nothing"), after=middle, until=end)

    plan = plans(full, search)
    if full.dialect.name == "sqlite":
        assert "sqlite_autoindex_duly_run_1 (id>? AND id<?)" in plan, plan
    elif full.dialect.name == "postgresql":
        assert re.search(r"Index Cond: \(\(id < .* AND \(id >= ", plan), plan
    else:
        assert re.search(r"^range INDEX PRIMARY", plan, re.MULTILINE), plan


def test_runs_that_wait_are_not_counted_one_by_one(full: Store) -> None:
    """The index of unfinished runs leads to those of a job that have a slot."""
    plan = plans(full, lambda tx: slot_queues.lock(tx, [_QUEUE]))
    assert index_used("duly_run_live", plan), plan
    if full.dialect.name == "sqlite":
        assert "duly_run_live (job_id=? AND waits_for_slot=?)" in plan
    elif full.dialect.name == "postgresql":
        assert re.search(r"Index Cond: .*waits_for_slot = false", plan), plan


def test_a_claim_does_not_sort(full: Store) -> None:
    """The index has the claim order, so ten thousand ready rows are not sorted to take three."""
    plan = plans(full, claim)
    assert "TEMP B-TREE" not in plan
    assert "Sort" not in plan
    assert "filesort" not in plan  # on MariaDB it would also lock every row that it sorts


def test_a_mark_is_a_position_in_the_index(full: Store) -> None:
    """PostgreSQL does not read the entries before it, as it would with a filter."""
    if not full.dialect.keeps_dead:
        return
    plan = plans(full, lambda tx: claim(tx, marks=[Mark(3, tx.now, new_id())]))
    (condition,) = re.findall(r"Index Cond: \((.*concurrency_key IS NULL.*)\)", plan)
    assert "ROW(duly_run_1.priority, duly_run_1.due_at, duly_run_1.id) >= ROW(" in condition or (
        "ROW(priority, due_at, id) >= ROW(" in condition
    ), plan
    assert "Sort" not in plan


def test_due_jobs_are_not_all_sorted(full: Store) -> None:
    """Rows are read in the order of the index; at most equal times are sorted by id."""
    plan = plans(full, lambda tx: jobs.due(tx, 10))
    if full.dialect.name == "sqlite":
        assert "USE TEMP B-TREE FOR ORDER BY" not in plan
    elif full.dialect.name == "mysql":
        assert "filesort" not in plan
    else:
        assert "Incremental Sort" in plan or "Sort" not in plan


def test_an_idle_read_of_the_agenda_is_one_statement(store: Store) -> None:
    """A tick without work executes one SELECT and writes nothing."""
    seen: list[str] = []

    def record(_conn: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        seen.append(statement)

    with store.read() as conn:
        event.listen(store.engine, "before_cursor_execute", record)
        agenda = AgendaQuery(["default", "mail"]).read(conn, store.time.now())
        event.remove(store.engine, "before_cursor_execute", record)
    assert [statement for statement in seen if not statement.startswith("BEGIN")] != []
    assert len([statement for statement in seen if statement.startswith("SELECT")]) == 1
    assert (agenda.next_fire, agenda.next_due, agenda.waiting, agenda.stopped, agenda.ready) == (
        None, None, False, False, (),
    )  # fmt: skip


@pytest.fixture
def every_statement(store: Store) -> Iterator[list[str]]:
    seen: list[str] = []

    def record(_conn: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        seen.append(statement)

    event.listen(store.engine, "before_cursor_execute", record)
    yield seen
    event.remove(store.engine, "before_cursor_execute", record)


def test_the_claim_has_the_shape_that_was_measured(
    store: Store, every_statement: list[str]
) -> None:
    """On PostgreSQL, one statement locks rows in a materialized CTE and skips locked rows.

    MariaDB cannot return updated rows, so they are locked first and read again afterwards.
    """
    with store.write() as tx:
        add_run(tx)
        every_statement.clear()
        assert len(claim(tx)) == 1
    if store.dialect.name == "mysql":
        locking, changing, reading = every_statement[:3]
        assert " ".join(locking.split()).endswith("FOR UPDATE SKIP LOCKED")
        assert changing.startswith("UPDATE duly_run")
        assert reading.startswith("SELECT")
        return
    (statement,) = [sql for sql in every_statement if "UPDATE duly_run" in sql]
    words = " ".join(statement.split())
    if store.dialect.name == "postgresql":
        assert words.startswith("WITH ready AS MATERIALIZED (SELECT")
        assert "FOR UPDATE SKIP LOCKED)" in words
    assert "LIMIT" in words
    assert "RETURNING" in words

"""Operations on runs: start one manually, find, cancel, retry and discard them."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Literal, Unpack

from sqlalchemy import Connection

from duly.decisions.existing_runs import (
    apply_revival,
    cancel_replaced,
    cancel_unstarted,
    revival,
)
from duly.decisions.new_runs import admit_new
from duly.decisions.policy import admit
from duly.errors import ConfigurationError, OverlapError, RunNotFound, StateError
from duly.model import transition
from duly.model.actor import Actor
from duly.model.checks import instant
from duly.model.identity import is_id
from duly.model.page import Page
from duly.model.policy import JobOptions
from duly.model.run import COUNTED, AttemptRecord, LogLine, RunRecord, check_move
from duly.model.transition import RunSnapshot
from duly.operations.core import Core
from duly.operations.filters import RunFilters, run_filter
from duly.operations.inputs import page_size, row_number, search_size
from duly.operations.jobs.change import lock_job, refuse_unknown_options
from duly.registry import Task
from duly.store import history, jobs, rows, transitions
from duly.store import runs as run_rows
from duly.store.host.session_types import HostSession
from duly.store.rows import JobRow, RunRow, definition_of
from duly.store.transaction import Transaction
from duly.store.transitions import Change, Origin, new_run
from duly.tracing import sending

POLL_S = 0.05


def run_now(
    core: Core,
    job_id: str,
    *,
    args: Mapping[str, Any] | None = None,
    wait: float | None = None,
    session: HostSession | None = None,
    actor: str | Actor | None = None,
) -> RunRecord:
    """Run a job once, outside its schedule, even if it is paused.

    Args:
        job_id: the job's id.
        args: arguments that replace all of the job's; default: the job's.
        wait: the maximum number of seconds to wait for the run to finish; default: do not wait. A
            run that waits for another one in this way occupies its slot meanwhile.
        session: see `add`.
        actor: who acts, for the audit trail.

    Returns:
        The run as it is when the call returns, finished or not.

    Raises:
        JobNotFound: the job does not exist.
        OverlapError: the job's overlap policy does not allow another run now.
        StateError: the job's options cannot be read, because another version of Duly wrote them.
        UnknownTask: the job's task is not registered here.
        ArgumentsError: ``args`` do not match the task's signature.
        ConfigurationError: both ``wait`` and ``session`` are given.
    """
    if session is not None and wait is not None:
        raise ConfigurationError(
            "give either wait= or session=: a run can start only after your session has committed"
        )

    def store(tx: Transaction) -> RunRecord:
        job = lock_job(tx, job_id)
        task = core.registry.get(job.task)
        encoded = None if args is None else task.signature.encode(args)
        return _read_run(tx.conn, _run_now(tx, job, task, encoded, span.traceparent))

    with sending("run_now", job=job_id) as span:
        record = core.transact(store, session=session, actor=actor)
        span.sent([record.id], record.queue)
    return record if session is not None else _await(core, record.id, wait)


def cancel(
    core: Core, run_id: str, *, session: HostSession | None = None, actor: str | Actor | None = None
) -> RunRecord:
    """Cancel a run: at once if it has not started; otherwise its function is asked to stop.

    Args:
        run_id: the run's id.
        session: see `add`.
        actor: who acts, for the audit trail.

    Returns:
        The run as it is now.

    Raises:
        RunNotFound: the run does not exist.
        StateError: the run has finished.
    """

    def store(tx: Transaction) -> RunRecord:
        row = _lock_run(tx, run_id)
        check_move(run_id, row.state, "cancelled")
        if row.state == "running":
            run_rows.change(tx, [run_id], cancel_requested=True, reason="cancelled manually")
            tx.record("run.cancel_requested", job_id=row.job_id, run_id=run_id)
        else:
            cancel_unstarted(tx, [row], "cancelled manually")
        return _read_run(tx.conn, run_id)

    return core.transact(store, session=session, actor=actor)


def retry(
    core: Core,
    run_id: str,
    *,
    args: Mapping[str, Any] | None = None,
    session: HostSession | None = None,
    actor: str | Actor | None = None,
) -> RunRecord:
    """Start a failed, missed or skipped run again, with as many attempts as it had at first.

    Args:
        run_id: the run's id.
        args: arguments that replace all of the run's; default: the run's. The event of the retry
            keeps those that were replaced.
        session: see `add`.
        actor: who acts, for the audit trail.

    Returns:
        The run as it is now.

    Raises:
        RunNotFound: the run does not exist.
        StateError: the run has not finished, or it succeeded; or another run holds its unique key
            now, which it would take again: a key until it is done, or the key of a run that has
            never started. The message names that run.
        OverlapError: the job's overlap policy does not allow another run now.
        UnknownTask: ``args`` are given, and the run's task is not registered here.
        ArgumentsError: ``args`` do not match the task's signature.
    """

    def store(tx: Transaction) -> RunRecord:
        _retry(tx, run_id, core, args)
        return _read_run(tx.conn, run_id)

    return core.transact(store, session=session, actor=actor)


def discard(
    core: Core,
    run_id: str,
    *,
    reason: str,
    session: HostSession | None = None,
    actor: str | Actor | None = None,
) -> RunRecord:
    """Give up a failed run for good.

    Args:
        run_id: the run's id.
        reason: why, for the dashboard and the audit trail.
        session: see `add`.
        actor: who acts, for the audit trail.

    Returns:
        The run as it is now.

    Raises:
        RunNotFound: the run does not exist.
        StateError: the run has not failed.
    """

    def store(tx: Transaction) -> RunRecord:
        row = _lock_run(tx, run_id)
        if row.state != "failed":
            raise StateError(f"run {run_id} is {row.state}; only failed runs can be discarded")
        why = tx.because(reason) or ""
        transitions.apply(tx, [Change(RunSnapshot.of(row), transition.discard(why))])
        return _read_run(tx.conn, run_id)

    return core.transact(store, session=session, actor=actor)


def reschedule(
    core: Core,
    run_id: str,
    *,
    at: datetime,
    session: HostSession | None = None,
    actor: str | Actor | None = None,
) -> RunRecord:
    """Give a run that has not started another time: a delayed call, a retry, or a run that is due.

    It keeps its unique key and its attempts.

    Args:
        run_id: the run's id.
        at: the aware datetime before which it may not start; in the past: it may start at once.
            The time at which it expires, if there is one, moves with it: it may wait as long as
            before, counted from the new time.
        session: see `add`.
        actor: see `add`.

    Returns:
        The run with its new time.

    Raises:
        RunNotFound: the run does not exist.
        StateError: a worker has claimed the run, it has ended, or it waits for an earlier run of
            its job.
        NaiveDatetimeError: ``at`` has no time zone.
    """
    moment = instant("at", at)

    def store(tx: Transaction) -> RunRecord:
        row = _lock_run(tx, run_id)
        if row.state not in ("scheduled", "ready") or row.waits_for_slot:
            state = "waiting for an earlier run of its job" if row.waits_for_slot else row.state
            raise StateError(
                f"run {run_id} is {state}; only runs that wait to start can be rescheduled"
            )
        expires_at = row.expires_at and moment + (row.expires_at - row.due_at)
        detail = {"due_at": moment.isoformat()}
        if row.state == "ready" and moment > tx.now:
            later = transition.postpone(moment)
            expiry = {"expires_at": expires_at}
            transitions.apply(tx, [Change(RunSnapshot.of(row), later, expiry, detail)])
        else:
            run_rows.change(tx, [run_id], due_at=moment, expires_at=expires_at)
            tx.record("run.rescheduled", job_id=row.job_id, run_id=run_id, **detail)
        return _read_run(tx.conn, run_id)

    return core.transact(store, session=session, actor=actor)


def run(core: Core, run_id: str) -> RunRecord:
    """Return one run.

    Raises:
        RunNotFound: the run does not exist.
    """
    with core.store.read() as conn:
        return _read_run(conn, run_id)


def runs(
    core: Core,
    *,
    order: Literal["newest", "oldest"] = "newest",
    after: str | None = None,
    limit: int = 50,
    look: int | None = None,
    **filters: Unpack[RunFilters],
) -> Page[RunRecord]:
    """Return the runs that match every given filter, newest first.

    The result is a list whose attribute ``more`` tells whether there are more than ``limit``.
    No index has runs by task, queue or error: with ``look``, a search for a few of five million
    runs looks at some of them, and can be continued after ``looked``.

    Args:
        order: ``newest`` first, or ``oldest`` first, by the time of their creation.
        after: the last id of the previous page.
        limit: 1 to 1000.
        look: the number of runs to look at, of the job, the owner or the unsuccessful state that
            the filters name, if any; default: all.
        filters: ``ids``, ``job``, ``task``, ``state`` (one or several), ``cause``, ``queue``,
            ``tag``, ``owners``, ``error_type``, ``worker``, ``parent``, ``unique_key``, ``since``,
            ``until``, ``finished_since``, ``finished_until``, ``text``: see `RunFilters`.

    Raises:
        ConfigurationError: the state or the order is unknown, the limit is out of range, or
            ``after``, ``parent`` or ``worker`` is not an id.
        NaiveDatetimeError: an instant has no time zone.
        UnknownTask: ``task`` is a function that is not registered.
        UnknownOption: there is no such filter.
    """
    wanted = run_filter(core.registry, filters)
    if order not in ("newest", "oldest"):
        raise ConfigurationError(f"order={order!r} is not valid; give 'newest' or 'oldest'")
    if after is not None and not is_id(after):
        raise ConfigurationError(f"after={after!r} is not valid; it must be the id of a run")
    size, oldest_first = page_size(limit), order == "oldest"
    with core.store.read() as conn:
        end = None
        if look is not None:
            end = run_rows.search_end(
                conn, wanted, look=search_size(look), after=after, oldest_first=oldest_first
            )
        found = run_rows.page(
            conn, wanted, after=after, limit=size + 1, oldest_first=oldest_first, until=end
        )
        return Page.of([rows.run_record(row) for row in found], size, end)


def run_ids(
    core: Core, *, after: str | None = None, limit: int = 1000, **filters: Unpack[RunFilters]
) -> Page[str]:
    """Return the ids of the runs that match every given filter, oldest first.

    This is for a change of many runs in parts: call `retry_runs` with each page of ids. The result
    is a list whose attribute ``more`` tells whether there are more than ``limit``.

    Args:
        after: the last id of the previous page.
        limit: 1 to 1000.
        filters: as in `runs`.

    Raises:
        ConfigurationError: a filter, the limit or ``after`` is not valid.
        NaiveDatetimeError: an instant has no time zone.
        UnknownTask: ``task`` is a function that is not registered.
        UnknownOption: there is no such filter.
    """
    wanted = run_filter(core.registry, filters)
    if after is not None and not is_id(after):
        raise ConfigurationError(f"after={after!r} is not valid; it must be the id of a run")
    size = page_size(limit)
    with core.store.read() as conn:
        return Page.of(list(run_rows.ids_page(conn, wanted, after=after, limit=size + 1)), size)


def count_runs(core: Core, **filters: Unpack[RunFilters]) -> int:
    """Count the runs that match every given filter; counting stops at 10,000.

    Args:
        filters: as in `runs`.

    Raises:
        ConfigurationError: a filter is not valid.
        NaiveDatetimeError: an instant has no time zone.
        UnknownTask: ``task`` is a function that is not registered.
        UnknownOption: there is no such filter.
    """
    wanted = run_filter(core.registry, filters)
    with core.store.read() as conn:
        return run_rows.count_some(conn, wanted, COUNTED)


def run_log(core: Core, run_id: str, *, after: int = 0, limit: int | None = None) -> list[LogLine]:
    """Return the log lines of a run, oldest first.

    Args:
        run_id: the run's id.
        after: the id of the last line of the previous page.
        limit: 1 to 1000; ``None``: all lines (at most a thousand are kept per attempt).

    Raises:
        ConfigurationError: ``limit`` is out of range.
    """
    size = None if limit is None else page_size(limit)
    with core.store.read() as conn:
        found = history.log_lines(conn, run_id, row_number(after), size) if is_id(run_id) else []
        return [rows.log_line(row) for row in found]


def attempts(core: Core, run_id: str) -> list[AttemptRecord]:
    """Return the unsuccessful attempts of a run, oldest first."""
    with core.store.read() as conn:
        found = history.attempts(conn, run_id) if is_id(run_id) else []
        return [rows.attempt_record(row) for row in found]


def _run_now(
    tx: Transaction, job: JobRow, task: Task, args: str | None, traceparent: str | None
) -> str:
    refuse_unknown_options(job)
    options = definition_of(job).options
    row = new_run(
        tx.run_id(),
        Origin("manual", tx.actor, job.id, job.uid, feeds=job.feeds, traceparent=traceparent),
        task=task.name, args=args or job.args,
        options=replace(options, expires=None), now=tx.now, due_at=tx.now,
    )  # fmt: skip
    occupancy = run_rows.occupancy(tx.conn, {job.id: job.uid})[job.id]
    admission = admit_new(tx, row, options, occupancy)
    if admission == "skip":
        raise _overlap_error(job.id, options)  # rolls the transaction back
    if admission == "replace":
        cancel_replaced(tx, {job.id: job.uid})
    run_rows.add(tx, [row])
    tx.record("run.requested", job_id=job.id, run_id=row["id"])
    return str(row["id"])


def _await(core: Core, run_id: str, wait: float | None) -> RunRecord:
    """Wait until a run has finished; a worker that has no loop of its own is stepped instead."""
    until = core.store.time.now() + timedelta(seconds=wait or 0)
    has_no_loop = core.steps_itself
    unset = threading.Event()
    if wait and has_no_loop and core.own_run() is not None:
        return await_beside(core, run_id, until)
    while True:
        if wait and has_no_loop:
            with core.stepping:
                core.worker.tick()
        record = run(core, run_id)
        if record.is_terminal or has_no_loop or core.store.time.now() >= until:
            return record
        core.clock.wait(unset, POLL_S)


def await_beside(core: Core, run_id: str, until: datetime) -> RunRecord:
    """Wait for a run in a run that a step executes: that step ends only when both have ended.

    Return early if there is no free slot, because none becomes free before the caller returns.
    """
    executing = True
    while True:
        core.worker.tick(wait=False)
        record = run(core, run_id)
        if record.is_terminal or not executing or core.store.time.now() >= until:
            return record
        core.worker.wait_until_empty(POLL_S)
        executing = run_id in core.worker.in_flight()


def _retry(tx: Transaction, run_id: str, core: Core, args: Mapping[str, Any] | None) -> None:
    found = run_rows.find(tx.conn, run_id) if is_id(run_id) else None
    job = _lock_if_stored(tx, found.job_id) if found is not None else None
    row = _lock_run(tx, run_id)
    if row.state not in ("failed", "missed", "skipped"):
        raise StateError(
            f"run {run_id} is {row.state}; only failed, missed or skipped runs can be retried"
        )
    if job is not None and job.uid != row.job_uid:
        job = None  # the run's own job was removed; another one has its id
    if job is not None:
        refuse_unknown_options(job)
        _refuse_overlap(tx, job)
    feeds = job is not None and job.feeds
    change = revival(row, cause="retry_by_hand", actor=tx.actor, feeds=feeds)
    if args is not None:
        encoded = core.registry.get(row.task).signature.encode(args)
        replaced = {"replaced_args": rows.run_record(row).args}
        change = change._replace(
            also={**change.also, "args": encoded}, detail={**change.detail, **replaced}
        )
    apply_revival(tx, row, change)


def _lock_if_stored(tx: Transaction, job_id: str | None) -> JobRow | None:
    locked = jobs.lock(tx, [job_id]) if job_id is not None else []
    return locked[0] if locked else None


def _refuse_overlap(tx: Transaction, job: JobRow) -> None:
    options = definition_of(job).options
    if admit(options, "manual", run_rows.occupancy(tx.conn, {job.id: job.uid})[job.id]) != "ready":
        raise _overlap_error(job.id, options)


def _overlap_error(job_id: str, options: JobOptions) -> OverlapError:
    return OverlapError(
        f"job {job_id!r} already has an unfinished run, and its overlap policy is "
        f"{options.overlap!r}; cancel that run or wait until it has finished",
        job_id=job_id,
        overlap=options.overlap,
    )


def _lock_run(tx: Transaction, run_id: str) -> RunRow:
    locked = run_rows.lock(tx, [run_id]) if is_id(run_id) else []
    if not locked:
        raise RunNotFound(run_id)
    return locked[0]


def _read_run(conn: Connection, run_id: str) -> RunRecord:
    row = run_rows.find(conn, run_id) if is_id(run_id) else None
    if row is None:
        raise RunNotFound(run_id)
    return rows.run_record(row)

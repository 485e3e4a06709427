"""Rescue: runs of dead workers become ready again, or fail if they keep killing workers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence, Set
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row

from duly.model import transition
from duly.model.policy import CRASH_LIMIT, decode_run_policy
from duly.model.transition import RunSnapshot, Transition
from duly.model.worker import Heartbeat
from duly.store import jobs, transitions, workers
from duly.store.rows import RunRow
from duly.store.store import Store
from duly.store.transaction import Transaction
from duly.store.transitions import Change
from duly.worker.claims.claim import HeldClaim
from duly.worker.lease import WorkerLease
from duly.worker.outcome import cancelled_if
from duly.worker.process_identity import is_gone
from duly.worker.run_logging import log_failure

log = logging.getLogger("duly.worker")
_Released = list[tuple[RunRow, Transition]]
BATCH = 500


def rescue(store: Store, own: WorkerLease, heartbeat: Heartbeat) -> int:
    """Release the runs of dead workers and return their number.

    A worker is certainly dead if its process has ended or, on SQLite, if its lock file is free.
    There it is alive while it holds that lock. Otherwise its lease decides: a worker whose lease
    has expired counts as dead only if the rescuer itself has been in contact with the database for
    one lease without a break, so that an outage does not make all workers look dead. A worker
    without a heartbeat thread, whose steps are far apart, never meets this condition: it stores a
    suspicion, and a worker that finds the same last beat one lease later acts on it.
    """
    steady = store.clock.monotonic()
    if steady < own.quiet_until:
        return 0
    trusted = steady - own.contact_since >= heartbeat.lease
    now = store.time.now()
    lease = timedelta(seconds=heartbeat.lease)
    with store.read() as conn:
        others = [row for row in workers.all_rows(conn) if row.id != own.worker_id]
        any_orphans = workers.any_orphans(conn)
    released = 0
    for row in others:
        alive = _is_alive(own, row)
        if alive is False:
            released += _release_dead_worker(store, row, None)
        elif alive is None and _is_silent(row, now):
            if trusted or _was_suspected(row, now - lease):
                released += _release_dead_worker(store, row, now)
            elif not own.threaded:
                _suspect(store, row)
    if own.locks is not None:
        own.locks.tidy({row.id for row in others})
        trusted = True  # a worker that has no row cannot write, and nothing delays its removal
    if any_orphans and (trusted or not own.threaded):
        released += _release_orphans(store, None if trusted else now - lease)
    return released


def give_back(
    tx: Transaction,
    worker_id: str,
    only: Set[HeldClaim] | None = None,
) -> int:
    """Give back runs of a worker that it has not started, and return their number.

    Args:
        tx: the transaction.
        worker_id: the worker.
        only: the claims that the worker never learned of; ``None`` for all runs, because it stops.
    """
    if only is None:
        workers.stop_claiming(tx, worker_id)
    rows = workers.runs_of(tx, worker_id)
    if only is not None:
        rows = [row for row in rows if (row.id, row.claim_id) in only]
    why = "its worker stopped" if only is None else "its worker did not learn of the claim"
    withdrawn = transition.give_back(why, unstarted=True).withdrawn()
    changes = [
        Change(RunSnapshot.of(row), cancelled_if(row.cancel_requested, withdrawn)) for row in rows
    ]
    transitions.apply(tx, changes)
    return len(rows)


def return_strays(store: Store, worker_id: str, known: Callable[[], Set[HeldClaim]]) -> int:
    """Give back the runs that are stored as this worker's although it does not know of them.

    They come from claims that were committed while their acknowledgement was lost.

    Args:
        store: the database.
        worker_id: this worker.
        known: returns the claims that the worker knows of. It is called before the query, for
            runs that end meanwhile, and after it, for runs that other threads claim meanwhile.
    """
    before = known()
    with store.read() as conn:
        strays = workers.held_claims(conn, worker_id) - before - known()
    return store.run(lambda tx: give_back(tx, worker_id, strays)) if strays else 0


def _is_silent(row: Row[Any], now: datetime) -> bool:
    return bool(row.lease_until <= now or row.beat_at > now + workers.CLOCK_STEP)


def _was_suspected(row: Row[Any], before: datetime) -> bool:
    return bool(
        row.suspected_beat == row.beat_at
        and row.suspected_at is not None
        and row.suspected_at <= before
    )


def _suspect(store: Store, row: Row[Any]) -> None:
    if row.suspected_beat != row.beat_at:
        store.run(lambda tx: workers.suspect(tx, row.id, row.beat_at))


def _release_orphans(store: Store, before: datetime | None) -> int:
    def release(tx: Transaction) -> _Released:
        return _release(tx, workers.orphans(tx, BATCH, before), "its worker is gone")

    return _log_failures(store.run(release))


def _is_alive(lease: WorkerLease, row: Row[Any]) -> bool | None:
    """Return whether a worker is certainly alive, or certainly dead; ``None``: it is not known."""
    gone = is_gone(row.process)
    if lease.locks is None:  # a process that lives may have lost its lease all the same
        return False if gone else None
    locked = lease.locks.is_locked(row.id)
    return not gone if locked is None and gone is not None else locked


def _release_dead_worker(store: Store, row: Row[Any], now: datetime | None) -> int:
    def release(tx: Transaction) -> tuple[bool, _Released] | None:
        stopped = workers.has_stopped(tx.conn, row.id)
        if not workers.remove(tx, row.id, now):
            return None
        jobs.lock(tx, workers.jobs_of(tx.conn, row.id))
        released = _release(tx, workers.runs_of(tx, row.id), f"worker on {row.host} died")
        transitions.end_occupations(tx, row.id)
        stopped = stopped and not released  # else it died before it had given everything back
        if stopped:
            tx.record("worker.stopped", worker_id=row.id)
        else:
            facts = {"host": row.host, "pid": row.pid, "runs": len(released)}
            tx.record("worker.lost", worker_id=row.id, **facts)
        return stopped, released

    done = store.run(release)
    if done is None:
        return 0
    stopped, released = done
    if stopped:
        log.info(
            "Worker %s (pid %d) had stopped, and its process has ended; the functions that were "
            "still executing have ended with it.", row.id, row.pid,
        )  # fmt: skip
    else:
        log.error("Worker %s (pid %d) is dead; runs released: %d.", row.id, row.pid, len(released))
    return _log_failures(released)


def _log_failures(released: _Released) -> int:
    """Log the runs that have failed because they keep killing workers; return the number of all."""
    for row, outcome in released:
        log_failure(row, outcome)
    return len(released)


def _release(tx: Transaction, rows: Sequence[RunRow], why: str) -> _Released:
    """Take locked runs from a dead worker; their tokens rise, so that it can no longer write."""
    changes = [Change(RunSnapshot.of(row), _after_crash(row, why)) for row in rows]
    transitions.apply(tx, changes)
    for change in changes:
        if change.transition.to == "failed" and change.run.job_id:
            jobs.count_failure(tx, change.run.job_id)
    return [(row, change.transition) for row, change in zip(rows, changes, strict=True)]


def _after_crash(row: RunRow, why: str) -> Transition:
    if row.cancel_requested:
        return transition.cancel("cancelled; " + why).crashed(why)
    # A quarantined run was the only one on its worker, so that it must have caused the crash.
    caused_crash = row.quarantined and row.crashes + 1 >= CRASH_LIMIT
    if caused_crash or decode_run_policy(row.policy).on_crash == "fail":
        return transition.fail(("WorkerLost", why, None)).crashed(why)
    return transition.rescue(why)

"""Rescue: runs of dead workers become ready again, or failed when they keep killing workers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Set
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row

from duly.model.policy import CRASH_LIMIT, QUARANTINE_AFTER
from duly.model.worker import Heartbeat
from duly.store import completions, jobs, runs, workers
from duly.store.store import Store
from duly.store.transaction import Transaction
from duly.worker.claims.claim import Claim
from duly.worker.lease import WorkerLease
from duly.worker.outcome import Outcome, cancelled_if, failed
from duly.worker.process_identity import is_gone

log = logging.getLogger("duly.worker")
BATCH = 500
HeldClaim = tuple[str, str]
"""A run's id and the id of the claim that it bears."""


def rescue(store: Store, own: WorkerLease, heartbeat: Heartbeat) -> int:
    """Release the runs of workers that are dead; says how many runs.

    A worker whose lease is over counts as dead only for a rescuer that has itself been in unbroken
    contact with the database for one lease: an outage must not look like everyone's death. Where
    steps are taken from outside and far apart, nobody has such a contact: there a suspicion is
    stored, and who finds the same last beat one lease later acts on it.
    """
    steady = store.clock.monotonic()
    if steady < own.quiet_until:
        return 0
    trusted = own.locks is not None or steady - own.contact_since >= heartbeat.lease
    now = store.time.now()
    lease = timedelta(seconds=heartbeat.lease)
    with store.read() as conn:
        found = [row for row in workers.all_of(conn) if row.id != own.worker_id]
        lost = workers.any_orphans(conn)
    released = 0
    for row in found:
        if _is_certainly_dead(own, row):
            released += _bury(store, row, None)
        elif own.locks is None and _is_silent(row, now):
            if trusted or _was_suspected(row, now - lease):
                released += _bury(store, row, now)
            elif not own.threaded:
                _suspect(store, row)
    if lost and (trusted or not own.threaded):
        released += _release_orphans(store, None if trusted else now - lease)
    return released


def give_back(tx: Transaction, worker_id: str, only: Set[HeldClaim] | None = None) -> int:
    """Return runs of a worker without spending their attempts; says how many.

    Args:
        tx: the transaction.
        worker_id: whose.
        only: the runs that it does not know of; ``None``: all, because it stops.
    """
    rows = workers.runs_of(tx, worker_id)
    if only is not None:
        rows = [row for row in rows if (row.id, row.claim_id) in only]
    why = "its worker stopped" if only is None else "its worker did not learn of the claim"
    for row in rows:
        outcome = cancelled_if(row.cancel_requested, Outcome("ready", "run.given_back", reason=why))
        over = outcome.state == "cancelled"
        runs.change(
            tx, [row.id], state=outcome.state, token=row.token + 1, worker_id=None,
            attempt=max(0, row.attempt - 1), due_at=tx.now, reason=outcome.reason,
            finished_at=tx.now if over else None, unique_key=None if over else row.unique_key,
            keep_until=Claim.of(row).policy.keep_until("cancelled", tx.now) if over else None,
        )  # fmt: skip
        tx.record(outcome.kind, job_id=row.job_id, run_id=row.id, reason=outcome.reason)
    if only is None:
        workers.free_occupied(tx.conn, worker_id)
    return len(rows)


def return_strays(store: Store, worker_id: str, known: Callable[[], Set[HeldClaim]]) -> int:
    """Give back the runs that bear this worker's id although it does not hold them.

    That is a claim whose commit was made and whose acknowledgement was lost on the way.

    Args:
        store: the database.
        worker_id: this worker.
        known: what it holds, asked before the database is, for what ends meanwhile, and after it,
            for what other threads claim meanwhile (see `Execution.expecting`).
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
    return store.run(
        lambda tx: _release(tx, workers.orphans(tx, BATCH, before), "its worker is gone")
    )


def _is_certainly_dead(lease: WorkerLease, row: Row[Any]) -> bool:
    if lease.locks is not None:
        return lease.locks.is_dead(row.id)
    return is_gone(row.process)


def _bury(store: Store, row: Row[Any], now: datetime | None) -> int:
    def bury(tx: Transaction) -> int:
        if not workers.take_away(tx, row.id, now):
            return 0
        jobs.lock(tx, workers.jobs_of(tx.conn, row.id))
        released = _release(tx, workers.runs_of(tx, row.id), f"worker on {row.host} died")
        workers.free_occupied(tx.conn, row.id)
        tx.record("worker.lost", worker_id=row.id, host=row.host, pid=row.pid, runs=released)
        log.warning("worker %s (pid %d) is dead; %d runs released", row.id, row.pid, released)
        return released

    return store.run(bury)


def _release(tx: Transaction, rows: Any, why: str) -> int:
    """Take locked runs from a dead worker; their tokens rise, so it cannot write any more."""
    for row in rows:
        outcome = _after_crash(row, why, tx.now)
        over = outcome.state not in ("ready", "scheduled")
        policy = Claim.of(row).policy
        runs.change(
            tx, [row.id], state=outcome.state, token=row.token + 1, crashes=row.crashes + 1,
            quarantined=row.crashes + 1 >= QUARANTINE_AFTER,
            due_at=row.due_at if over else tx.now, finished_at=tx.now if over else None,
            keep_until=policy.keep_until(outcome.state, tx.now) if over else None,
            worker_id=row.worker_id if over else None, reason=outcome.reason,
            error_type="WorkerLost", error_message=why,
            unique_key=None if over else row.unique_key,
        )  # fmt: skip
        attempt = {
            "run_id": row.id, "attempt": row.attempt, "worker_id": row.worker_id,
            "started_at": row.started_at, "finished_at": tx.now, "error_type": "WorkerLost",
            "error_message": why, "traceback": None,
        }  # fmt: skip
        completions.add_attempts(tx, [attempt])
        if outcome.state == "failed" and row.job_id:
            jobs.count_failure(tx, row.job_id)
        tx.record(outcome.kind, job_id=row.job_id, run_id=row.id, error="WorkerLost", message=why)
    return len(rows)


def _after_crash(row: Row[Any], why: str, now: datetime) -> Outcome:
    error = ("WorkerLost", why, None)
    if row.cancel_requested:
        return Outcome("cancelled", "run.cancelled", reason="cancelled; " + why)
    killer = (
        row.quarantined and row.crashes + 1 >= CRASH_LIMIT
    )  # nothing else can have been at fault
    if killer or Claim.of(row).policy.on_crash == "fail":
        return failed(Claim.of(row), error, now, final=True)
    return Outcome("ready", "run.retried", now, reason=why)

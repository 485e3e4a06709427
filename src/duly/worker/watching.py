"""Watching: raise an alarm when a job breaks its watch rules, and report when it has recovered."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime

from duly.model.watch import Watch
from duly.store import jobs, watched
from duly.store.rows import JobRow, definition_of, options_problem
from duly.store.store import Store
from duly.store.transaction import Transaction

log = logging.getLogger("duly.worker")
BATCH = 200


def watch(store: Store) -> int:
    """Check the watch rules of the jobs that are due for it, and return their number."""
    with store.read() as conn:
        if not watched.any_due(conn, store.time.now()):
            return 0
    return store.run(_check_due)


def _check_due(tx: Transaction) -> int:
    """Check a batch of jobs; those whose options cannot be read here are passed over unchanged."""
    after = ""
    while rows := watched.due(tx, after, BATCH):
        readable = [row for row in rows if options_problem(row) is None]
        if readable:
            _check(tx, [(row, definition_of(row).options.watch) for row in readable])
            return len(readable)
        after = rows[-1].id
    return 0


def _check(tx: Transaction, rules: Sequence[tuple[JobRow, Watch | None]]) -> None:
    """Check jobs, and store when to check each again."""
    timed = [row for row, watch in rules if watch and not _waits(row, watch)]
    performances = watched.performances(tx.conn, timed)
    results: dict[tuple[datetime | None, str | None], list[str]] = {}
    for row, watch in rules:
        breaches = {}
        if watch and row.id in performances and row.state in ("active", "finished"):
            breaches = watch.breaches(performances[row.id], tx.now)
        if watch:
            _report(tx, row, breaches)
        alarm = " ".join(sorted(breaches)) or None
        at = None if watch is None or _waits(row, watch) else tx.now + watch.period
        results.setdefault((at, alarm), []).append(row.id)
    for (at, alarm), job_ids in results.items():
        jobs.set_watch(tx, job_ids, at, alarm)


def _waits(row: JobRow, watch: Watch) -> bool:
    return watch.waits_for_failures(row.consecutive_failures)


def _report(tx: Transaction, row: JobRow, breaches: Mapping[str, str]) -> None:
    """Record which rules a job has begun to break, or that it keeps all of them again."""
    raised = set((row.alarm or "").split())
    for kind in sorted(breaches.keys() - raised):
        log.warning("Job %s breaks a watch rule, %s: %s.", row.id, kind, breaches[kind])
        tx.record(kind, job_id=row.id, reason=breaches[kind])
    if raised and not breaches:
        log.info("Job %s keeps all its watch rules again.", row.id)
        tx.record("job.recovered", job_id=row.id, was=sorted(raised))

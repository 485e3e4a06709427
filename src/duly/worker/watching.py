"""Watching: raise an alarm when a job breaks its watch rules, and report when it has recovered."""

from __future__ import annotations

import logging

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
        for row in readable:
            _check(tx, row)
        if readable:
            return len(readable)
        after = rows[-1].id
    return 0


def _check(tx: Transaction, row: JobRow) -> None:
    options = definition_of(row).options
    if options.watch is None:
        jobs.change(tx, row.id, {"watch_at": None, "alarm": None})
        return
    raised = set((row.alarm or "").split())
    breaches = {}
    if row.state in ("active", "finished"):
        breaches = options.watch.breaches(watched.performance(tx.conn, row), tx.now)
    for kind in sorted(breaches.keys() - raised):
        log.warning("Job %s breaks a watch rule, %s: %s.", row.id, kind, breaches[kind])
        tx.record(kind, job_id=row.id, reason=breaches[kind])
    if raised and not breaches:
        log.info("Job %s keeps all its watch rules again.", row.id)
        tx.record("job.recovered", job_id=row.id, was=sorted(raised))
    alarm = " ".join(sorted(breaches)) or None
    jobs.set_watch(tx, row.id, tx.now + options.watch.period, alarm)

"""Workers: who takes part, and draining one of them."""

from __future__ import annotations

from duly.errors import WorkerNotFound
from duly.model.actor import Actor
from duly.model.identity import is_id
from duly.model.worker import WorkerRecord
from duly.operations import problems
from duly.operations.core import Core
from duly.store import workers as worker_rows
from duly.store.transaction import Transaction


def workers(core: Core) -> list[WorkerRecord]:
    """Return all known workers, oldest first, each with what it reports of process jobs."""
    with core.store.read() as conn:
        return problems.worker_records(core, worker_rows.all_rows(conn))


def drain_worker(core: Core, worker_id: str, *, actor: str | Actor | None = None) -> WorkerRecord:
    """Let one worker finish what it executes, and take no more runs until its process stops.

    From its next heartbeat on, the worker fires no jobs and claims no runs, and starts none of its
    process jobs. Runs that it has claimed but not started are given back, so that other workers
    execute them. Running functions may take as long as they need. The worker stays registered.

    Args:
        worker_id: the id of the worker, as in `workers`.
        actor: who acts, for the audit trail.

    Returns:
        The worker as it is now; one that was asked before stays unchanged.

    Raises:
        WorkerNotFound: the worker does not exist.
    """

    def store(tx: Transaction) -> WorkerRecord:
        row = worker_rows.lock_row(tx, worker_id) if is_id(worker_id) else None
        if row is None:
            raise WorkerNotFound(worker_id)
        (worker,) = problems.worker_records(core, [row])
        if row.drain_requested:
            return worker
        worker_rows.request_drain(tx, worker_id)
        tx.record("worker.draining", worker_id=worker_id)
        return worker.replace(draining=True)

    return core.transact(store, actor=actor)

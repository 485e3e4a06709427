"""Fire due jobs, make due runs ready, and mark expired runs as missed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from duly.decisions.apply import NOTHING, decide_and_store
from duly.model.transition import RunSnapshot, Transition, miss
from duly.store import jobs, runs, transitions
from duly.store.agenda import Agenda
from duly.store.rows import RunRow
from duly.store.store import Store
from duly.store.transaction import Transaction
from duly.store.transitions import Change
from duly.worker.adaptive_batch import AdaptiveBatch
from duly.worker.claims.claim import Claim
from duly.worker.claims.on_insert import OnInsertClaimer

BATCH = 1000
MOVE_BATCH = 500


class Fired(NamedTuple):
    """The result of firing.

    Attributes:
        decided: whether anything was decided.
        ready: whether there may be ready runs now, for any worker to claim.
        claims: the claims of the runs that this worker claimed on insert.
    """

    decided: bool = False
    ready: bool = False
    claims: Sequence[Claim] = ()


OnInsert = Callable[[Transaction], OnInsertClaimer | None]


class Firing:
    """Fires jobs for one worker.

    Args:
        store: the database.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._batch_size = AdaptiveBatch(store, BATCH)

    def fire(self, agenda: Agenda, on_insert: OnInsert) -> Fired:
        """Decide everything that is due.

        Nothing is decided while a step of the clock is unconfirmed, since it may be reversed.

        Args:
            agenda: what is due.
            on_insert: returns the claimer of the runs that a transaction inserts.
        """
        store = self._store
        if not store.time.settled:
            return Fired()
        now = store.time.now()
        moved = 0
        if agenda.next_due is not None and agenda.next_due <= now:
            moved += store.run(lambda tx: runs.promote_due(tx, MOVE_BATCH))
        if agenda.next_expiry is not None and agenda.next_expiry <= now:
            moved += store.run(_expire)
        if agenda.next_fire is None or agenda.next_fire > now:
            return Fired(moved > 0, moved > 0)
        fired = self.fire_jobs(on_insert)
        return Fired(fired.decided or moved > 0, fired.ready or moved > 0, fired.claims)

    def fire_jobs(self, on_insert: OnInsert) -> Fired:
        """Decide only the jobs that are due; see `fire`."""
        if not self._store.time.settled:
            return Fired()
        return self._store.run(lambda tx: self._decide(tx, on_insert))

    def _decide(self, tx: Transaction, on_insert: OnInsert) -> Fired:
        began = self._store.clock.monotonic()
        claimer = on_insert(tx)
        size = self._batch_size.size
        due = jobs.due(tx, size)
        decided = decide_and_store(tx, due, claimer, most_rows=size) if due else NOTHING
        claims = claimer.take_claims(decided.lost) if claimer is not None else ()
        self._batch_size.record(decided.size, self._store.clock.monotonic() - began)
        return Fired(bool(due), decided.ready > 0, claims)


def _expire(tx: Transaction) -> int:
    rows = runs.expired(tx, MOVE_BATCH)
    transitions.apply(tx, [Change(RunSnapshot.of(row), _expired(row)) for row in rows])
    return len(rows)


def _expired(row: RunRow) -> Transition:
    return miss(f"not started by {row.expires_at:%Y-%m-%d %H:%M:%S} UTC (expires)")

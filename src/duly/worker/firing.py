"""Firing: due jobs become runs, scheduled runs ready, and runs too old to start missed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Row

from duly.decisions.apply import settle
from duly.model.transition import RunSnapshot, Transition, miss
from duly.store import jobs, runs, transitions
from duly.store.agenda import Agenda
from duly.store.store import Store
from duly.store.transaction import Transaction
from duly.store.transitions import Change
from duly.worker.adaptive_batch import AdaptiveBatch
from duly.worker.claims.claim import Claim
from duly.worker.claims.on_insert import Places

BATCH = 1000
PROMOTED = 500


@dataclass(frozen=True, slots=True)
class Fired:
    """What a firing did.

    Attributes:
        decided: whether there was anything that could be decided.
        ready: whether it may have left runs ready, for anybody to claim.
        claims: of the runs that this worker claimed as they were made.
    """

    decided: bool = False
    ready: bool = False
    claims: tuple[Claim, ...] = ()


class _Decided(NamedTuple):
    jobs: int
    ready: int
    claims: tuple[Claim, ...]


class Firing:
    """Fires for one worker.

    Args:
        store: the database.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._batch_size = AdaptiveBatch(store, BATCH)

    def fire(self, agenda: Agenda, places: Places) -> Fired:
        """Decide everything that has come.

        While the clock has just leapt, nothing is decided: it may leap back.

        Args:
            agenda: what has come.
            places: what this worker could start at once.
        """
        store = self._store
        if not store.time.settled:
            return Fired()
        now = store.time.now()
        moved = 0
        if agenda.next_due is not None and agenda.next_due <= now:
            moved += store.run(lambda tx: runs.promote_due(tx, PROMOTED))
        if agenda.next_expiry is not None and agenda.next_expiry <= now:
            moved += store.run(_expire)
        if agenda.next_fire is None or agenda.next_fire > now:
            return Fired(moved > 0, moved > 0)
        found = self.fire_jobs(places)
        return Fired(found.decided or moved > 0, found.ready or moved > 0, found.claims)

    def fire_jobs(self, places: Places) -> Fired:
        """Decide for the jobs whose next time has come, and for nothing else; see `fire`."""
        if not self._store.time.settled:
            return Fired()
        found = self._store.run(lambda tx: self._decide(tx, places))
        return Fired(found.jobs > 0, found.ready > 0, found.claims)

    def _decide(self, tx: Transaction, places: Places) -> _Decided:
        began = self._store.clock.monotonic()
        taker = places.taker(tx)
        due = jobs.due(tx, self._batch_size.size)
        ready = settle(tx, due, taker) if due else 0
        claims: tuple[Claim, ...] = ()
        if taker is not None:
            taker.announce()
            claims = tuple(taker.claims)
        self._batch_size.record(len(due), self._store.clock.monotonic() - began)
        return _Decided(len(due), ready, claims)


def _expire(tx: Transaction) -> int:
    rows = runs.expired(tx, PROMOTED)
    transitions.apply(tx, [Change(RunSnapshot.of(row), _expired(row)) for row in rows])
    return len(rows)


def _expired(row: Row[Any]) -> Transition:
    return miss(f"not started by {row.expires_at:%Y-%m-%d %H:%M:%S} UTC (expires)")

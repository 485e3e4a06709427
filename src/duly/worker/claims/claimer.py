"""Claiming: ready runs become this worker's, at most as many as it has free places for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy import Row

from duly.model.identity import new_id
from duly.store.agenda import Agenda, AgendaQuery
from duly.store.claims.limited import claim_limited
from duly.store.claims.query import claim_order
from duly.store.dialect import Choice
from duly.store.store import Store
from duly.store.transaction import Transaction
from duly.worker.claims.claim import Claim
from duly.worker.claims.low_water import LowWater

SHORTEST_PAUSE = 0.02
"""Seconds between two claims from a queue whose rate is used up; its tokens add up meanwhile."""


class Capacity(NamedTuple):
    """The number of runs of one queue that a worker may claim now.

    Attributes:
        free: runs that can start at once.
        prefetch: further runs that can wait briefly for a slot.
    """

    free: int
    prefetch: int


@dataclass(slots=True)
class Claimed:
    """What a look at the queues got.

    Attributes:
        claims: in the order in which they should start.
        more: whether there may be more at once.
        pause: seconds after which a queue's rate allows another run; ``None``: none waits for that.
    """

    claims: list[Claim] = field(default_factory=list)
    more: bool = False
    pause: float | None = None

    def join(self, other: Claimed) -> None:
        """Take what another look got as well."""
        self.claims += other.claims
        self.more |= other.more
        pauses = [pause for pause in (self.pause, other.pause) if pause is not None]
        self.pause = min(pauses, default=None)


class Claimer:
    """Claims for one worker.

    Runs without limits are claimed with one statement for each queue, all in one transaction. A
    queue that has limits, or runs with concurrency keys, gets a transaction of its own: it locks
    limits, and two such transactions must not wait for each other's.

    Args:
        store: the database.
        agenda: asked inside each transaction, so that a switch is obeyed from its commit on.
    """

    def __init__(self, store: Store, agenda: AgendaQuery) -> None:
        self._store = store
        self._agenda = agenda
        self._behind: dict[str, str] = {}
        self._low_water = LowWater(store.clock)

    def claim(
        self, worker_id: str, capacity: Mapping[str, Capacity], tasks: Sequence[str]
    ) -> Claimed | None:
        """Claim ready runs; stopped schedulers and paused queues are left alone.

        Args:
            worker_id: for whom.
            capacity: how many of each queue.
            tasks: the tasks that this worker knows; others are left for a worker that does.

        Returns:
            ``None``: the worker's own row or its lease is gone, so it must not claim.
        """
        plain = self._store.run(lambda tx: self._claim_plain(tx, worker_id, capacity, tasks))
        if plain is None:
            return None
        got, limited = plain
        for queue in limited:
            wanted = worker_id, queue, tasks
            look = partial(self._claim_limited, wanted=wanted, capacity=capacity[queue])
            got.join(self._store.run(look))
        return got

    def _claim_plain(
        self,
        tx: Transaction,
        worker_id: str,
        capacity: Mapping[str, Capacity],
        tasks: Sequence[str],
    ) -> tuple[Claimed, list[str]] | None:
        """Claim from queues without limits; names the others that have ready runs too."""
        found = self._ready(tx, worker_id)
        if found is None:
            return None
        got, limited = Claimed(), []
        for queue in filter(capacity.__contains__, found.ready):
            if queue in found.limited or queue in found.keyed:
                limited.append(queue)
            else:
                rows = self._claim_up_to(tx, _wanted(tx, worker_id, queue, tasks), capacity[queue])
                _take(tx, worker_id, got, rows, capacity[queue])
        return got, limited

    def _ready(self, tx: Transaction, worker_id: str) -> Agenda | None:
        """What may be claimed; ``None``: nothing by this worker."""
        found = self._agenda.ask_holding(tx, worker_id)
        return replace(found, ready=()) if found is not None and found.stopped else found

    def _claim_up_to(
        self, tx: Transaction, wanted: dict[str, Any], capacity: Capacity
    ) -> Sequence[Row[Any]]:
        """Runs for the free places; if there are enough of them, more runs ahead."""
        rows: Sequence[Row[Any]] = ()
        if capacity.free > 0:
            rows = self._claim_behind(tx, {**wanted, "limit": capacity.free}, Choice.PLAIN)
        if capacity.prefetch > 0 and len(rows) == capacity.free:
            ahead = {**wanted, "limit": capacity.prefetch}
            rows = [*rows, *self._claim_behind(tx, ahead, Choice.PREFETCH)]
        return rows

    def _claim_behind(
        self, tx: Transaction, wanted: dict[str, Any], choice: Choice
    ) -> Sequence[Row[Any]]:
        """Claim behind the marks; look at everything when it is time, or places are left free."""
        if not tx.dialect.keeps_dead:
            return tx.dialect.claim(tx.conn, wanted, choice)
        queue = wanted["claim_queue"]
        marks = self._low_water.marks(queue, choice)
        if not marks:
            return self._look(tx, wanted, choice)
        rows = tx.dialect.claim(tx.conn, wanted, choice, marks)
        self._low_water.learn(queue, choice, rows)
        missing = wanted["limit"] - len(rows)
        if not missing or choice is Choice.PREFETCH:
            return rows
        others = self._look(tx, {**wanted, "limit": missing}, choice)
        return sorted([*rows, *others], key=claim_order)

    def _look(self, tx: Transaction, wanted: dict[str, Any], choice: Choice) -> Sequence[Row[Any]]:
        """Claim from the beginning."""
        since = self._store.clock.monotonic()
        rows = tx.dialect.claim(tx.conn, wanted, choice)
        filled = len(rows) == wanted["limit"]
        self._low_water.learn_all(wanted["claim_queue"], choice, rows, since=since, filled=filled)
        return rows

    def _claim_limited(
        self, tx: Transaction, wanted: tuple[str, str, Sequence[str]], capacity: Capacity
    ) -> Claimed:
        worker_id, queue, tasks = wanted
        found, got = self._ready(tx, worker_id), Claimed()
        if found is None or queue not in found.ready:
            return got
        parameters = _wanted(tx, worker_id, queue, tasks)
        held = claim_limited(
            tx, {**parameters, "limit": capacity.free}, self._behind.get(queue, "")
        )
        self._behind[queue] = held.behind
        if held.pause is not None:
            got.pause = max(held.pause, SHORTEST_PAUSE)
        got.more = held.more and capacity.free > 0
        rows = list(held.rows)
        if held.plain_ahead and capacity.prefetch:
            rows += _prefetch(tx, parameters, capacity.prefetch)
        _take(tx, worker_id, got, rows, capacity)
        return got


def _wanted(tx: Transaction, worker_id: str, queue: str, tasks: Sequence[str]) -> dict[str, Any]:
    return {
        "claim_queue": queue, "now": tx.now, "tasks": list(tasks), "claim": new_id(),
        "worker": worker_id,
    }  # fmt: skip


def _prefetch(tx: Transaction, wanted: dict[str, Any], most: int) -> Sequence[Row[Any]]:
    return tx.dialect.claim(tx.conn, {**wanted, "limit": most}, Choice.PREFETCH)


def _take(
    tx: Transaction, worker_id: str, got: Claimed, rows: Sequence[Row[Any]], capacity: Capacity
) -> None:
    claims = [Claim.of(row) for row in rows]
    for held in claims if tx.hears("run.started") else ():
        tx.record("run.started", job_id=held.job_id, run_id=held.id, worker_id=worker_id)
    got.claims += claims
    got.more |= len(rows) >= capacity.free + capacity.prefetch

"""Claiming: ready runs become this worker's, at most as many as it has capacity for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
"""The shortest wait, in seconds, before claiming again from a queue whose rate is used up."""


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
    """The result of claiming.

    Attributes:
        claims: in the order in which they should start.
        more: whether there may be more to claim at once.
        pause: seconds until a queue's rate allows another run; ``None`` if no run waits for that.
    """

    claims: list[Claim] = field(default_factory=list)
    more: bool = False
    pause: float | None = None

    def add(self, other: Claimed) -> None:
        """Add the result of another transaction."""
        self.claims += other.claims
        self.more |= other.more
        pauses = [pause for pause in (self.pause, other.pause) if pause is not None]
        self.pause = min(pauses, default=None)


@dataclass(frozen=True, slots=True)
class _Request:
    worker_id: str
    capacity: Mapping[str, Capacity]
    tasks: Sequence[str]

    def parameters(self, tx: Transaction, queue: str) -> dict[str, Any]:
        return {
            "claim_queue": queue, "now": tx.now, "tasks": list(self.tasks), "claim": new_id(),
            "worker": self.worker_id,
        }  # fmt: skip


class Claimer:
    """Claims ready runs for one worker.

    Runs without limits are claimed with one statement for each queue, all in one transaction. A
    queue that has limits, or runs with concurrency keys, gets a transaction of its own: it locks
    limits, and two such transactions must not wait for each other's locks.

    Args:
        store: the database.
        agenda: asked inside each transaction, so that a pause is obeyed from its commit on.
        on_claim: called in each transaction with the claimed runs.
    """

    def __init__(
        self,
        store: Store,
        agenda: AgendaQuery,
        on_claim: Callable[[Transaction, Sequence[Claim]], None],
    ) -> None:
        self._store = store
        self._on_claim = on_claim
        self._agenda = agenda
        self._last_keys: dict[str, str] = {}
        self._low_water = LowWater(store.clock)

    def claim(
        self, worker_id: str, capacity: Mapping[str, Capacity], tasks: Sequence[str]
    ) -> Claimed | None:
        """Claim ready runs, unless the scheduler is stopped or their queue paused.

        Args:
            worker_id: the worker that will execute them.
            capacity: the number of runs of each queue to claim.
            tasks: the tasks that this worker knows; runs of others are left for other workers.

        Returns:
            ``None`` if the worker's row or its lease is gone, so that it must not claim.
        """
        request = _Request(worker_id, capacity, tasks)
        plain = self._store.run(lambda tx: self._claim_plain(tx, request))
        if plain is None:
            return None
        claimed, limited = plain
        for queue in limited:
            claimed.add(self._store.run(partial(self._claim_limited, request=request, queue=queue)))
        return claimed

    def forget_marks(self) -> None:
        """Scan everything at the next claim, because this worker has given runs back."""
        self._low_water.forget()

    def _claim_plain(self, tx: Transaction, request: _Request) -> tuple[Claimed, list[str]] | None:
        """Claim from queues without limits; also return the queues that have some."""
        agenda = self._open_agenda(tx, request.worker_id)
        if agenda is None:
            return None
        claimed, limited = Claimed(), []
        for queue in filter(request.capacity.__contains__, agenda.ready):
            if queue in agenda.limited or queue in agenda.keyed:
                limited.append(queue)
            else:
                capacity = request.capacity[queue]
                rows = self._claim_up_to(tx, request.parameters(tx, queue), capacity)
                self._take(tx, claimed, rows, capacity)
        return claimed, limited

    def _open_agenda(self, tx: Transaction, worker_id: str) -> Agenda | None:
        """Return what may be claimed, or ``None`` if this worker must not claim."""
        agenda = self._agenda.lock_and_read(tx, worker_id)
        return replace(agenda, ready=()) if agenda is not None and agenda.stopped else agenda

    def _claim_up_to(
        self, tx: Transaction, parameters: dict[str, Any], capacity: Capacity
    ) -> Sequence[Row[Any]]:
        """Claim runs for the free slots and, if there are enough of them, prefetch more."""
        rows: Sequence[Row[Any]] = ()
        if capacity.free > 0:
            rows = self._claim_from_marks(tx, {**parameters, "limit": capacity.free}, Choice.PLAIN)
        if capacity.prefetch > 0 and len(rows) == capacity.free:
            prefetch = {**parameters, "limit": capacity.prefetch}
            rows = [*rows, *self._claim_from_marks(tx, prefetch, Choice.PREFETCH)]
        return rows

    def _claim_from_marks(
        self, tx: Transaction, parameters: dict[str, Any], choice: Choice
    ) -> Sequence[Row[Any]]:
        """Claim beyond the low-water marks; scan fully from time to time, and to fill slots."""
        if not tx.dialect.keeps_dead:
            return tx.dialect.claim(tx.conn, parameters, choice)
        queue = parameters["claim_queue"]
        marks = self._low_water.marks(queue, choice)
        if not marks:
            return self._scan(tx, parameters, choice)
        rows = tx.dialect.claim(tx.conn, parameters, choice, marks)
        self._low_water.learn(queue, choice, rows)
        missing = parameters["limit"] - len(rows)
        if not missing or choice is Choice.PREFETCH:
            return rows
        others = self._scan(tx, {**parameters, "limit": missing}, choice)
        return sorted([*rows, *others], key=claim_order)

    def _scan(
        self, tx: Transaction, parameters: dict[str, Any], choice: Choice
    ) -> Sequence[Row[Any]]:
        """Claim from the beginning of the index."""
        since = self._store.clock.monotonic()
        rows = tx.dialect.claim(tx.conn, parameters, choice)
        filled = len(rows) == parameters["limit"]
        queue = parameters["claim_queue"]
        self._low_water.learn_all(queue, choice, rows, since=since, filled=filled)
        return rows

    def _claim_limited(self, tx: Transaction, request: _Request, queue: str) -> Claimed:
        agenda, claimed = self._open_agenda(tx, request.worker_id), Claimed()
        if agenda is None or queue not in agenda.ready:
            return claimed
        capacity, parameters = request.capacity[queue], request.parameters(tx, queue)
        found = claim_limited(
            tx, {**parameters, "limit": capacity.free}, self._last_keys.get(queue, "")
        )
        self._last_keys[queue] = found.last_key
        if found.pause is not None:
            claimed.pause = max(found.pause, SHORTEST_PAUSE)
        claimed.more = found.more and capacity.free > 0
        rows = list(found.rows)
        if found.can_prefetch and capacity.prefetch:
            prefetch = {**parameters, "limit": capacity.prefetch}
            rows += tx.dialect.claim(tx.conn, prefetch, Choice.PREFETCH)
        self._take(tx, claimed, rows, capacity)
        return claimed

    def _take(
        self, tx: Transaction, claimed: Claimed, rows: Sequence[Row[Any]], capacity: Capacity
    ) -> None:
        claims = [Claim.of(row) for row in rows]
        self._on_claim(tx, claims)
        claimed.claims += claims
        claimed.more |= len(rows) >= capacity.free + capacity.prefetch

"""The work that is due, as a worker reads it in one statement at the start of each step."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Select,
    bindparam,
    case,
    exists,
    func,
    select,
)

from duly.store import workers
from duly.store.claims.query import in_claim_order
from duly.store.control import STOPPED
from duly.store.sql.columns import Instant
from duly.store.tables import (
    ACTIVE,
    EXPIRING,
    FEEDING,
    READY,
    SCHEDULED,
    WAITING,
    control,
    job,
    queue,
    run,
)
from duly.store.transaction import Transaction

PAUSED, HAS_LIMITS = "paused", "limited"


@dataclass(frozen=True, slots=True)
class Agenda:
    """The work that is due now, and when more will be.

    Attributes:
        next_fire: when the next job fires.
        next_due: when the next scheduled run becomes ready.
        next_expiry: when the next ready run expires.
        waiting: whether runs wait for a slot of their job.
        feeding: whether any run has ended whose dependent jobs are undecided.
        stopped: whether the scheduler is stopped for all workers.
        ready: the worker's queues that are not paused and have ready runs.
        limited: the queues in ``ready`` that have limits of their own.
        keyed: the queues in ``ready`` with ready runs that have a concurrency key.
    """

    next_fire: datetime | None
    next_due: datetime | None
    next_expiry: datetime | None
    waiting: bool
    feeding: bool
    stopped: bool
    ready: tuple[str, ...]
    limited: frozenset[str] = frozenset()
    keyed: frozenset[str] = frozenset()


class AgendaQuery:
    """The query of the agenda for a fixed set of queues.

    Args:
        queues: their names.
    """

    def __init__(self, queues: Iterable[str]) -> None:
        self._queues = tuple(queues)
        self._statement = _statement(self._queues)
        self._claimable = _claimable_statement(self._queues)

    def read(self, conn: Connection, now: datetime) -> Agenda:
        """Return the agenda as of ``now``."""
        return self._agenda(conn.execute(self._statement, {"now": now}).one())

    def lock_and_read(self, tx: Transaction, worker_id: str) -> Agenda | None:
        """Lock the worker's row and return what it may claim; ``None``: it has lost its lease.

        What fires or becomes due later is not looked for: under a held snapshot on PostgreSQL each
        look passes the dead index entries of all that has fired.
        """
        found = workers.lock_and_read(tx, worker_id, self._claimable, {"now": tx.now})
        if found is None:
            return None
        return self._agenda((None, None, None, False, False, *found))

    def free(self, tx: Transaction, worker_id: str) -> set[str]:
        """Lock the worker's row and return the queues without ready runs, pause or limits.

        There are none for a worker that has lost its lease.
        """
        found = workers.lock_and_read(tx, worker_id, self._claimable, {"now": tx.now})
        if found is None or found[0]:
            return set()
        by_queue = (found[1 + 3 * place : 4 + 3 * place] for place in range(len(self._queues)))
        return {
            name
            for name, (restriction, plain, keyed) in zip(self._queues, by_queue, strict=True)
            if restriction is None and not (plain or keyed)
        }

    def _agenda(self, values: Sequence[Any]) -> Agenda:
        fire, due, expiry, waiting, feeding, stopped, *by_queue = values
        ready, limited, keyed = [], set(), set()
        for place, name in enumerate(self._queues):
            restriction, has_plain, has_keyed = by_queue[3 * place : 3 * place + 3]
            if restriction == PAUSED or not (has_plain or has_keyed):
                continue
            ready.append(name)
            if restriction == HAS_LIMITS:
                limited.add(name)
            if has_keyed:
                keyed.add(name)
        return Agenda(
            fire, due, expiry, bool(waiting), bool(feeding), bool(stopped),
            tuple(ready), frozenset(limited), frozenset(keyed),
        )  # fmt: skip


def _statement(queues: tuple[str, ...]) -> Select[Any]:
    now = bindparam("now", type_=Instant)
    return select(
        select(func.min(job.c.next_fire_at)).where(ACTIVE).scalar_subquery(),
        select(func.min(run.c.due_at)).where(SCHEDULED).scalar_subquery(),
        select(func.min(run.c.expires_at)).where(EXPIRING).scalar_subquery(),
        exists(select(run.c.id).where(WAITING)),
        _any(select(run.c.id).where(FEEDING).order_by(run.c.feeds, run.c.id)),
        exists(select(control.c.name).where(control.c.name == STOPPED)),
        *(column for name in queues for column in _of_queue(name, now)),
    )


def _claimable_statement(queues: tuple[str, ...]) -> Select[Any]:
    now = bindparam("now", type_=Instant)
    stopped = exists(select(control.c.name).where(control.c.name == STOPPED))
    return select(stopped, *(column for name in queues for column in _of_queue(name, now)))


def _of_queue(name: str, now: BindParameter[Any]) -> tuple[ColumnElement[Any], ...]:
    """Select whether a queue is paused or limited, and has ready runs without and with a key."""
    restriction = case(
        (queue.c.paused_at.is_not(None), PAUSED),
        (queue.c.max_running.is_not(None) | queue.c.rate.is_not(None), HAS_LIMITS),
    )
    ready = select(run.c.id).where(READY, run.c.queue == name, run.c.due_at <= now)
    return (
        select(restriction).where(queue.c.name == name).scalar_subquery(),
        _any(in_claim_order(ready.where(run.c.concurrency_key.is_(None)), limit=1)),
        _any(in_claim_order(ready.where(run.c.concurrency_key.is_not(None)), limit=1)),
    )


def _any(ordered: Select[Any]) -> ColumnElement[bool]:
    """Select whether there is a row, by looking for the first one in the order of an index.

    For a plain EXISTS, PostgreSQL scans a table that was never analysed from its beginning.
    """
    return ordered.limit(1).scalar_subquery().is_not(None)

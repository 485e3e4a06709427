"""What a worker looks at before it does anything: one statement, so that an idle tick is cheap."""

from __future__ import annotations

from collections.abc import Iterable
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

from duly.store.columns import Instant
from duly.store.control import STOPPED
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

PAUSED, HAS_LIMITS = "paused", "limited"


@dataclass(frozen=True, slots=True)
class Agenda:
    """What there is to do.

    Attributes:
        next_fire: when the next job fires.
        next_due: when the next scheduled run becomes ready.
        next_expiry: when the next ready run becomes too old to start.
        waiting: whether runs wait for their turn.
        feeding: whether runs ended whose children have not been told.
        stopped: whether the scheduler is switched off.
        ready: the queues, among those asked for, that are not paused and have ready runs.
        limited: those among them that have limits of their own.
        keyed: those among them in which runs with a concurrency key are ready.
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
    """The statement for a fixed set of queues.

    Args:
        queues: their names.
    """

    def __init__(self, queues: Iterable[str]) -> None:
        self._queues = tuple(queues)
        self._statement = _statement(self._queues)

    def ask(self, conn: Connection, now: datetime) -> Agenda:
        """What there is to do now."""
        fire, due, expiry, waiting, feeding, stopped, *found = conn.execute(
            self._statement, {"now": now}
        ).one()
        ready, limited, keyed = [], set(), set()
        for place, name in enumerate(self._queues):
            switch, has_plain, has_keyed = found[3 * place : 3 * place + 3]
            if switch == PAUSED or not (has_plain or has_keyed):
                continue
            ready.append(name)
            if switch == HAS_LIMITS:
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
        exists(select(run.c.id).where(FEEDING)),
        exists(select(control.c.name).where(control.c.name == STOPPED)),
        *(column for name in queues for column in _of_queue(name, now)),
    )


def _of_queue(name: str, now: BindParameter[Any]) -> tuple[ColumnElement[Any], ...]:
    """Its switch, and whether plain runs are ready and runs with a key are."""
    switch = case(
        (queue.c.paused_at.is_not(None), PAUSED),
        (queue.c.max_running.is_not(None) | queue.c.rate.is_not(None), HAS_LIMITS),
    )
    ready = select(run.c.id).where(READY, run.c.queue == name, run.c.due_at <= now)
    return (
        select(switch).where(queue.c.name == name).scalar_subquery(),
        exists(ready.where(run.c.concurrency_key.is_(None))),
        exists(ready.where(run.c.concurrency_key.is_not(None))),
    )

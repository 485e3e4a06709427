"""Bugs that are planted in Duly on purpose: a check that never fails proves nothing.

Each takes effect in this Python process only, while the simulation runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from unittest.mock import patch

from sqlalchemy import Connection, select, true, update

from duly.errors import ConfigurationError, did_you_mean
from duly.model import transition as transitions_of_runs
from duly.model.job import Occupancy
from duly.model.transition import RunSnapshot, Transition
from duly.operations import runs as operations
from duly.store import (
    completions,
    history,
    jobs,
    limits,
    runs,
    slot_queues,
    transitions,
    workers,
)
from duly.store.claims import quarantine as quarantined
from duly.store.slot_queues import SlotQueue
from duly.store.tables import QUARANTINED, WAITING, queue, run
from duly.store.transaction import Transaction
from duly.store.transitions import Change, Executed
from duly.worker.claims import quarantine
from duly.worker.lease import WorkerLease


@contextmanager
def _forge_tokens() -> Iterator[None]:
    """Accept every completion: each carries the token that its run has now."""
    check_fences, apply = completions.check_fences, transitions.apply
    succeed_all = transitions.succeed_all

    def accept_all(tx: Transaction, fences: Sequence[Any]) -> Any:
        for fence in fences:
            fence["seen_token"], fence["seen_claim"] = _present_claim(tx, fence["run"])
        return check_fences(tx, fences)

    def apply_all(tx: Transaction, changes: Sequence[Change]) -> None:
        forged = []
        for change in changes:
            token, claim_id = _present_claim(tx, change.run.id)
            run_now = change.run._replace(token=token, claim_id=claim_id)
            forged.append(change._replace(run=run_now))
        apply(tx, forged)

    def succeed_anyway(tx: Transaction, members: Mapping[str, Executed], **others: Any) -> set[str]:
        ended = set[str]()
        for run_id, kind in members.items():
            claim = _present_claim(tx, run_id)
            others |= {"token": claim.token, "claim_id": claim.claim_id}
            ended |= succeed_all(tx, {run_id: kind}, **others)
        return ended

    with (
        patch.object(completions, "check_fences", accept_all),
        patch.object(transitions, "succeed_all", succeed_anyway),
        patch.object(transitions, "apply", apply_all),
    ):
        yield


def _present_claim(tx: Transaction, run_id: str) -> Any:
    return tx.conn.execute(select(run.c.token, run.c.claim_id).where(run.c.id == run_id)).one()


def _hide_active_runs() -> Any:
    """Let overlap policies see no active run."""

    def occupancy(_conn: Any, job_ids: Sequence[str]) -> dict[str, Occupancy]:
        return {job_id: Occupancy() for job_id in job_ids}

    return patch.object(runs, "occupancy", occupancy)


def _lose_runs() -> Any:
    """Store only the first of several runs that are decided together."""
    add = runs.add
    return patch.object(runs, "add", lambda tx, rows: add(tx, rows[:1]))


def _ignore_lost_races() -> Any:
    """Move a cursor without comparing its old position, so that two workers fire one time."""
    return patch.object(jobs, "advance", lambda _tx, _cursors: set())


@contextmanager
def _claim_while_stopping() -> Iterator[None]:
    """Let a process claim on insert until it has signed off."""
    with (
        patch.object(WorkerLease, "drain", lambda _lease: None),
        patch.object(workers, "stop_claiming", lambda _tx, _worker_id: None),
    ):
        yield


def _lose_places() -> Any:
    """Make runs that are given back due now, at the end of their queue, and keep no expiry."""
    columns = Transition.columns

    def at_the_end(self: Transition, run: RunSnapshot, now: datetime) -> dict[str, Any]:
        given_back = self.event == "run.given_back"
        values = {"due_at": now, "expires_at": None} if given_back else {}
        return columns(self, run, now) | values

    return patch.object(Transition, "columns", at_the_end)


def _revive_without_key() -> Any:
    """Let a run start over without its unique key."""

    def revival(row: Any, *, waits: bool = False, **values: Any) -> Change:
        transition = transitions_of_runs.revive(waits_for_slot=waits)
        return Change(RunSnapshot.of(row), transition, values, {"was": row.state})

    return patch.object(operations, "revival", revival)


def _prune_parents() -> Any:
    """Delete finished jobs although others run after them."""
    return patch.object(history, "_NOT_NEEDED", true())


def _refill_bucket() -> Any:
    """Fill the bucket of a queue whenever its limits are said, also without a change."""
    set_queue = limits.set_queue

    def refill(tx: Transaction, name: str, *, rate: int | None, **others: Any) -> bool:
        set_queue(tx, name, rate=rate, **others)
        bucket = update(queue).where(queue.c.name == name)
        tx.conn.execute(bucket.values(allowance=rate, refilled_at=tx.now))
        return True

    return patch.object(limits, "set_queue", refill)


@contextmanager
def _free_unseen() -> Iterator[None]:
    """Free the runs that were read to wait before the transaction, whatever they are by now."""
    find = slot_queues.find
    read: dict[str, list[str]] = {}

    def look(conn: Connection) -> list[SlotQueue]:
        read.clear()
        waiting = select(run.c.id, run.c.job_uid).where(WAITING)
        for row in conn.execute(waiting.order_by(run.c.priority, run.c.id)):
            read.setdefault(row.job_uid, []).append(row.id)
        return find(conn)

    def next_as_read(_tx: Transaction, slots: Mapping[SlotQueue, int]) -> list[str]:
        return [run_id for queue, n in slots.items() for run_id in read.get(queue.job_uid, [])[:n]]

    def give_slots(tx: Transaction, run_ids: Sequence[str]) -> None:
        freed = update(run).where(run.c.id.in_(run_ids))
        tx.conn.execute(freed.values(state="ready", waits_for_slot=False))

    with (
        patch.object(slot_queues, "find", look),
        patch.object(slot_queues, "lock_next", next_as_read),
        patch.object(transitions, "give_slots", give_slots),
    ):
        yield


def _queue_quarantined() -> Any:
    """Let the quarantined run that has waited longest block all others while it may not start."""

    def look(
        conn: Connection, queues: Sequence[str], tasks: Sequence[str], now: datetime, _after: Any
    ) -> quarantined.Look:
        columns = run.c.id, run.c.queue, run.c.due_at, run.c.concurrency_key
        served = run.c.queue.in_(queues), run.c.task.in_(tasks), run.c.due_at <= now
        oldest = select(*columns).where(QUARANTINED, *served).order_by(run.c.due_at, run.c.id)
        found: Sequence[Any] = conn.execute(oldest.limit(1)).all()
        return quarantined.Look(found, None)

    return patch.object(quarantine, "look", look)


def _count_executed() -> Any:
    """Count only runs that were executed or could have been: none that is missed or skipped."""
    return patch.object(runs, "UNEXECUTED", frozenset())


MUTATIONS: dict[str, Callable[[], Any]] = {
    "token": _forge_tokens, "limits": _hide_active_runs, "decisions": _lose_runs,
    "cursor": _ignore_lost_races, "stop": _claim_while_stopping,
    "place": _lose_places, "key": _revive_without_key,
    "prune": _prune_parents, "rate": _refill_bucket,
    "quarantine": _queue_quarantined, "waiting": _free_unseen, "count": _count_executed,
}  # fmt: skip


@contextmanager
def mutated(name: str | None) -> Iterator[None]:
    """Plant a bug in Duly within the block; ``None`` leaves it as it is.

    Raises:
        ConfigurationError: there is no mutation of this name.
    """
    if name is None:
        yield
        return
    if name not in MUTATIONS:
        raise ConfigurationError(
            f"{name!r} is not a mutation{did_you_mean(name, MUTATIONS)}; there are "
            + ", ".join(MUTATIONS)
        )
    with MUTATIONS[name]():
        yield

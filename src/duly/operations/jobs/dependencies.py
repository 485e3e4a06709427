"""The stored dependencies between jobs, kept up to date when jobs are stored and changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from duly.decisions.existing_runs import cancel_replaced, revive_run
from duly.decisions.policy import admit
from duly.errors import DependencyError, JobInUse, closest
from duly.operations.jobs.dependency_graph import check_graph
from duly.store import dependencies, jobs, runs
from duly.store.rows import JobRow, definition_of, overridden
from duly.store.transaction import Transaction
from duly.triggers import After, Trigger


@contextmanager
def relinked(
    tx: Transaction,
    wanted: Mapping[str, Trigger],
    *,
    replace: bool = True,
    declared: bool = False,
) -> Iterator[None]:
    """Check the dependencies of jobs that the ``with`` body stores, and store them after it.

    The jobs and all their old and new parents are locked first, always in the same order.

    Args:
        tx: the transaction.
        wanted: the triggers that are about to be stored, by job.
        replace: whether some of these jobs may exist.
        declared: whether the triggers come from code, so that manually edited ones stay.

    Raises:
        DependencyError: a parent is unknown, or the jobs form a cycle or an overlong chain.
    """
    rows = lock_related(tx, wanted, replace=replace)
    if rows is None:
        yield
        return
    edited = {name for name, row in rows.items() if declared and "trigger" in overridden(row)}
    changing = {name: trigger for name, trigger in wanted.items() if name not in edited}
    _check(tx, changing, {*rows, *wanted})
    yield
    _link(tx, sorted(wanted))


def lock_related(
    tx: Transaction, wanted: Mapping[str, Trigger], *, replace: bool = True
) -> dict[str, JobRow] | None:
    """Lock jobs and all their old and new parents; return ``None`` if there are no parents."""
    before = dependencies.parents_of(tx.conn, list(wanted)) if replace else {}
    parents = {name for names in before.values() for name in names}
    parents |= {name for trigger in wanted.values() for name in parents_in(trigger)}
    if not parents:
        return None
    dependencies.lock_graph(tx)
    return {row.id: row for row in jobs.lock(tx, {*wanted, *parents})}


def refuse_in_use(tx: Transaction, job_ids: Sequence[str]) -> None:
    """Check that no other jobs run after jobs to be removed, and delete their dependencies.

    Raises:
        JobInUse: another job runs after one of them.
    """
    refuse_children(dependencies.children_of(tx.conn, job_ids), job_ids)
    dependencies.forget(tx, job_ids)


def refuse_children(children: Mapping[str, Sequence[str]], removed: Sequence[str]) -> None:
    """Check that all jobs that run after jobs to be removed are removed too.

    Raises:
        JobInUse: another job runs after one of them.
    """
    own = set(removed)
    for parent, names in children.items():
        remaining = [name for name in names if name not in own]
        if remaining:
            raise JobInUse(parent, remaining)


def catch_up_paused(tx: Transaction, row: JobRow) -> None:
    """Revive runs that were skipped while a child was paused, as its catch-up policy allows."""
    trigger, options, _problem = definition_of(row)
    if not isinstance(trigger, After) or row.paused_at is None or options.catch_up.mode == "none":
        return
    limit = options.catch_up.limit if options.catch_up.mode == "all" else 1
    skipped = dependencies.skipped_while_paused(tx, row, limit)
    occupancy = runs.occupancy(tx.conn, {row.id: row.uid})[row.id]
    for run in skipped:
        admission = admit(options, "catch_up", occupancy)
        if admission == "replace":
            cancel_replaced(tx, {row.id: row.uid})
        if admission != "skip":
            revive_run(tx, run, waits=admission != "ready", feeds=row.feeds)


def _check(tx: Transaction, changing: Mapping[str, Trigger], known: set[str]) -> None:
    wanted = {name: set(parents_in(trigger)) for name, trigger in changing.items()}
    for child, parents in wanted.items():
        for parent in sorted(parents):
            if parent not in known:
                near = known | jobs.neighbours(tx.conn, parent)
                raise DependencyError(
                    f"job {child!r} runs after {parent!r}, but no such job is stored"
                    f"{closest(parent, near - {child})}"
                )
    linked = {name: parents for name, parents in wanted.items() if parents}
    graph = dependencies.connected(tx.conn, set(linked).union(*linked.values()))
    check_graph(
        graph | {name: parents for name, parents in wanted.items() if parents or name in graph}
    )


def parents_in(trigger: Trigger) -> tuple[str, ...]:
    """Return the ids of the jobs that a trigger waits for."""
    return trigger.parents if isinstance(trigger, After) else ()


def _link(tx: Transaction, children: Sequence[str]) -> None:
    """Store the dependencies of locked jobs that their stored triggers name."""
    before = dependencies.parents_of(tx.conn, children)
    touched: set[str] = set()
    for row in jobs.lock(tx, children):
        trigger, _options, problem = definition_of(row)
        if problem is not None:
            continue
        after = trigger if isinstance(trigger, After) else None
        wanted = dict.fromkeys(after.parents, after.on) if after else {}
        stored = before.get(row.id, {})
        removed = [name for name in stored if wanted.get(name) != stored[name]]
        added = [name for name in wanted if stored.get(name) != wanted[name]]
        dependencies.unlink(tx, row.id, removed)
        if after:
            dependencies.link(tx, row.id, added, after.on)
        touched |= {*removed, *added}
    if touched:
        dependencies.mark_parents(tx, touched)

"""Bugs that are planted in Duly on purpose: a check that never fails proves nothing.

Each takes effect in this Python process only, while the simulation runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from sqlalchemy import select

from duly.errors import ConfigurationError, did_you_mean
from duly.model.job import Occupancy
from duly.store import completions, jobs, runs
from duly.store.tables import run
from duly.store.transaction import Transaction


def _forge_tokens() -> Any:
    """Accept every completion: each carries the token that its run has now."""
    accepted, write = completions.accepted, completions.write

    def forge(tx: Transaction, fences: Sequence[Any]) -> None:
        for fence in fences:
            columns = select(run.c.token, run.c.claim_id).where(run.c.id == fence["run"])
            fence["seen_token"], fence["seen_claim"] = tx.conn.execute(columns).one()

    def accept_all(tx: Transaction, fences: Sequence[Any]) -> Any:
        forge(tx, fences)
        return accepted(tx, fences)

    def write_all(tx: Transaction, outcomes: Sequence[Any]) -> None:
        forge(tx, outcomes)
        write(tx, outcomes)

    return patch.multiple(completions, accepted=accept_all, write=write_all)


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


MUTATIONS: dict[str, Callable[[], Any]] = {
    "token": _forge_tokens, "limits": _hide_active_runs, "decisions": _lose_runs,
    "cursor": _ignore_lost_races,
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

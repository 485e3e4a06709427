"""Faults in Duly itself, put in on purpose: a check that never fails proves nothing.

Each one takes effect in this process only, for as long as the simulation runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from sqlalchemy import Engine, select

from duly.errors import ConfigurationError, did_you_mean
from duly.model.job import Occupancy
from duly.store import completions, jobs, runs
from duly.store.tables import run
from duly.store.transaction import Transaction


def _token(engine: Engine) -> Any:
    """No token is checked: every write-back carries the one that its run has now."""
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


def _limits(engine: Engine) -> Any:
    """Overlap sees no run that is on its way."""
    return patch.object(
        runs, "occupancy", lambda _conn, job_ids: {job_id: Occupancy() for job_id in job_ids}
    )


def _cursor(engine: Engine) -> Any:
    """Of several runs decided together, only the first one is stored."""
    add = runs.add
    return patch.object(runs, "add", lambda tx, rows: add(tx, rows[:1]))


def _advance(engine: Engine) -> Any:
    """A cursor's place is not compared before it is moved: the loser of a race is not told."""
    return patch.object(jobs, "advance", lambda _tx, _cursors: set())


MUTATIONS: dict[str, Callable[[Engine], Any]] = {
    "token": _token, "limits": _limits, "decisions": _cursor, "cursor": _advance,
}  # fmt: skip


@contextmanager
def mutated(name: str | None, engine: Engine) -> Iterator[None]:
    """Duly with a fault in it; ``None``: as it is.

    Raises:
        ConfigurationError: no such mutation.
    """
    if name is None:
        yield
        return
    if name not in MUTATIONS:
        raise ConfigurationError(
            f"no mutation is called {name!r}{did_you_mean(name, MUTATIONS)}; known: "
            + ", ".join(MUTATIONS)
        )
    with MUTATIONS[name](engine):
        yield

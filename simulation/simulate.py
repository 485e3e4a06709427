"""Simulation: Duly's own engine and store in a seeded world of crashes, pauses and lost commits.

One seed is one world: two or three processes on one database, jobs with every trigger and policy,
calls, edits, pauses, and faults at the boundaries of transactions. The code that runs is the real
one: `Scheduler`, its engine's step function, and the store on SQLite in memory. Only time, the
execution of functions and the faults are the simulation's. The same seed gives the same world.
"""

from __future__ import annotations

import logging
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from unittest.mock import patch

from sqlalchemy import select

from duly.model import identity
from duly.store.tables import LIVE, RUNNING, run
from duly.worker import shutdown
from simulation.database import ready
from simulation.invariants import violations
from simulation.mutations import mutated
from simulation.records import gather
from simulation.world import RECOVERY, World

LAST_LINES = 60


@dataclass(frozen=True, slots=True)
class Report:
    """What became of a world.

    Attributes:
        seed: gives the same world again.
        server: whether its database was a server with leases, or one machine with file locks.
        steps: how much happened.
        runs: how many runs there were at the end.
        decisions: how many nominal times were decided, by runs or by missed ranges.
        executions: how many functions were called.
        faults: how many of each kind struck.
        violations: what must not be; empty when all is well.
        log: what happened, line by line: virtual second, process, event.
    """

    seed: int
    server: bool
    steps: int
    runs: int
    decisions: int
    executions: int
    faults: Counter[str]
    violations: list[str]
    log: list[str] = field(repr=False)

    @property
    def ok(self) -> bool:
        """Whether every invariant held."""
        return not self.violations

    def __str__(self) -> str:
        kind = "server" if self.server else "one machine"
        head = (
            f"seed {self.seed} ({kind}): {self.steps} steps, {self.runs} runs, "
            f"{self.decisions} decisions, {self.faults.total()} faults, "
            f"{len(self.violations)} violations"
        )
        if self.ok:
            return head
        return "\n".join([head, *self.violations, "… the last steps:", *self.log[-LAST_LINES:]])


def simulate(
    seed: int,
    *,
    server: bool | None = None,
    seconds: float = 60,
    faults: float = 1.0,
    mutation: str | None = None,
) -> Report:
    """Let one world live, heal and end, and check what must hold.

    Args:
        seed: everything is drawn from it.
        server: the rules of a database server with one clock and leases (``True``), or of one
            machine with file locks, as on SQLite (``False``); ``None``: drawn too.
        seconds: virtual seconds before the world heals.
        faults: how many faults: 0 for none, 2 for twice as many as usual.
        mutation: put a fault into Duly itself, to see that it is found; see
            `simulation.mutations`.

    Returns:
        The report; ``report.ok`` says whether all held, ``str(report)`` what did not, with the
        steps that led there.

    Raises:
        ConfigurationError: no such mutation.
    """
    if server is None:
        server = random.Random(f"kind {seed}").random() < 0.7
    ready()
    with _seeded(seed):
        world = World(seed, server=server, seconds=seconds, faults=faults)
        try:
            with mutated(mutation, world.database.engine):
                return _report(seed, world)
        finally:
            world.close()


def _report(seed: int, world: World) -> Report:
    world.live()
    problems = world.troubles + _held_by_the_dead(world)
    if not world.finish(lambda: not _unfinished(world)):
        problems += [f"(7) {line} does not end" for line in _unfinished(world)]
    with world.database.engine.connect() as conn:
        found = gather(conn, world.calls, world.client.book)
    problems += violations(found)
    decisions = sum(row.scheduled_for is not None for row in found.runs.values())
    decisions += sum(row._mapping["count"] for row in found.ranges)
    return Report(
        seed, world.server, world.step, len(found.runs), decisions, len(world.calls),
        world.faults.counts, problems, world.log,
    )  # fmt: skip


def _held_by_the_dead(world: World) -> list[str]:
    """(7) After healing, one recovery time later, running runs belong to living workers."""
    living = world.worker_ids()
    with world.database.engine.connect() as conn:
        rows = conn.execute(select(run.c.id, run.c.worker_id).where(RUNNING)).all()
    return [
        f"(7) run {row.id} is still held by the dead worker {row.worker_id}, {RECOVERY:g} s after "
        "the last fault"
        for row in rows
        if row.worker_id not in living
    ]


def _unfinished(world: World) -> list[str]:
    with world.database.engine.connect() as conn:
        rows = conn.execute(select(run).where(LIVE)).all()
    return [
        f"run {row.id} of {row.job_id or row.task} ({row.state}, occupied {row.occupied}, "
        f"waits {row.waits_for_slot}, due {row.due_at})"
        for row in rows
    ]


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Ids are drawn from the seed, nothing waits for real threads, and nothing is logged."""
    bits = random.Random(f"ids {seed}").getrandbits
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with patch.object(identity, "random_bits", bits), patch.object(shutdown, "LAST_WORDS", 0.0):
            yield
    finally:
        logging.disable(disabled)

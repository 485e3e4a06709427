"""Simulate one seeded world, and check what must hold in it.

A world has two or three processes on one database, jobs with every trigger and policy, a client
that enqueues, edits and pauses, and faults at the edges of transactions. The code under test is the
real one: `Scheduler`, its worker, and the store on SQLite in memory. Only time, the execution of
functions and the faults are simulated. The same seed gives the same world.
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
from duly.worker import queue_slots, shutdown
from simulation.database import make_ready
from simulation.invariants import violations
from simulation.limit_commands import KEY
from simulation.mutations import mutated
from simulation.records import read_records
from simulation.world import RECOVERY, World

PREFETCH = (0.05, 3.0)
"""Seconds for which workers prefetch runs: hardly any in a world's long functions, or many."""

LAST_LINES = 60
"""Lines of the log that a report with violations prints."""


@dataclass(frozen=True, slots=True)
class Report:
    """What happened in a world.

    Attributes:
        seed: simulates the same world again.
        server: whether the database was a server with leases, or else a file with locks.
        steps: the number of things that happened.
        runs: the number of runs at the end.
        decisions: the number of nominal times that were decided, by runs or by missed ranges.
        executions: the number of function calls.
        faults: the number of faults of each kind.
        violations: a line for each invariant that did not hold.
        log: a line for each thing that happened: virtual second, process, event.
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
    """Simulate one world until it has healed and come to rest, and check every invariant.

    Args:
        seed: everything is drawn from it.
        server: ``True`` for the rules of a database server with a clock and leases, ``False`` for
            those of one machine with file locks, as on SQLite; ``None`` draws it too.
        seconds: virtual seconds before the world heals.
        faults: factor on the number of faults: 0 for none, 2 for twice as many as usual.
        mutation: a bug to plant in Duly, one of `simulation.mutations.MUTATIONS`.

    Returns:
        The report. ``report.ok`` is true if every invariant held; ``str(report)`` lists the
        violations and the steps that led to them.

    Raises:
        ConfigurationError: there is no mutation of this name.
    """
    if server is None:
        server = random.Random(f"kind {seed}").random() < 0.7
    make_ready()
    with mutated(mutation), _deterministic(seed):
        world = World(seed, server=server, seconds=seconds, faults=faults)
        try:
            return _report(seed, world)
        finally:
            world.close()


def _report(seed: int, world: World) -> Report:
    world.live()
    found = _left_with_the_dead(world)
    for but in (KEY, None):
        if not world.finish(lambda but=but: not _unfinished(world, but)):  # type: ignore[misc]
            found += [f"(7) {run_text} does not end" for run_text in _unfinished(world, but)]
        world.unblock_key()
    world.stop()
    with world.database.engine.connect() as conn:
        records = read_records(conn, world.executions, world.client.expectations)
    found += world.errors + violations(records)
    decisions = sum(row.scheduled_for is not None for row in records.runs.values())
    decisions += sum(row._mapping["count"] for row in records.ranges)
    return Report(
        seed, world.server, world.step, len(records.runs), decisions, len(world.executions),
        world.faults.counts, found, world.log,
    )  # fmt: skip


def _left_with_the_dead(world: World) -> list[str]:
    """(7) Once the healed world has had time to recover, only living workers hold runs."""
    living = world.worker_ids()
    with world.database.engine.connect() as conn:
        rows = conn.execute(select(run.c.id, run.c.worker_id).where(RUNNING)).all()
    return [
        f"(7) run {row.id} is still held by the dead worker {row.worker_id}, {RECOVERY:g} s after "
        "the last fault"
        for row in rows
        if row.worker_id not in living
    ]


def _unfinished(world: World, but: str | None) -> list[str]:
    """Describe the runs that have not ended, except for those with one concurrency key."""
    with world.database.engine.connect() as conn:
        rows = conn.execute(select(run).where(LIVE)).all()
    return [
        f"run {row.id} of {row.job_id or row.task} ({row.state}, occupied {row.occupied}, "
        f"waits {row.waits_for_slot}, quarantined {row.quarantined}, due {row.due_at})"
        for row in rows
        if but is None or row.concurrency_key != but
    ]


@contextmanager
def _deterministic(seed: int) -> Iterator[None]:
    """Draw ids and prefetching from the seed, wait for no real thread, and log nothing."""
    bits = random.Random(f"ids {seed}").getrandbits
    prefetch = random.Random(f"prefetch {seed}").choice(PREFETCH)
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with (
            patch.object(identity, "random_bits", bits),
            patch.object(shutdown, "INTERRUPT_SECONDS", 0.0),
            patch.object(queue_slots, "PREFETCH_SECONDS", prefetch),
        ):
            yield
    finally:
        logging.disable(disabled)

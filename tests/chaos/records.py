"""Everything that is known after an experiment: the database's rows and the workers' journals."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, Row, Table, select

from duly.store import outcomes, tables
from tests.chaos import audit_log
from tests.chaos.disturbances import Disturbances
from tests.chaos.journal import Entry
from tests.chaos.supervisor import Interruption

Rows = Sequence[Row[Any]]


@dataclass
class Records:
    """The records that are checked.

    Attributes:
        runs: the rows of ``duly_run``.
        run_changes: every committed change of a run's state, token or worker, in order.
        cursor_changes: every committed change of a job's next fire.
        pids: the process of each worker, by worker id.
        effects: what functions wrote on their own.
        bookings: what transactional functions wrote in their session.
        ranges: the recorded ranges of missed times.
        attempts: the recorded unsuccessful attempts.
        outcomes: the counts of runs that have ended, by task, queue and outcome.
        late_completions: the number of completions that Duly refused and recorded.
        journal: the entries of all workers, in order.
        enqueued: the ids of the runs that `enqueue` acknowledged, by number.
        requested: the number of calls that were requested, acknowledged or not.
        interruptions: every kill and stop of a worker.
        outages: the start and end of each outage of the database.
        disturbances: for each slot, the disturbances of its worker and of its route.
        failures: see `Tally`.
        found_by_load: the violations that the load has found.
        wall_clock_offset: the wall clock minus the steady clock, in seconds.
    """

    runs: Rows = ()
    run_changes: Rows = ()
    cursor_changes: Rows = ()
    pids: dict[str, int] = field(default_factory=dict)
    effects: Rows = ()
    bookings: Rows = ()
    ranges: Rows = ()
    attempts: Rows = ()
    outcomes: dict[tuple[str, str, str], int] = field(default_factory=dict)
    late_completions: int = 0
    journal: Sequence[Entry] = ()
    enqueued: dict[int, str] = field(default_factory=dict)
    requested: int = 0
    interruptions: Sequence[Interruption] = ()
    outages: Sequence[tuple[float, float]] = ()
    disturbances: Sequence[Sequence[Disturbances]] = ()
    failures: Sequence[str] = ()
    found_by_load: Sequence[str] = ()
    wall_clock_offset: float = 0.0

    def changes_by_run(self) -> dict[str, list[Any]]:
        """Return the changes of each run, in order."""
        return grouped(self.run_changes, "run_id")

    def write(self, path: Path) -> None:
        """Write the rows as text, one per line, so that a run can be found by its id."""
        kinds = (
            "runs",
            "run_changes",
            "attempts",
            "effects",
            "bookings",
            "ranges",
            "cursor_changes",
            "interruptions",
        )
        with path.open("w") as file:
            for kind in kinds:
                for row in getattr(self, kind):
                    fields = row._asdict() if hasattr(row, "_asdict") else row
                    file.write(f"{kind} {fields}\n")

    def read(self, engine: Engine) -> None:
        """Read what the database knows."""
        with engine.connect() as conn:

            def rows(table: Table, *order: str) -> Rows:
                return conn.execute(select(table).order_by(*(table.c[o] for o in order))).all()

            self.runs = rows(tables.run, "id")
            self.run_changes = rows(audit_log.run_change, "id")
            self.cursor_changes = rows(audit_log.cursor_change, "id")
            self.pids = {
                row.worker_id: row.pid for row in rows(audit_log.worker_start, "worker_id")
            }
            self.effects = rows(audit_log.effect, "id")
            self.bookings = rows(audit_log.booking, "id")
            self.ranges = rows(tables.decision_range, "id")
            self.outcomes = outcomes.totals(conn)
            self.attempts = rows(tables.attempt, "run_id", "attempt")
            kinds = select(tables.event.c.id).where(tables.event.c.kind == "run.late_completion")
            self.late_completions = len(conn.execute(kinds).all())


def grouped(rows: Iterable[Any], field: str) -> dict[str, list[Any]]:
    """Group rows by one of their columns, keeping their order."""
    found: dict[str, list[Any]] = defaultdict(list)
    for row in rows:
        found[getattr(row, field)].append(row)
    return found

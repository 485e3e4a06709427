"""Everything that is known after a run: the database's rows and the processes' own words."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, Row, Table, select

from duly.store import tables
from tests.chaos import audit
from tests.chaos.journal import Line
from tests.chaos.nursery import Blow
from tests.chaos.spells import Spells

Rows = Sequence[Row[Any]]


@dataclass
class Evidence:
    """The facts that are judged.

    Attributes:
        runs: rows of ``duly_run``.
        moves: every committed change of a run's state, token or worker, in order.
        cursors: every committed change of a job's next fire.
        lives: which process each worker id was.
        effects: what functions did on their own.
        bookings: what transactional functions did in their session.
        ranges: recorded ranges of missed times.
        attempts: recorded unsuccessful attempts.
        late: completions that the engine refused and recorded.
        journal: what the processes said, in order.
        enqueued: the runs that `enqueue` acknowledged, by number.
        tried: the numbers that were enqueued, acknowledged or not.
        blows: when workers were killed and stopped.
        outages: when the database could not be used by anybody.
        troubles: of each worker's place and of its way to the database.
        died: processes that ended without being told to.
        gap: the wall clock minus the steady clock, in seconds.
    """

    runs: Rows = ()
    moves: Rows = ()
    cursors: Rows = ()
    lives: dict[str, int] = field(default_factory=dict)
    effects: Rows = ()
    bookings: Rows = ()
    ranges: Rows = ()
    attempts: Rows = ()
    late: int = 0
    journal: Sequence[Line] = ()
    enqueued: dict[int, str] = field(default_factory=dict)
    tried: int = 0
    blows: Sequence[Blow] = ()
    outages: Sequence[tuple[float, float]] = ()
    troubles: Sequence[Sequence[Spells]] = ()
    died: Sequence[str] = ()
    gap: float = 0.0

    def moves_of(self) -> dict[str, list[Any]]:
        """The moves of each run, in order."""
        return grouped(self.moves, "run_id")

    def write(self, path: Path) -> None:
        """Keep the rows as text, one a line: what happened to a run is found by its id."""
        kinds = ("runs", "moves", "attempts", "effects", "bookings", "ranges", "cursors", "blows")
        with path.open("w") as file:
            for kind in kinds:
                for row in getattr(self, kind):
                    facts = row._asdict() if hasattr(row, "_asdict") else row
                    file.write(f"{kind} {facts}\n")

    def read(self, engine: Engine) -> None:
        """Fill in what the database knows."""
        with engine.connect() as conn:

            def rows(table: Table, *order: str) -> Rows:
                return conn.execute(select(table).order_by(*(table.c[o] for o in order))).all()

            self.runs = rows(tables.run, "id")
            self.moves = rows(audit.move, "id")
            self.cursors = rows(audit.cursor, "id")
            self.lives = {row.worker_id: row.pid for row in rows(audit.life, "worker_id")}
            self.effects = rows(audit.effect, "id")
            self.bookings = rows(audit.booking, "id")
            self.ranges = rows(tables.decision_range, "id")
            self.attempts = rows(tables.attempt, "run_id", "attempt")
            kinds = select(tables.event.c.id).where(tables.event.c.kind == "run.late_completion")
            self.late = len(conn.execute(kinds).all())


def grouped(rows: Iterable[Any], field: str) -> dict[str, list[Any]]:
    """Rows by one of their columns, in their order."""
    found: dict[str, list[Any]] = defaultdict(list)
    for row in rows:
        found[getattr(row, field)].append(row)
    return found

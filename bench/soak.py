"""A soak: hours of fires at one rate, to see that nothing grows but the history.

N jobs of one second each, spread evenly over the second. Every half a minute one line: fires a
second, lateness, how long a firing transaction takes, resident memory, and on PostgreSQL the dead
rows that autovacuum has not taken yet. Not a part of ``make bench``.

    python -m bench.soak [--database SQLite] [--n 3000] [--minutes 10]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import event, text

from bench.support.databases import fresh
from bench.support.figures import at_share, resident_mb
from bench.support.machine import describe
from bench.support.options import exit_on_sigterm
from duly import Run, Scheduler, every

EVERY = 30.0
HEAD = "minute  fires/s  late p50  late p99  firing p50  firing p99  memory  dead jobs  dead runs"
DEAD = text("select relname, n_dead_tup from pg_stat_user_tables where relname like 'duly_%'")


@dataclass(slots=True)
class Interval:
    """The latenesses and transaction times since the last line, in seconds."""

    late: list[float] = field(default_factory=list)
    firing: list[float] = field(default_factory=list)


def main() -> None:
    """Run the soak test, and print a line every half minute."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--database", default="SQLite", choices=("SQLite", "PostgreSQL", "MariaDB"))
    parser.add_argument("--n", type=int, default=3000, help="how many jobs fire each second")
    parser.add_argument("--minutes", type=float, default=10)
    options = parser.parse_args()
    exit_on_sigterm()
    print(*describe(), sep="\n", end="\n\n")
    with fresh(options.database) as url:
        _soak(url, options.n, options.minutes)


def _soak(url: str, jobs: int, minutes: float) -> None:
    scheduler, seen = Scheduler(url), Interval()

    @scheduler.task(name="late")
    def late(run: Run) -> None:
        assert run.scheduled_for is not None
        seen.late.append(time.time() - run.scheduled_for.timestamp())

    scheduler.prepare()
    _add(scheduler, jobs)
    print(HEAD, flush=True)
    with _timed(scheduler, seen), scheduler.running():
        time.sleep(EVERY / 2)  # everybody has fired, and statements are compiled
        begun = time.monotonic()
        while time.monotonic() < begun + 60 * minutes:
            last, seen.late, seen.firing = time.monotonic(), [], []
            time.sleep(EVERY)
            seconds = time.monotonic() - last
            print(_line((last - begun) / 60, seen, seconds, scheduler), flush=True)
    scheduler.store.dispose()


def _add(scheduler: Scheduler, jobs: int) -> None:
    start = datetime.now(UTC) + timedelta(seconds=2 + jobs / 5000)
    scheduler.add_many(
        {
            "task": "late", "id": f"job-{number}", "start": start,
            "trigger": every(seconds=1, anchor=start + timedelta(seconds=number / jobs)),
        }
        for number in range(jobs)
    )  # fmt: skip


@contextmanager
def _timed(scheduler: Scheduler, seen: Interval) -> Iterator[None]:
    """Record how long each transaction takes in which jobs fire."""
    begun: dict[int, float] = {}
    engine = scheduler.store.engine

    def began(conn: Any) -> None:
        begun[id(conn)] = time.perf_counter()

    def executed(conn: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if "UPDATE" in statement[:8] and "duly_job" in statement:
            conn.info["fires"] = True

    def committed(conn: Any) -> None:
        if conn.info.pop("fires", False):
            seen.firing.append(time.perf_counter() - begun[id(conn)])

    listeners = (("begin", began), ("after_cursor_execute", executed), ("commit", committed))
    for name, listener in listeners:
        event.listen(engine, name, listener)
    yield
    for name, listener in listeners:
        event.remove(engine, name, listener)


def _line(minute: float, seen: Interval, seconds: float, scheduler: Scheduler) -> str:
    late, firing = sorted(seen.late), sorted(seen.firing)
    cells = [f"{minute:6.1f}", f"{len(late) / seconds:7,.0f}"]
    cells += [f"{1000 * at_share(late, share):5.1f} ms" for share in (0.5, 0.99)]
    cells += [f"{1000 * at_share(firing, share):7.1f} ms" for share in (0.5, 0.99)]
    cells.append(f"{resident_mb():3.0f} MB")
    if scheduler.store.dialect.name == "postgresql":
        with scheduler.store.engine.connect() as conn:
            dead = {row.relname: row.n_dead_tup for row in conn.execute(DEAD)}
        cells += [f"{dead[name]:9,}" for name in ("duly_job", "duly_run")]
    return "  ".join(cells)


if __name__ == "__main__":
    main()

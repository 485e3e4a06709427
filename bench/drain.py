"""F4: runs are enqueued, one by one and in bulk; then one worker drains them.

The rate is counted from the first run to the last one, start-up left out. PgQueuer buffers its
status updates; Huey forgets a run when it takes it; Celery's broker keeps nothing that a power cut
would not take. The limits: rows that a loop by hand claims and completes a second, and inserts a
second, each in its best batch; for one call at a time, in batches of one.

    python -m bench.drain [--n 20000] [--seconds 120] [--repeat 3] [--only duly,huey]
"""

from __future__ import annotations

from collections.abc import Iterator

from bench.support import limits
from bench.support.contender import CannotRun, Contender
from bench.support.databases import fresh
from bench.support.figures import Figures, medians
from bench.support.line import Line
from bench.support.options import Options, run_alone
from bench.support.roster import CELERY, HUEY, LIMIT, OWN, PGQUEUER, PROCRASTINATE, variants

DEFAULTS = Options(n=20_000, seconds=120, repeat=3)
SHORT = Options(n=10_000, seconds=60, repeat=1)
GOALS = {"SQLite": "≥ 5 x", "PostgreSQL": "≥ 1.5 x", "MariaDB": "-"}
PEERS = {
    "SQLite": [HUEY],
    "PostgreSQL": [
        *variants(PGQUEUER, "batch", 10, 100, 500),
        *variants(PROCRASTINATE, "analysed", False, True),
    ],
}


def measure(options: Options) -> Iterator[Line]:
    """Yield three lines for each database: draining, enqueueing one by one, and in bulk."""
    for database in options.on(*GOALS):
        drained = Line("F4", f"drain {options.n} runs", database, GOALS[database], "/s")
        single = Line("F4", "enqueue one by one", database, "≥ 2,500/s", "/s")
        bulk = Line("F4", "enqueue in bulk", database, "≥ 60,000/s", "/s")
        lines = {"rate": drained, "single": single, "bulk": bulk}
        for contender in options.chosen([OWN, *PEERS.get(database, [])]):
            _take(lines, contender, database, options)
        for _limit in options.chosen([LIMIT]):
            drained.take_limit(limits.turnover, database, options)
            single.take_limit(limits.inserted, database, options, "1")
            bulk.take_limit(limits.inserted, database, options)
        yield from lines.values()
    if {"SQLite", "Redis"} <= set(options.databases):
        yield from _on_redis(options)


def _on_redis(options: Options) -> Iterator[Line]:
    """Yield a line for Celery, whose broker keeps messages in memory: for comparison only."""
    line = Line("F4", f"drain {options.n} runs (no Duly there)", "Redis", "-", "/s")
    for contender in options.chosen([CELERY]):
        _take({"rate": line}, contender, "Redis", options)
        yield line


def _take(lines: dict[str, Line], contender: Contender, database: str, options: Options) -> None:
    def once() -> Figures:
        with fresh(database) as url:
            return contender.call("drain", url=url, count=options.n, seconds=options.seconds)

    try:
        figures = medians(options.repeat, once)
    except CannotRun as error:
        lines["rate"].troubles[contender.name] = str(error)
        return
    lines["rate"].take_note(contender.name, figures["done"], options.n)
    for name, line in lines.items():
        if name in figures:
            line.figures[contender.name] = figures[name]


if __name__ == "__main__":
    run_alone(measure, DEFAULTS, __doc__)

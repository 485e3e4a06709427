"""F1: the number of fires per second that one process sustains, every one of them on time.

N jobs of one second each, spread evenly over the second, of a function that does nothing. N doubles
until a contender falls behind: fewer than 98 % fired, or the 99th percentile of the lateness is
above 100 ms; then N is narrowed down. The figure is what the largest N that was kept up with did.
The limit: rows that a loop by hand claims and completes a second, in its best batch.

    python -m bench.fires [--n 500] [--seconds 10] [--repeat 3] [--only duly] [--databases SQLite]

``--n`` is the first N that is tried. APScheduler in memory keeps nothing; Celery's beat only sends,
and how late is not measured (it counts from its last fire, so it drifts).
"""

from __future__ import annotations

from collections.abc import Iterator
from math import sqrt

from bench.support import limits
from bench.support.contender import Contender
from bench.support.databases import fresh
from bench.support.figures import Figures, medians
from bench.support.line import DULY, Line
from bench.support.options import Options, run_alone
from bench.support.roster import APSCHEDULER, APSCHEDULER4, CELERY, LIMIT, OWN

DEFAULTS = Options(n=500, seconds=10, repeat=3)
SHORT = Options(n=1000, seconds=3, repeat=1)
GOALS = {"SQLite": "≥ 15,000/s, ≥ 15 x", "PostgreSQL": "≥ 12,000/s, ≥ 12 x", "MariaDB": "-"}
PEERS = {"SQLite": [APSCHEDULER], "PostgreSQL": [APSCHEDULER, APSCHEDULER4]}
LATEST, LEAST, MOST, NARROW = 100.0, 0.98, 64_000, 2


def measure(options: Options) -> Iterator[Line]:
    """Yield a line for each database, and one against peers that store nothing."""
    lines = []
    for database in options.on(*GOALS):
        line = Line("F1", "sustained fires", database, GOALS[database], "/s")
        for contender in options.chosen([OWN, *PEERS.get(database, [])]):
            line.take(contender.name, most, contender, database, options)
        for _limit in options.chosen([LIMIT]):
            line.take_limit(limits.turnover, database, options)
        lines.append(line)
        yield line
    if "SQLite" in options.databases:
        yield _in_memory(lines[0], options)


def _in_memory(durable: Line, options: Options) -> Line:
    line = Line("F1", "the same, against memory and Redis", "SQLite", "the dream: ≥ 1 x", "/s")
    line.figures = {name: value for name, value in durable.figures.items() if name == DULY}
    for contender in options.chosen([APSCHEDULER]):
        line.take(f"{contender.name} in memory", most, contender, "memory", options)
    for contender in options.chosen([CELERY] if "Redis" in options.databases else []):
        line.take("Celery beat", most, contender, "Redis", options)
    return line


def most(contender: Contender, database: str, options: Options) -> float:
    """Return the rate at the largest number of jobs that the contender sustains."""
    rate, sustained, failed, narrowed, jobs = 0.0, 0, 0, 0, options.n
    while jobs:
        figures = at_rate(contender, database, jobs, options)
        if figures["rate"] >= LEAST * jobs and not figures["p99"] > LATEST:
            rate, sustained = figures["rate"], jobs
        else:
            failed = jobs
        if not failed:
            jobs = 2 * sustained if 2 * sustained <= MOST else 0
        elif not sustained:
            jobs = failed // 3
        else:
            jobs = round(sqrt(sustained * failed)) if narrowed < NARROW else 0
            narrowed += 1
    return rate


def at_rate(contender: Contender, database: str, jobs: int, options: Options) -> Figures:
    """Return the figures of a contender with this number of jobs that fire every second."""

    def once() -> Figures:
        with fresh(database) as url:
            return contender.call("fires", url=url, jobs=jobs, seconds=options.seconds)

    return medians(options.repeat, once)


if __name__ == "__main__":
    run_alone(measure, DEFAULTS, __doc__)

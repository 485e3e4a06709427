"""F5: a million stored jobs, none due: what adding, starting, a step, a page and memory cost.

Jobs are added through the public call, a thousand in a transaction, and one by one; the rest is
copied row by row, so that a million need not be waited for. *Start* is the time until the engine
has made its first step, *a step* what it takes when one job is due, *memory* what the process holds
after that, and *grows by* how much more that is than with ten jobs. APScheduler adds one by one
and lists all jobs or none. The limit of adding: rows that a loop by hand inserts a second.

    python -m bench.many_jobs [--n 1000000] [--repeat 1] [--only duly] [--databases SQLite]
"""

from __future__ import annotations

from collections.abc import Iterator

from bench.support import limits
from bench.support.contender import Contender
from bench.support.databases import fresh
from bench.support.figures import Figures, medians
from bench.support.line import Line, take_all
from bench.support.options import Options, run_alone
from bench.support.roster import APSCHEDULER, LIMIT, STORING

DEFAULTS = Options(n=1_000_000, repeat=1)
SHORT = Options(n=100_000, repeat=1)
FEW, ADDED = 10, 5000
SHOWN = {
    # figure: what, goal, unit, less
    "bulk": ("add, in bulk", "≥ 20,000/s", "/s", False),
    "add": ("add, one by one", "-", "/s", False),
    "start": ("start", "≤ 1 s", "s", True),
    "step": ("a step with one due", "≤ 2 ms", "ms", True),
    "page": ("list a page of 100", "≤ 50 ms", "ms", True),
    "memory": ("memory", "-", "MB", True),
    "grown": (f"memory grows over that with {FEW}", "≤ 30 MB", "MB", True),
}


def measure(options: Options) -> Iterator[Line]:
    """Yield a line for each figure and database."""
    for database in options.on("SQLite", "PostgreSQL"):
        lines = {
            name: Line("F5", f"{options.n:,} jobs: {what}", database, goal, unit, less=less)
            for name, (what, goal, unit, less) in SHOWN.items()
        }
        for contender in options.chosen([STORING, APSCHEDULER]):
            _take(lines, contender, database, options)
        for _limit in options.chosen([LIMIT]):
            lines["bulk"].take_limit(limits.inserted, database, options)
            lines["add"].take_limit(limits.inserted, database, options, "1")
        yield from lines.values()


def _take(lines: dict[str, Line], contender: Contender, database: str, options: Options) -> None:
    def once() -> Figures:
        few = _stored(contender, database, FEW)
        many = _stored(contender, database, options.n)
        return {**many, "grown": many["memory"] - few["memory"]}

    take_all(lines, contender.name, lambda: medians(options.repeat, once))


def _stored(contender: Contender, database: str, count: int) -> Figures:
    with fresh(database) as url:
        filled = contender.call("fill_many", url=url, count=count, added=min(ADDED, count))
        return {**filled, **contender.call("hold_many", url=url)}


if __name__ == "__main__":
    run_alone(measure, DEFAULTS, __doc__)

"""F9: how long after the call an enqueued run starts, when there is nothing else to do.

Runs are enqueued one after the other with a pause between them; each notes how long ago it was
sent, which includes the call itself. *Apart*: the worker is another process. *In process*: the one
that enqueues also executes. The limit: a loop by hand inserts a row and claims it.

    python -m bench.latency [--n 300] [--repeat 3] [--only duly] [--databases PostgreSQL]
"""

from __future__ import annotations

from collections.abc import Iterator

from bench.support import limits
from bench.support.contender import CannotRun, Contender
from bench.support.databases import fresh
from bench.support.figures import Figures, medians
from bench.support.line import Line, take_all
from bench.support.options import Options, run_alone
from bench.support.roster import CELERY, HUEY, LIMIT, OWN, PGQUEUER, PROCRASTINATE

DEFAULTS = Options(n=300, repeat=3)
SHORT = Options(n=100, repeat=1)
PAUSE = 0.02
APART = {"SQLite": [HUEY], "PostgreSQL": [PGQUEUER, PROCRASTINATE]}
GOALS = {
    ("PostgreSQL", True): {"p50": "≤ 3 ms", "p99": "≤ 10 ms"},
    ("PostgreSQL", False): {"p50": "≤ 1 ms", "p99": "-"},
    ("SQLite", True): {"p50": "-", "p99": "-"},
    ("SQLite", False): {"p50": "≤ 1 ms", "p99": "-"},
}


def measure(options: Options) -> Iterator[Line]:
    """Yield two lines (median and 99th percentile) for each database and arrangement."""
    for (database, apart), goals in GOALS.items():
        if database in options.databases:
            yield from _on(database, options, goals, apart=apart)
    if {"PostgreSQL", "Redis"} <= set(options.databases):
        lines = {
            "p50": Line("F9", "enqueue to start p50 (no Duly there)", "Redis", "-", "ms", True)
        }
        for contender in options.chosen([CELERY]):
            _take(lines, contender, "Redis", options, apart=True)
            yield from lines.values()


def _on(database: str, options: Options, goals: dict[str, str], *, apart: bool) -> Iterator[Line]:
    where = "apart" if apart else "in process"
    lines = {
        name: Line("F9", f"enqueue to start {name}, {where}", database, goal, "ms", less=True)
        for name, goal in goals.items()
    }
    for contender in options.chosen([OWN, *(APART[database] if apart else [])]):
        _take(lines, contender, database, options, apart=apart)
    for _limit in options.chosen([LIMIT]):
        for name, line in lines.items():
            line.take_limit(limits.pair, database, options, name)
    yield from lines.values()


def _take(
    lines: dict[str, Line], contender: Contender, database: str, options: Options, *, apart: bool
) -> None:
    def once() -> Figures:
        with fresh(database) as url:
            figures = contender.call("latency", url=url, count=options.n, pause=PAUSE, apart=apart)
        if figures["done"] < options.n:
            raise CannotRun(f"only {figures['done']:.0f} of {options.n} runs started")
        return figures

    take_all(lines, contender.name, lambda: medians(options.repeat, once))


if __name__ == "__main__":
    run_alone(measure, DEFAULTS, __doc__)

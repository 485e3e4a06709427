"""F11: how long a claim takes while another session holds an old snapshot and dead rows add up.

A transaction that only reads is left open: until it ends, no vacuum can remove a row version. Then
runs are enqueued, claimed and completed, a step at a time. The figure is the 99th percentile of the
time of Duly's claim statement in the last tenth of its claims; it takes up to 25 runs. The naive
claim beside it takes ten rows a time, in the order of an index that is full of dead entries.

    python -m bench.churn [--n 80000] [--seconds 300] [--repeat 1] [--only duly]
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import create_engine, text

from bench.support.contender import CannotRun
from bench.support.databases import fresh
from bench.support.figures import Figures, medians
from bench.support.line import DULY, Line, take_all
from bench.support.options import Options, run_alone
from bench.support.roster import LIMIT, OWN

DEFAULTS = Options(n=80_000, seconds=300, repeat=1)
SHORT = Options(n=20_000, seconds=60, repeat=1)
NAIVE_BATCH = 10
PARTS = {"first": "first tenth", "last": "last tenth", "p99": "throughout"}


def measure(options: Options) -> Iterator[Line]:
    """Yield a line for the first claims, for the last ones, and for all of them."""
    if "PostgreSQL" not in options.databases:
        return
    lines = {
        name: Line(
            "F11", f"claim p99 under a snapshot, {part}", "PostgreSQL", "≤ 2 ms", "ms", less=True
        )
        for name, part in PARTS.items()
    }
    for _own in options.chosen([OWN]):
        _take(lines, DULY, options)
    for _limit in options.chosen([LIMIT]):
        _take(lines, "naive claim", options)
    yield from lines.values()


def _take(lines: dict[str, Line], name: str, options: Options) -> None:
    def once() -> Figures:
        with fresh("PostgreSQL") as url, _held_snapshot(url):
            if name != DULY:
                return LIMIT.call("churn", url=url, count=options.n, batch=NAIVE_BATCH)
            figures = OWN.call("churn", url=url, count=options.n, seconds=options.seconds)
        if figures["done"] < options.n:
            raise CannotRun(f"only {figures['done']:.0f} of {options.n} runs were done in time")
        return figures

    take_all(lines, name, lambda: medians(options.repeat, once))


@contextmanager
def _held_snapshot(url: str) -> Iterator[None]:
    engine = create_engine(url, isolation_level="REPEATABLE READ")
    with engine.connect() as conn:
        conn.execute(text("select count(*) from pg_class"))
        yield
        conn.rollback()
    engine.dispose()


if __name__ == "__main__":
    run_alone(measure, DEFAULTS, __doc__)

"""F10: one, two and four workers on one PostgreSQL and one queue: more workers, never less done.

Runs are enqueued, then so many processes work them off; the rate is counted from the first to the
last one, and a run that two have executed is a duplicate. The limit: one process with a loop by
hand, claiming and completing in its best batch.

    python -m bench.scaling [--n 20000] [--seconds 120] [--repeat 3] [--only duly]
"""

from __future__ import annotations

from collections.abc import Iterator

from bench.support import limits
from bench.support.contender import CannotRun, Contender
from bench.support.databases import fresh
from bench.support.figures import Figures, medians
from bench.support.line import DULY, Line
from bench.support.options import Options, run_alone
from bench.support.roster import LIMIT, OWN, PGQUEUER, PROCRASTINATE, variants

DEFAULTS = Options(n=20_000, seconds=120, repeat=3)
SHORT = Options(n=5_000, seconds=60, repeat=1)
WORKERS = (1, 2, 4)
PEERS = [*variants(PGQUEUER, "batch", 100), *variants(PROCRASTINATE, "analysed", True)]


def measure(options: Options) -> Iterator[Line]:
    """Yield a line for each number of workers, and one for duplicates."""
    if "PostgreSQL" not in options.databases:
        return
    duplicates = Line("F10", "duplicates of all", "PostgreSQL", "0", "runs", less=True)
    limit: float | None = None
    for workers in WORKERS:
        line = Line("F10", f"workers: {workers}", "PostgreSQL", "total never falls", "/s")
        for contender in options.chosen([OWN, *PEERS]):
            _take(line, duplicates, contender, workers, options)
        for _limit in options.chosen([LIMIT]) if limit is None else []:
            line.take_limit(limits.turnover, "PostgreSQL", options)
            limit = line.limit
        line.limit = limit
        yield line
    yield duplicates


def _take(
    line: Line, duplicates: Line, contender: Contender, workers: int, options: Options
) -> None:
    def once() -> Figures:
        with fresh("PostgreSQL") as url:
            return contender.call(
                "scale", url=url, count=options.n, workers=workers, seconds=options.seconds
            )

    try:
        figures = medians(options.repeat, once)
    except CannotRun as error:
        line.troubles[contender.name] = str(error)
        return
    line.take_note(contender.name, figures["done"], options.n)
    line.figures[contender.name] = figures["rate"]
    if contender.name == DULY:
        duplicates.figures[DULY] = duplicates.figures.get(DULY, 0) + figures["duplicates"]


if __name__ == "__main__":
    run_alone(measure, DEFAULTS, __doc__)

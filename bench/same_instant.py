"""F3: many jobs of one instant, with default settings: is one missed, and how long it takes.

Time runs from the instant to the start of the last function. The limit: as long as a loop by hand
claims and completes as many rows in its best batch.

    python -m bench.same_instant [--n 3000] [--seconds 30] [--repeat 3] [--only duly]

A job that did not run within ``--seconds`` is missed.
"""

from __future__ import annotations

from collections.abc import Iterator

from bench.support import limits
from bench.support.contender import CannotRun, Contender
from bench.support.databases import fresh
from bench.support.figures import Figures, medians
from bench.support.line import Line
from bench.support.options import Options, run_alone
from bench.support.roster import APSCHEDULER, LIMIT, OWN

DEFAULTS = Options(n=3000, seconds=30, repeat=3)
SHORT = Options(n=3000, seconds=15, repeat=1)
GOALS = {"SQLite": "≤ 0.5 s", "PostgreSQL": "≤ 0.5 s"}


def measure(options: Options) -> Iterator[Line]:
    """Yield two lines for each database: the number of missed jobs, and the time for all."""
    for database in options.on(*GOALS):
        what = f"{options.n} jobs at one instant"
        missed = Line("F3", f"{what}: missed", database, "0", "jobs", less=True)
        taken = Line("F3", f"{what}: all done", database, GOALS[database], "s", less=True)
        for contender in options.chosen([OWN, APSCHEDULER]):
            try:
                figures = _once(contender, database, options)
            except CannotRun as error:
                missed.troubles[contender.name] = str(error)
                continue
            missed.figures[contender.name] = figures["missed"]
            taken.figures[contender.name] = figures["seconds"]
        for _limit in options.chosen([LIMIT]):
            taken.take_limit(_by_hand, database, options)
        yield missed
        yield taken


def _once(contender: Contender, database: str, options: Options) -> Figures:
    def once() -> Figures:
        with fresh(database) as url:
            return contender.call("same_instant", url=url, jobs=options.n, seconds=options.seconds)

    return medians(options.repeat, once)


def _by_hand(database: str, options: Options) -> float:
    return options.n / limits.turnover(database, options)


if __name__ == "__main__":
    run_alone(measure, DEFAULTS, __doc__)

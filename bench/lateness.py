"""F2: how late a job starts when 500 fire every second.

Lateness is the time from the nominal instant to the start of the function; the figure is its 99th
percentile. The limit: the time in which a loop by hand inserts a row and claims it.

    python -m bench.lateness [--n 500] [--seconds 10] [--repeat 3] [--only duly]
"""

from __future__ import annotations

from collections.abc import Iterator

from bench.fires import at_rate
from bench.support import limits
from bench.support.contender import Contender
from bench.support.line import Line
from bench.support.options import Options, run_alone
from bench.support.roster import APSCHEDULER, LIMIT, OWN

DEFAULTS = Options(n=500, seconds=10, repeat=3)
SHORT = Options(n=500, seconds=3, repeat=3)
GOALS = {"SQLite": "≤ 5 ms", "PostgreSQL": "≤ 10 ms"}


def measure(options: Options) -> Iterator[Line]:
    """Yield a line for each database."""
    for database in options.on(*GOALS):
        scenario = f"lateness p99 at {options.n} fires/s"
        line = Line("F2", scenario, database, GOALS[database], "ms", less=True)
        for contender in options.chosen([OWN, APSCHEDULER]):
            line.take(contender.name, _p99, contender, database, options)
        for _limit in options.chosen([LIMIT]):
            line.take_limit(limits.pair, database, options, "p99")
        yield line


def _p99(contender: Contender, database: str, options: Options) -> float:
    return at_rate(contender, database, options.n, options)["p99"]


if __name__ == "__main__":
    run_alone(measure, DEFAULTS, __doc__)

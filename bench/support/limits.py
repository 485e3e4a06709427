"""The limit of each scenario: what loops written by hand reach."""

from __future__ import annotations

from bench.support.databases import fresh
from bench.support.figures import Figures, medians
from bench.support.options import Options
from bench.support.roster import LIMIT

SECONDS = 1.5


def turnover(database: str, options: Options) -> float:
    """Return the rows claimed and completed per second, with the best batch size."""
    return max(_by_batch("turnover", database, options).values())


def inserted(database: str, options: Options, batch: str = "") -> float:
    """Return the rows inserted per second, with a batch size or the best one."""
    figures = _by_batch("insert", database, options)
    return figures[batch] if batch else max(figures.values())


def _by_batch(function: str, database: str, options: Options) -> Figures:
    def once() -> Figures:
        with fresh(database) as url:
            return LIMIT.call(function, url=url, seconds=min(SECONDS, options.seconds))

    return medians(options.repeat, once)


def pair(database: str, options: Options, figure: str) -> float:
    """Return the milliseconds to insert a row and to claim it, in two transactions."""

    def once() -> Figures:
        with fresh(database) as url:
            return LIMIT.call("pair", url=url, count=500)

    return medians(options.repeat, once)[figure]

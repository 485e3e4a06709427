"""The options of a scenario, and its command line."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from bench.support.contender import Contender
from bench.support.databases import SQL
from bench.support.line import DULY, Line, table
from bench.support.machine import describe


@dataclass(frozen=True)
class Options:
    """How much is measured, and of what.

    Attributes:
        n: the number of jobs or runs.
        seconds: the duration of a measurement, where a scenario takes one.
        repeat: the number of measurements of which a figure is the median.
        only: prefixes of the contenders' names, in lower case; empty for all contenders.
        databases: the names of the databases.
    """

    n: int = 1000
    seconds: float = 5
    repeat: int = 3
    only: tuple[str, ...] = ()
    databases: tuple[str, ...] = (*SQL, "MariaDB", "Redis")

    def chosen(self, contenders: Iterable[Contender]) -> Iterator[Contender]:
        """Return the contenders that were chosen."""
        for contender in contenders:
            name = contender.name.lower()
            if not self.only or any(name.startswith(wanted) for wanted in self.only):
                yield contender

    def on(self, *databases: str) -> list[str]:
        """Return the databases that were chosen."""
        return [name for name in databases if name in self.databases]


Measure = Callable[[Options], Iterator[Line]]


def exit_on_sigterm() -> None:
    """Leave no database and no process behind after SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_signal: sys.exit(1))


def run_alone(measure: Measure, defaults: Options, about: str | None) -> None:
    """Measure with the options of the command line, and print the table."""
    exit_on_sigterm()
    options = _parsed(defaults, about)
    print(*describe(), sep="\n", end="\n\n")
    print(f"n={options.n}, seconds={options.seconds:g}, medians of {options.repeat}\n")
    lines = []
    for line in measure(options):
        print(*line.details(), sep="\n", flush=True)
        lines.append(line)
    print(f"\n{table(lines)}")


def _parsed(defaults: Options, about: str | None) -> Options:
    parser = argparse.ArgumentParser(
        description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--n", type=int, default=defaults.n, help="the number of jobs or runs")
    parser.add_argument("--seconds", type=float, default=defaults.seconds)
    parser.add_argument("--repeat", type=int, default=defaults.repeat)
    parser.add_argument("--only", default="", help=f"contenders, as {DULY.lower()},huey,limit")
    parser.add_argument("--databases", default=",".join(defaults.databases))
    given = parser.parse_args()
    only = tuple(name.strip().lower() for name in given.only.split(",") if name)
    databases = tuple(name.strip() for name in given.databases.split(",") if name)
    return replace(
        defaults,
        n=given.n,
        seconds=given.seconds,
        repeat=given.repeat,
        only=only,
        databases=databases,
    )

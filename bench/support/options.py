"""How long a scenario measures; and a scenario that runs alone."""

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
    """How much is measured.

    Attributes:
        n: how many jobs or runs.
        seconds: how long, where time is given.
        repeat: of how many measurements the figures are medians.
        only: the names of the contenders, in small letters; empty: all of them.
        databases: the names of the databases.
    """

    n: int = 1000
    seconds: float = 5
    repeat: int = 3
    only: tuple[str, ...] = ()
    databases: tuple[str, ...] = (*SQL, "MariaDB", "Redis")

    def chosen(self, contenders: Iterable[Contender]) -> Iterator[Contender]:
        """Those of the contenders that are wanted."""
        for contender in contenders:
            name = contender.name.lower()
            if not self.only or any(name.startswith(wanted) for wanted in self.only):
                yield contender

    def on(self, *databases: str) -> list[str]:
        """Those of the databases that are wanted."""
        return [name for name in databases if name in self.databases]


Measure = Callable[[Options], Iterator[Line]]


def end_in_order() -> None:
    """Leave no database and no process behind when told to end."""
    signal.signal(signal.SIGTERM, lambda *_signal: sys.exit(1))


def run_alone(measure: Measure, defaults: Options, about: str | None) -> None:
    """Measure as the command line says, and print the table."""
    end_in_order()
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
    parser.add_argument("--n", type=int, default=defaults.n, help="how many jobs or runs")
    parser.add_argument("--seconds", type=float, default=defaults.seconds)
    parser.add_argument("--repeat", type=int, default=defaults.repeat)
    parser.add_argument("--only", default="", help=f"contenders, as {DULY.lower()},huey,limit")
    parser.add_argument("--databases", default=",".join(defaults.databases))
    held = parser.parse_args()
    only = tuple(name.strip().lower() for name in held.only.split(",") if name)
    databases = tuple(name.strip() for name in held.databases.split(",") if name)
    return replace(
        defaults, n=held.n, seconds=held.seconds, repeat=held.repeat, only=only, databases=databases
    )

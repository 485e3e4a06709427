"""Compare this checkout with another one: every scenario, on both in turn.

    python -m bench.compare ../before [--only F1,F7] [--repeat 3] [--databases SQLite,PostgreSQL]

Each measurement of one checkout is followed by the same measurement of the other, so that a busy
machine disturbs both alike. The figures are medians; a ratio above 1 means that this checkout is
better. Peers and limits are not measured, and no file is written.
"""

from __future__ import annotations

import argparse
import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import median
from types import ModuleType

from bench.__main__ import SCENARIOS
from bench.support.environments import ROOT, SOURCE
from bench.support.line import DULY, Line, rounded
from bench.support.options import exit_on_sigterm

HEAD = ("id", "scenario", "database", "unit", "before", "now", "ratio")


def main() -> None:
    """Measure both checkouts, and print a table."""
    options = _parsed()
    exit_on_sigterm()
    print("| " + " | ".join(HEAD) + " |\n" + "|---" * len(HEAD) + "|")
    for name in options.only.split(","):
        for cells in _compared(SCENARIOS[name], options):
            print("| " + " | ".join(cells) + " |", flush=True)


def _compared(scenario: ModuleType, options: argparse.Namespace) -> Iterator[tuple[str, ...]]:
    lines: dict[tuple[str, str], Line] = {}
    figures: dict[tuple[str, str, Path], list[float]] = defaultdict(list)
    checkouts = (options.before.resolve(), ROOT)
    for _ in range(options.repeat):
        for checkout in checkouts:
            os.environ[SOURCE] = str(checkout / "src")
            for line in scenario.measure(_settings(scenario, options)):
                key = line.scenario, line.database
                lines[key] = line
                if DULY in line.figures:
                    figures[*key, checkout].append(line.figures[DULY])
    for key, line in lines.items():
        before, now = (_median(figures[*key, checkout]) for checkout in checkouts)
        ratio = "-"
        if before and now:
            ratio = f"{before / now if line.less else now / before:.2f}"
        shown = ("-" if value is None else rounded(value) for value in (before, now))
        yield (line.id, *key, line.unit, *shown, ratio)


def _settings(scenario: ModuleType, options: argparse.Namespace) -> object:
    settings = replace(scenario.SHORT, repeat=1, only=(DULY.lower(),))
    return replace(settings, databases=tuple(options.databases.split(",")))


def _median(values: list[float]) -> float | None:
    return median(values) if values else None


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("before", type=Path, help="the other checkout")
    parser.add_argument("--only", default=",".join(SCENARIOS), help="F1,F7")
    parser.add_argument("--repeat", type=int, default=3, help="measurements of each checkout (3)")
    parser.add_argument("--databases", default="SQLite,PostgreSQL,MariaDB", help="default: all")
    return parser.parse_args()


if __name__ == "__main__":
    main()

"""Run a short form of every scenario; writes bench/RESULTS.md and bench/results.svg.

    python -m bench [--only F1,F7] [--long]

What cannot run here (no such server, a peer that cannot be installed) is listed in the results.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from types import ModuleType

from bench import (
    churn,
    drain,
    fires,
    imports,
    latency,
    lateness,
    many_jobs,
    same_instant,
    scaling,
    triggers,
)
from bench.support.chart import draw
from bench.support.environments import ROOT
from bench.support.line import Line, table
from bench.support.machine import describe
from bench.support.options import exit_on_sigterm

SCENARIOS: dict[str, ModuleType] = {
    "F1": fires,
    "F2": lateness,
    "F3": same_instant,
    "F4": drain,
    "F5": many_jobs,
    "F6": triggers,
    "F7": imports,
    "F9": latency,
    "F10": scaling,
    "F11": churn,
}
RESULTS, CHART = ROOT / "bench" / "RESULTS.md", ROOT / "bench" / "results.svg"


def main() -> None:
    """Measure, and write the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default=",".join(SCENARIOS), help="F1,F7")
    parser.add_argument("--long", action="store_true", help="as each script does alone")
    options = parser.parse_args()
    exit_on_sigterm()
    machine = describe()
    print(*machine, sep="\n", end="\n\n")
    lines = list(_measured(options.only.split(","), long=options.long))
    print(f"\n{table(lines)}")
    RESULTS.write_text(_page(machine, lines, long=options.long))
    CHART.write_text(draw(lines, machine[0]))
    print(f"\nwrote {RESULTS.relative_to(ROOT)} and {CHART.relative_to(ROOT)}")


def _measured(names: list[str], *, long: bool) -> Iterator[Line]:
    for name in names:
        scenario = SCENARIOS[name]
        began = time.monotonic()
        for line in scenario.measure(scenario.DEFAULTS if long else scenario.SHORT):
            print(*line.details(), sep="\n", flush=True)
            yield line
        print(f"({name} took {time.monotonic() - began:.0f} s)", flush=True)


def _page(machine: list[str], lines: list[Line], *, long: bool) -> str:
    lengths = [
        f"* {name}: n={settings.n}, {settings.seconds:g} s, medians of {settings.repeat}"
        for name, scenario in SCENARIOS.items()
        for settings in [scenario.DEFAULTS if long else scenario.SHORT]
    ]
    parts = [
        "# Results",
        "Made by `make bench`; [docs/benchmarks.md](../docs/benchmarks.md) says what each line"
        " means. Machines differ and are noisy: the ratios are the result.",
        "\n".join(f"* {line}" for line in machine),
        table(lines),
        "## Every figure",
        "\n".join(f"* {detail}" for line in lines for detail in line.details()),
        "## Settings",
        "\n".join(lengths),
    ]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    main()

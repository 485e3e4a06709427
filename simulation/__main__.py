"""Run many seeded worlds: ``make simulate SEEDS=2000``.

Prints the number of worlds, steps, runs, decisions and faults by kind, and for every violation its
seed and the steps that led to it. The exit code is 1 if anything was violated.

``--seed N`` replays one world. ``--mutate token`` plants a bug in Duly that the checks must find;
the exit code is then 0 if they found it.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

from simulation.mutations import MUTATIONS
from simulation.simulate import Report, simulate

PRINTED_IN_FULL = 3
CHUNK = 10


def main() -> int:
    """Run what the command line asks for and return the exit code."""
    options = _options()
    if os.environ.get("PYTHONHASHSEED") != "0":  # the iteration order of sets is part of a world
        environment = {**os.environ, "PYTHONHASHSEED": "0"}
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)  # noqa: S606
    if options.seed is None:
        return _run_many(options)
    report = simulate(options.seed, faults=options.faults, mutation=options.mutate)
    print("\n".join(report.log))
    print(report)
    return 0 if report.ok else 1


def _run_many(options: argparse.Namespace) -> int:
    started = time.perf_counter()
    run = partial(simulate, faults=options.faults, mutation=options.mutate)
    seeds = range(options.first, options.first + options.seeds)
    totals: Counter[str] = Counter()
    faults: Counter[str] = Counter()
    with ProcessPoolExecutor(options.processes, mp_context=get_context("spawn")) as pool:
        failed = _collect(pool.map(run, seeds, chunksize=CHUNK), totals, faults)
    print(
        f"{options.seeds} worlds, {totals['steps']} steps, {totals['runs']} runs, "
        f"{totals['decisions']} decisions, {totals['executions']} executions, "
        f"{faults.total()} faults, in {time.perf_counter() - started:.0f} s"
    )
    print("faults: " + ", ".join(f"{number} {name}" for name, number in faults.most_common()))
    print(f"violations: in {len(failed)} worlds" if failed else "violations: none")
    if options.mutate is None:
        return 1 if failed else 0
    found = f"found first by seed {failed[0]}" if failed else "NOT FOUND"
    print(f"mutation {options.mutate!r}: {found}, by {len(failed)} of {options.seeds} seeds")
    return 0 if failed else 1


def _collect(reports: Iterable[Report], totals: Counter[str], faults: Counter[str]) -> list[int]:
    """Add up the reports, print those with violations, and return their seeds."""
    failed: list[int] = []
    for done, report in enumerate(reports, 1):
        for name in ("steps", "runs", "decisions", "executions"):
            totals[name] += getattr(report, name)
        faults.update(report.faults)
        if not report.ok:
            failed.append(report.seed)
            brief = f"seed {report.seed}: {report.violations[0]}"
            print(report if len(failed) <= PRINTED_IN_FULL else brief, flush=True)
        if sys.stderr.isatty() and done % CHUNK == 0:
            print(f"\r{done} worlds", end="", file=sys.stderr, flush=True)
    return failed


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m simulation", description="Simulate Duly.")
    parser.add_argument("--seeds", type=int, default=200, help="the number of worlds (200)")
    parser.add_argument("--first", type=int, default=0, help="the first seed (0)")
    parser.add_argument("--seed", type=int, help="replay this world and print all its steps")
    parser.add_argument(
        "--faults", type=float, default=1.0, help="0 for none, 2 for twice as many (1)"
    )
    parser.add_argument(
        "--processes", type=int, default=os.cpu_count(), help="default: one per core"
    )
    parser.add_argument("--mutate", choices=sorted(MUTATIONS), help="plant this bug in Duly")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

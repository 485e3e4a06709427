"""Let many worlds live, each from a seed: ``make simulate SEEDS=2000``.

Prints worlds, steps, runs, decisions, faults by kind, and for every violation the seed and the
steps that led there. The exit code is 1 when there was one. ``--seed N`` replays one world,
``--mutate token`` puts a fault into Duly that must be found (then the exit code is 0 when it was).
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

from duly.testing.mutations import MUTATIONS
from duly.testing.simulate import Report, simulate

SHOWN = 3
CHUNK = 10


def main() -> int:
    chosen = arguments()
    if os.environ.get("PYTHONHASHSEED") != "0":  # the order of sets is a part of a world
        exact = {**os.environ, "PYTHONHASHSEED": "0"}
        os.execve(sys.executable, [sys.executable, *sys.argv], exact)  # noqa: S606
    if chosen.seed is not None:
        report = simulate(chosen.seed, faults=chosen.faults, mutation=chosen.mutate)
        print("\n".join(report.log))
        print(report)
        return 0 if report.ok else 1
    return many(chosen)


def many(chosen: argparse.Namespace) -> int:
    began = time.perf_counter()
    live = partial(simulate, faults=chosen.faults, mutation=chosen.mutate)
    totals: Counter[str] = Counter()
    faults: Counter[str] = Counter()
    failed = []
    with ProcessPoolExecutor(chosen.processes, mp_context=get_context("spawn")) as pool:
        seeds = range(chosen.first, chosen.first + chosen.seeds)
        for done, report in enumerate(pool.map(live, seeds, chunksize=CHUNK), 1):
            count(report, totals, faults)
            if not report.ok:
                failed.append(report)
                if len(failed) <= SHOWN:
                    print(report, flush=True)
                else:
                    print(f"seed {report.seed}: {report.violations[0]}", flush=True)
            if sys.stderr.isatty() and done % CHUNK == 0:
                print(f"\r{done} worlds", end="", file=sys.stderr, flush=True)
    seconds = time.perf_counter() - began
    print(
        f"{chosen.seeds} worlds, {totals['steps']} steps, {totals['runs']} runs, "
        f"{totals['decisions']} decisions, {totals['executions']} executions, "
        f"{faults.total()} faults, in {seconds:.0f} s"
    )
    print("faults: " + ", ".join(f"{number} {name}" for name, number in faults.most_common()))
    print(f"violations: in {len(failed)} worlds" if failed else "violations: none")
    if chosen.mutate is None:
        return 1 if failed else 0
    found = f"found first by seed {failed[0].seed}" if failed else "NOT FOUND"
    print(f"mutation {chosen.mutate!r}: {found}, by {len(failed)} of {chosen.seeds} seeds")
    return 0 if failed else 1


def count(report: Report, totals: Counter[str], faults: Counter[str]) -> None:
    for name in ("steps", "runs", "decisions", "executions"):
        totals[name] += getattr(report, name)
    faults.update(report.faults)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Simulate worlds of Duly.")
    parser.add_argument("--seeds", type=int, default=200, help="how many worlds")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--seed", type=int, help="replay this one and print all its steps")
    parser.add_argument("--faults", type=float, default=1.0, help="0 for none, 2 for twice as many")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--mutate", choices=sorted(MUTATIONS), help="a fault in Duly itself")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

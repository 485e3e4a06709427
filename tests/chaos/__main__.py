"""``python -m tests.chaos``: see docs/guides/chaos.md."""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys

from tests.chaos.databases import DATABASES
from tests.chaos.experiment import Plan, reason_to_skip, run
from tests.support.session import VARIABLE, close_session, open_session


def main() -> int:
    """Run an experiment on each database; return 1 if anything was violated or too slow."""
    options = _options()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that everything is cleaned up
    owner = VARIABLE not in os.environ
    if owner:
        open_session()
    broken = False
    try:
        if options.celery:
            return int(_celery(options))
        for database in options.database or list(DATABASES):
            reason = reason_to_skip(database)
            if reason:
                _print(f"{database}: skipped, {reason}")
                continue
            plan = Plan(
                database, options.seconds, options.seed, options.workers, options.rate,
                options.calls, options.load, options.keep,
            )  # fmt: skip
            figures = run(plan, _print)
            _print("\n".join(figures.lines()))
            broken |= bool(figures.broken or figures.slow)
    except KeyboardInterrupt:
        _print("interrupted")
        return 130
    finally:
        if owner and not options.keep:
            close_session()
    return int(broken)


def _celery(options: argparse.Namespace) -> bool:
    """Run the experiment with Celery on each broker; return whether anything was violated."""
    from tests.chaos.celery_experiment import CeleryPlan, reason_to_skip_celery, run_celery

    broken = False
    for broker in options.broker or ["redis", "rabbitmq"]:
        reason = reason_to_skip_celery(broker)
        if reason:
            _print(f"celery on {broker}: skipped, {reason}")
            continue
        figures = run_celery(CeleryPlan(broker, options.runs, seed=options.seed), _print)
        _print("\n".join(figures.lines()))
        broken |= bool(figures.broken)
    return broken


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make chaos", description="Break everything, and check what must hold."
    )
    parser.add_argument(
        "--database", action="append", choices=list(DATABASES), help="default: each"
    )
    parser.add_argument("--seconds", type=float, default=150, help="seconds of faults (150)")
    parser.add_argument("--seed", type=int, default=None, help="seed of the faults (random)")
    parser.add_argument("--workers", type=int, default=8, help="number of worker processes (8)")
    parser.add_argument("--rate", type=float, default=2.3, help="faults per second (2.3)")
    parser.add_argument("--calls", type=float, default=4, help="calls enqueued per second (4)")
    parser.add_argument("--load", default="", help="module of an application's jobs (none)")
    parser.add_argument("--celery", action="store_true", help="run the experiment with Celery")
    parser.add_argument("--broker", action="append", help="with --celery; default: each")
    parser.add_argument("--runs", type=int, default=2_000, help="with --celery (2,000)")
    parser.add_argument("--keep", action="store_true", help="keep the folder with all logs")
    options = parser.parse_args()
    if options.seed is None:
        options.seed = random.randrange(1_000_000)
    return options


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())

"""``python -m tests.chaos``: see docs/guides/chaos.md."""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys

from tests.chaos.campaign import Plan, run, why_not
from tests.chaos.ground import GROUNDS
from tests.support.session import VARIABLE, close_session, open_session


def main() -> int:
    """Run chaos on each database that is asked for; 1 if anything did not hold."""
    options = _options()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that everything is cleared away
    owner = VARIABLE not in os.environ
    if owner:
        open_session()
    broken = False
    try:
        for database in options.database or list(GROUNDS):
            reason = why_not(database)
            if reason:
                _say(f"{database}: skipped, {reason}")
                continue
            plan = Plan(
                database, options.seconds, options.seed, options.workers, options.rate,
                options.calls, options.keep,
            )  # fmt: skip
            figures = run(plan, _say)
            _say("\n".join(figures.lines()))
            broken |= bool(figures.broken or figures.slow)
    except KeyboardInterrupt:
        _say("interrupted")
        return 130
    finally:
        if owner and not options.keep:
            close_session()
    return int(broken)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make chaos", description="Break everything; see what holds."
    )
    parser.add_argument("--database", action="append", choices=list(GROUNDS), help="default: each")
    parser.add_argument("--seconds", type=float, default=150, help="of faults (150)")
    parser.add_argument("--seed", type=int, default=None, help="of the faults; default: any")
    parser.add_argument("--workers", type=int, default=8, help="processes (8)")
    parser.add_argument("--rate", type=float, default=2.3, help="faults a second (2.3)")
    parser.add_argument("--calls", type=float, default=4, help="calls enqueued a second (4)")
    parser.add_argument("--keep", action="store_true", help="keep the folder with all logs")
    options = parser.parse_args()
    if options.seed is None:
        options.seed = random.randrange(1_000_000)
    return options


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())

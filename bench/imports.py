"""F7: how long an import of Duly takes, and how long its command line takes to answer.

Each is a new interpreter, less the time of one that does nothing; the figure is the median. The
limit of a scheduler on SQLAlchemy is the import of SQLAlchemy alone; that of a command line, click.

    python -m bench.imports [--repeat 15]
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from statistics import median

from bench.support.contender import CannotRun
from bench.support.environments import interpreter, variables
from bench.support.line import DULY, Line
from bench.support.options import Options, run_alone

DEFAULTS = Options(repeat=15)
SHORT = Options(repeat=5)
APSCHEDULER = "from apscheduler.schedulers.background import BackgroundScheduler"


def measure(options: Options) -> Iterator[Line]:
    """Yield a line for each statement or command."""
    package = Line("F7", "import duly", "-", "≤ 30 ms", "ms", less=True)
    package.take(DULY, milliseconds, "import duly", options)
    yield package
    goal = "≤ SQLAlchemy + 120 ms"
    scheduler = Line("F7", "from duly import Scheduler", "-", goal, "ms", less=True)
    scheduler.take(DULY, milliseconds, "from duly import Scheduler", options)
    if not options.only:
        alone = "from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore"
        scheduler.take("APScheduler 3", milliseconds, f"{APSCHEDULER}; {alone}", options, "peers")
        scheduler.take_limit(milliseconds, "import sqlalchemy", options)
    yield scheduler
    command = Line("F7", "duly --help", "-", "≤ 150 ms", "ms", less=True)
    shown = "import sys; sys.argv[1:] = ['--help']; from duly.cli.main import main; main()"
    command.take(DULY, milliseconds, shown, options)
    if not options.only:
        command.take(
            "Celery",
            milliseconds,
            shown.replace("duly.cli.main", "celery.__main__"),
            options,
            "peers",
        )
        command.take_limit(milliseconds, "import click", options)
    yield command


def milliseconds(code: str, options: Options, environment: str = "") -> float:
    """Return the median time that a new interpreter needs for this code, in milliseconds."""
    python = str(interpreter(environment))
    taken = []
    _seconds(python, code)  # compiles modules that were not imported before
    for _ in range(options.repeat):
        idle = _seconds(python, "pass")
        taken.append(_seconds(python, code) - idle)
    return median(taken) * 1000


def _seconds(python: str, code: str) -> float:
    began = time.perf_counter()
    done = subprocess.run(
        [python, "-c", code], capture_output=True, text=True, check=False, env=variables()
    )
    taken = time.perf_counter() - began
    if done.returncode:
        raise CannotRun(done.stderr.strip().splitlines()[-1])
    return taken


if __name__ == "__main__":
    run_alone(measure, DEFAULTS, __doc__)

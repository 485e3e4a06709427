"""``duly run`` and ``duly worker``: a process that does nothing but take part."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any

import click

from duly.cli.application import app_dir_option, application_argument, load_scheduler
from duly.cli.logs import LEVELS, configure_logging
from duly.cli.signals import StopSignals
from duly.model.step import OUTCOMES, OutcomeCounter
from duly.scheduler import Scheduler

log = logging.getLogger("duly.cli")
DEFAULT_CONCURRENCY = 10
"""How many runs of a queue are executed at once where nobody says."""
_OPTIONS = (
    application_argument,
    app_dir_option,
    click.option(
        "--queues",
        metavar="A,B=5",
        help="Queues to execute, with how many runs at once; default: the scheduler's own",
    ),
    click.option(
        "--grace",
        type=click.FloatRange(min=0),
        help="Seconds that running functions get at the end; default: the scheduler's own",
    ),
    click.option(
        "--log-level", type=click.Choice(LEVELS), default="info", show_default=True,
        help="What is written to standard error",
    ),
    click.option("--json", "as_json", is_flag=True, help="Write JSON"),
)  # fmt: skip


def _options(command: Any) -> Any:
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@click.command("run")
@_options
@click.option("--once", is_flag=True, help="Do what is due, and end when nothing is any more")
def run_command(  # noqa: PLR0917 - click gives them by name
    app: str, app_dir: str, queues: str | None, grace: float | None, log_level: str,
    as_json: bool, once: bool,
) -> None:  # fmt: skip
    """Fire and execute the jobs of APP until it is summary to stop.

    APP is MODULE:ATTRIBUTE, such as myapp.jobs:scheduler: a Scheduler, or a function that makes
    one. SIGTERM and Ctrl-C end it in order: what does not finish within the grace is given back to
    other workers. A second signal does not wait for the grace.

    With --once it fires and executes what is due and ends: for cron, and for platforms that freeze
    processes.

    Exit codes: 0 stopped in order, 1 the database does not answer (--once, start="required") or
    APP failed to load, 2 something in the call is wrong.
    """
    scheduler = _open(app, app_dir, log_level, as_json=as_json)
    if queues is not None:
        scheduler.configure_worker(queues=_read_queues(queues, scheduler.settings.queues))
    if once:
        _run_once(scheduler, grace, as_json=as_json)
    else:
        _serve(scheduler, app, grace)


@click.command("worker")
@_options
def worker_command(  # noqa: PLR0917 - click gives them by name
    app: str, app_dir: str, queues: str | None, grace: float | None, log_level: str, as_json: bool
) -> None:
    """Execute runs of APP, but fire nothing.

    For more hands, or for hands for some queues only, beside a process that fires: "duly run", or
    the application itself. APP, signals and exit codes: see "duly run --help".
    """
    scheduler = _open(app, app_dir, log_level, as_json=as_json)
    held = scheduler.settings.queues
    scheduler.configure_worker(
        queues=held if queues is None else _read_queues(queues, held), fires=False
    )
    _serve(scheduler, app, grace)


def _open(app: str, app_dir: str, log_level: str, *, as_json: bool) -> Scheduler:
    scheduler = load_scheduler(app, app_dir)
    configure_logging(log_level, as_json=as_json)
    return scheduler


def _serve(scheduler: Scheduler, app: str, grace: float | None) -> None:
    seconds = scheduler.settings.grace if grace is None else grace
    with StopSignals(scheduler.skip_grace) as signals:
        try:
            log.info("%s: %s", app, _described(scheduler))
            scheduler.start()
            signals.wait()
        finally:
            why = " and ".join(signals.taken) or "an error"
            log.info("%s: stopping; what runs gets %g s", why, seconds)
            scheduler.stop(seconds)
            log.info("stopped")


def _run_once(scheduler: Scheduler, grace: float | None, *, as_json: bool) -> None:
    counter = OutcomeCounter()
    scheduler.on("*", counter)
    with StopSignals(scheduler.skip_grace) as signals:
        try:
            with signals.interrupting():
                scheduler.tick()
        finally:
            scheduler.stop(grace)
    counts = counter.counts()
    if as_json:
        click.echo(json.dumps(counts))
    else:
        summary = ", ".join(f"{counts[kind]} {kind}" for kind in OUTCOMES if counts[kind])
        click.echo(f"runs: {summary or 'nothing was due'}")


def _described(scheduler: Scheduler) -> str:
    held = scheduler.settings
    queues = ", ".join(f"{name}={places}" for name, places in held.queues.items())
    fires = "fires and executes" if held.fires else "executes, fires nothing"
    return f"{fires}; queues {queues}; {len(scheduler.registry.names())} tasks"


def _read_queues(text: str, held: Mapping[str, int]) -> dict[str, int]:
    """``a,b=5``; a queue without a number keeps the scheduler's own."""
    queues: dict[str, int] = {}
    for part in text.split(","):
        name, equals, count = part.strip().partition("=")
        if not name or (equals and not count.isdecimal()):
            raise click.BadParameter(
                f"{part!r} is no queue; write names with commas between, each with how many runs "
                "at once if you like: mail,reports=2",
                param_hint="--queues",
            )
        queues[name] = int(count) if equals else held.get(name, DEFAULT_CONCURRENCY)
    return queues

"""``duly run`` and ``duly worker``: a process that fires and executes, or only executes."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import click

from duly.cli.application import app_dir_option, application_argument, load_scheduler
from duly.cli.lifespan import application_lifespan
from duly.cli.logs import LEVELS, configure_logging
from duly.cli.signals import StopSignals
from duly.cli.supervised import SupervisorLink, supervisor_link
from duly.cli.supervisor import MAX_PROCESSES, Supervisor
from duly.clock import SystemClock
from duly.errors import did_you_mean
from duly.model.step import OUTCOMES, OutcomeCounter
from duly.scheduler import Scheduler

log = logging.getLogger("duly.cli")
DEFAULT_CONCURRENCY = 10
"""The number of concurrent runs of a queue for which none is configured."""
_OPTIONS = (
    application_argument,
    app_dir_option,
    click.option(
        "--queues",
        metavar="A,B=5",
        help="Queues to execute, with the number of concurrent runs; default: as configured",
    ),
    click.option(
        "--grace",
        type=click.FloatRange(min=0),
        help="Seconds that running functions get to finish at shutdown; default: as configured",
    ),
    click.option(
        "--log-level", type=click.Choice(LEVELS), default="info", show_default=True,
        help="Lowest level of log lines on standard error",
    ),
    click.option("--json", "as_json", is_flag=True, help="Write logs and results as JSON"),
    click.option(
        "--processes", type=click.IntRange(1, MAX_PROCESSES), metavar="N",
        help="Supervise N processes that each do this; default: this process does it itself",
    ),
    click.option(
        "--metrics-port", type=click.IntRange(0, 65_535), metavar="PORT",
        help="Serve Prometheus metrics; process N of --processes uses PORT + N - 1",
    ),
    click.option(
        "--metrics-host", default="127.0.0.1", show_default=True, metavar="ADDRESS",
        help="The address for --metrics-port; all who reach it can read the metrics",
    ),
)  # fmt: skip


def _options(command: Any) -> Any:
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@click.command("run")
@_options
@click.option("--once", is_flag=True, help="Exit when nothing more is due")
def run_command(  # noqa: PLR0917 - click passes them by name
    app: str, app_dir: str, queues: str | None, grace: float | None, log_level: str,
    as_json: bool, processes: int | None, metrics_port: int | None, metrics_host: str, once: bool,
) -> None:  # fmt: skip
    """Fire and execute the jobs of APP until the process receives a signal to stop.

    APP is MODULE:ATTRIBUTE, such as myapp.main:app: an application that init_app has connected to
    a scheduler, a Scheduler, or a function that returns either. The lifespan of a FastAPI or
    Starlette application is entered, so that jobs find what it opens; nothing is served.

    SIGTERM and Ctrl-C shut it down gracefully: runs that do not finish within the grace period are
    given back to other workers. A second signal skips the grace period.

    With --once, the command fires and executes what is due, and exits. Use it with cron, and on
    platforms that freeze processes.

    With --processes, all processes fire and execute, each with the slots of --queues. One that dies
    is started again; see the guide "Running".

    Exit codes: 0 graceful shutdown, 1 the database does not respond (with --once, or with
    start="required"), APP could not be loaded, or a supervised process had to be killed, 2 an
    argument is wrong.
    """
    if once and processes:
        raise click.BadParameter("--once needs no supervision", param_hint="--processes")
    link = _supervise_unless_supervised(processes, app, log_level, as_json=as_json)
    scheduler = _open(app, app_dir, log_level, as_json=as_json)
    if queues is not None:
        scheduler.configure_worker(queues=_chosen_queues(scheduler, app, queues))
    if once:
        _run_once(scheduler, grace, as_json=as_json)
    else:
        with _serving_metrics(scheduler, metrics_port, metrics_host, link):
            _serve(scheduler, app, grace, link)


@click.command("worker")
@_options
def worker_command(  # noqa: PLR0917 - click passes them by name
    app: str, app_dir: str, queues: str | None, grace: float | None, log_level: str,
    as_json: bool, processes: int | None, metrics_port: int | None, metrics_host: str,
) -> None:  # fmt: skip
    """Execute runs of APP without firing its jobs.

    Use it to add capacity, for all queues or for some, beside a process that fires: "duly run", or
    the application itself. APP, signals, --processes and exit codes: see "duly run --help".
    """
    link = _supervise_unless_supervised(processes, app, log_level, as_json=as_json)
    scheduler = _open(app, app_dir, log_level, as_json=as_json)
    chosen = None if queues is None else _chosen_queues(scheduler, app, queues)
    scheduler.configure_worker(queues=chosen, fires=False)
    with _serving_metrics(scheduler, metrics_port, metrics_host, link):
        _serve(scheduler, app, grace, link)


def _supervise_unless_supervised(
    processes: int | None, app: str, log_level: str, *, as_json: bool
) -> SupervisorLink | None:
    """Return this process's connection to its supervisor, if it has one.

    Raises:
        SystemExit: this process was the supervisor, and has ended its work.
    """
    link = supervisor_link()
    if link is not None or processes is None:
        return link
    configure_logging(log_level, as_json=as_json)
    log.info("Supervising %d processes of %s.", processes, app)
    raise SystemExit(Supervisor(processes, SystemClock()).run())


def _open(app: str, app_dir: str, log_level: str, *, as_json: bool) -> Scheduler:
    scheduler = load_scheduler(app, app_dir)
    configure_logging(log_level, as_json=as_json)
    return scheduler


@contextmanager
def _serving_metrics(
    scheduler: Scheduler, port: int | None, host: str, link: SupervisorLink | None
) -> Iterator[None]:
    """Serve the metrics of this process in the block, if a port is given for them."""
    if port is None:
        yield
        return
    try:
        from duly.observe import Metrics, serving  # noqa: PLC0415 - prometheus-client is an extra
    except ImportError as error:
        raise click.UsageError(f"--metrics-port: {error}") from error
    own = port + link.number - 1 if port and link is not None else port
    with serving(Metrics.of(scheduler), own, host) as served:
        log.info("Serving metrics on http://%s:%d/metrics.", host, served)
        yield


def _serve(
    scheduler: Scheduler, app: str, grace: float | None, link: SupervisorLink | None
) -> None:
    seconds = scheduler.settings.grace if grace is None else grace
    with StopSignals(scheduler.skip_grace) as signals:
        try:
            log.info("Starting %s: %s.", app, _describe(scheduler))
            with application_lifespan(scheduler):
                _run_until_signal(scheduler, signals, seconds, link)
        finally:
            log.info("Stopped.")


def _run_until_signal(
    scheduler: Scheduler, signals: StopSignals, grace: float, link: SupervisorLink | None
) -> None:
    try:
        scheduler.start()
        if link is not None:
            link.report_started(grace)
        signals.wait()
    finally:
        if scheduler.state != "stopped":
            cause = " and ".join(signals.received) or "After an error"
            log.info("%s: shutting down; running functions have %g s to finish.", cause, grace)
        scheduler.stop(grace)


def _run_once(scheduler: Scheduler, grace: float | None, *, as_json: bool) -> None:
    counter = OutcomeCounter()
    scheduler.on("*", counter)
    with StopSignals(scheduler.skip_grace) as signals, application_lifespan(scheduler):
        try:
            with signals.interrupting():
                if scheduler.state == "stopped":
                    scheduler.tick()
                else:  # the application's lifespan has started it
                    scheduler.run_due(wait=None)
        finally:
            scheduler.stop(grace)
    counts = counter.counts()
    if as_json:
        click.echo(json.dumps(counts))
    else:
        summary = ", ".join(f"{counts[kind]} {kind}" for kind in OUTCOMES if counts[kind])
        click.echo(f"runs: {summary or 'nothing was due'}")


def _describe(scheduler: Scheduler) -> str:
    settings = scheduler.settings
    queues = ", ".join(f"{name}={limit}" for name, limit in settings.queues.items())
    role = "fires and executes" if settings.fires else "executes without firing"
    return f"{role}; queues {queues}; {len(scheduler.registry.names())} tasks"


def _chosen_queues(scheduler: Scheduler, app: str, text: str) -> dict[str, int]:
    """Parse ``--queues``, and warn of names that nothing in the application's code mentions."""
    configured = scheduler.settings.queues
    chosen = _read_queues(text, configured)
    used = {job.options.queue for job in scheduler.declared()}
    used |= {
        task.options["queue"] for task in scheduler.registry.tasks() if "queue" in task.options
    }
    known = {*configured, *used, scheduler.settings.defaults.queue}
    for name in chosen:
        if name not in known:
            hint = did_you_mean(name, known)
            log.warning("--queues: nothing in the code of %s uses the queue %r%s", app, name, hint)
    return chosen


def _read_queues(text: str, configured: Mapping[str, int]) -> dict[str, int]:
    """Parse ``a,b=5``; a queue without a number keeps its configured one."""
    queues: dict[str, int] = {}
    for part in text.split(","):
        name, equals, count = part.strip().partition("=")
        if not name or (equals and not count.isdecimal()):
            raise click.BadParameter(
                f"{part!r} is not a valid queue; separate queues by commas, each optionally with "
                "its number of concurrent runs: mail,reports=2",
                param_hint="--queues",
            )
        queues[name] = int(count) if equals else configured.get(name, DEFAULT_CONCURRENCY)
    return queues

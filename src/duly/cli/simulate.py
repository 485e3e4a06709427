"""``duly simulate``: forecast an application's schedule without executing anything."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import click

from duly.cli.application import app_dir_option, application_argument, load_scheduler
from duly.cli.inputs import parse_instant
from duly.cli.logs import configure_logging
from duly.forecast import Forecast, simulate_schedule

WEEK = timedelta(days=7)


@click.command("simulate")
@application_argument
@app_dir_option
@click.option("--from", "start", metavar="INSTANT", help="ISO 8601 with an offset; default: now")
@click.option("--to", "end", metavar="INSTANT", help="Excluded; default: a week after --from")
@click.option("--stored", is_flag=True, help="Take the active jobs in the database, not the code's")
@click.option("--fires", is_flag=True, help="Print every fire in chronological order")
@click.option("--json", "as_json", is_flag=True, help="Print JSON")
def simulate_command(  # noqa: PLR0917 - click passes them by name
    app: str, app_dir: str, start: str | None, end: str | None, stored: bool, fires: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Forecast how often each job of APP fires between two instants.

    Nothing is executed or written. The forecast honours each job's start, end and maximum number
    of fires, its exclusions, and clock changes; it leaves out whatever depends on the state of a
    database (overlap, pauses, catch-up). With --stored the jobs are read from the database. APP:
    see "duly run --help".

    Exit codes: 0 success, 1 APP could not be loaded or (with --stored) the database does not
    respond, 2 an argument is wrong.
    """
    first = parse_instant(start, "--from")
    last = first + WEEK if end is None else parse_instant(end, "--to")
    if last < first:
        raise click.BadParameter(f"{end} is before {first.isoformat()}", param_hint="--to")
    scheduler = load_scheduler(app, app_dir)
    configure_logging("warning", as_json=as_json)
    forecast = simulate_schedule(scheduler, first, last, stored=stored)
    if stored:
        scheduler.store.dispose()
    if as_json:
        click.echo(json.dumps(_as_json(forecast, fires=fires), indent=2))
    elif fires:
        for fire in forecast.fires():
            click.echo(f"{_format(fire.at)}  {fire.job_id}")
    else:
        _print_table(forecast)


def _print_table(forecast: Forecast) -> None:
    width = max(map(len, forecast.jobs), default=0)
    for job in forecast.jobs.values():
        span = f"{_format(job.first)} to {_format(job.last)}" if job.first and job.last else "never"
        click.echo(f"{job.job_id:<{width}}  {job.count:>9,}  {span}  {job.described}")
    click.echo(f"{forecast.total:,} fires of {len(forecast.jobs)} jobs")


def _format(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def _as_json(forecast: Forecast, *, fires: bool) -> dict[str, Any]:
    document: dict[str, Any] = {
        "from": forecast.start.isoformat(),
        "to": forecast.end.isoformat(),
        "total": forecast.total,
        "jobs": [
            {
                "id": job.job_id,
                "count": job.count,
                "first": job.first.isoformat() if job.first else None,
                "last": job.last.isoformat() if job.last else None,
                "trigger": job.described,
            }
            for job in forecast.jobs.values()
        ],
    }
    if fires:
        document["fires"] = [
            {"at": fire.at.isoformat(), "job": fire.job_id} for fire in forecast.fires()
        ]
    return document

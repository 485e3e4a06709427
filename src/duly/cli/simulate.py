"""``duly simulate``: a stretch of an application's schedule in a second, nothing executed."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import click

from duly.cli.application import app_dir_option, application_argument, load_scheduler
from duly.cli.instants import parse_instant
from duly.cli.logs import configure_logging
from duly.forecast import Forecast, simulate_schedule

WEEK = timedelta(days=7)


@click.command("simulate")
@application_argument
@app_dir_option
@click.option("--from", "start", metavar="INSTANT", help="ISO 8601 with its offset; default: now")
@click.option("--to", "end", metavar="INSTANT", help="Not included; default: a week later")
@click.option("--stored", is_flag=True, help="The active jobs in the database, not those in code")
@click.option("--fires", is_flag=True, help="Each fire, in the order of time")
@click.option("--json", "as_json", is_flag=True, help="Print JSON")
def simulate_command(  # noqa: PLR0917 - click gives them by name
    app: str, app_dir: str, start: str | None, end: str | None, stored: bool, fires: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Say which jobs of APP fire how often in a stretch of time.

    Nothing is executed and nothing written. Start, end and number of fires, exclusions and clock
    changes are honoured; what depends on the state of a database (overlap, pauses, catch-up) is
    left out. With --stored the database is read. APP: see "duly run --help".

    Exit codes: 0 done, 1 the database does not answer (--stored) or APP failed to load, 2
    something in the call is wrong.
    """
    since = parse_instant(start, "--from")
    until = since + WEEK if end is None else parse_instant(end, "--to")
    if until < since:
        raise click.BadParameter(f"{end} is before {since.isoformat()}", param_hint="--to")
    scheduler = load_scheduler(app, app_dir)
    configure_logging("warning", as_json=as_json)
    told = simulate_schedule(scheduler, since, until, stored=stored)
    if stored:
        scheduler.store.dispose()
    if as_json:
        click.echo(json.dumps(_plain(told, each=fires), indent=2))
    elif fires:
        for fire in told.fires():
            click.echo(f"{_text(fire.at)}  {fire.job_id}")
    else:
        _print_table(told)


def _print_table(told: Forecast) -> None:
    wide = max(map(len, told.jobs), default=0)
    for job in told.jobs.values():
        span = f"{_text(job.first)} to {_text(job.last)}" if job.first and job.last else "never"
        click.echo(f"{job.job_id:<{wide}}  {job.count:>9,}  {span}  {job.described}")
    click.echo(f"{told.total:,} fires of {len(told.jobs)} jobs")


def _text(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def _plain(told: Forecast, *, each: bool) -> dict[str, Any]:
    held: dict[str, Any] = {
        "from": told.start.isoformat(),
        "to": told.end.isoformat(),
        "total": told.total,
        "jobs": [
            {
                "id": job.job_id,
                "count": job.count,
                "first": job.first.isoformat() if job.first else None,
                "last": job.last.isoformat() if job.last else None,
                "trigger": job.described,
            }
            for job in told.jobs.values()
        ],
    }
    if each:
        held["fires"] = [{"at": fire.at.isoformat(), "job": fire.job_id} for fire in told.fires()]
    return held

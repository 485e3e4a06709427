"""``duly import``: jobs from the schedules of other systems."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from duly.cli.application import app_dir_option, application_argument, load_object, load_scheduler
from duly.cli.output import print_json, print_table

COLUMNS = {"job": "id", "task": "task", "trigger": "trigger", "outcome": "outcome"}


@click.group("import")
def import_command() -> None:
    """Import the schedules of other systems."""


@import_command.command("celery-beat")
@application_argument
@click.argument("celery_app", metavar="CELERY_APP")
@click.option("--database", metavar="URL", help="The database of django-celery-beat")
@click.option("--apply", is_flag=True, help="Add the jobs; without it nothing is written")
@click.option("--json", "as_json", is_flag=True, help="Print JSON")
@app_dir_option
def celery_beat_command(
    app: str, celery_app: str, database: str | None, app_dir: str, *, apply: bool, as_json: bool
) -> None:
    """Add the schedules of Celery beat to the scheduler of APP, as jobs that send its tasks.

    It reads the beat_schedule of CELERY_APP (MODULE:ATTRIBUTE), or the tables of django-celery-beat
    in --database. Jobs that exist already stay as they are. Stop beat before you add the jobs.

    Exit codes: 0 success, 1 the database does not respond, or an application could not be loaded, 2
    an argument is wrong.
    """
    from duly.integrations.celery import beat  # noqa: PLC0415 - Celery is optional

    scheduler = load_scheduler(app, app_dir)
    celery: Any = load_object(celery_app, app_dir)
    if not hasattr(celery, "conf") or not hasattr(celery, "send_task"):
        raise click.BadParameter(f"{celery_app!r} is not a Celery application")
    try:
        scheduler.prepare()
        if database is None:
            entries = beat.read_beat_schedule(celery)
        else:
            entries = beat.read_django_celery_beat(database)
        _print(
            beat.import_entries(scheduler, entries, celery, apply=apply),
            applied=apply, as_json=as_json,
        )  # fmt: skip
    finally:
        scheduler.store.dispose()


def _print(found: Sequence[Any], *, applied: bool, as_json: bool) -> None:
    if as_json:
        print_json([each.to_dict() for each in found])
        return
    print_table([each.to_dict() for each in found], COLUMNS)
    for each in found:
        for remark in each.remarks:
            click.echo(f"{each.id}: {remark}")
    if not any(each.outcome != "refused" for each in found):
        return
    if not applied:
        click.echo("Nothing was written; --apply adds the jobs.")
    click.echo("The application must know these tasks, in every process that executes them:")
    for line in sorted({each.declaration for each in found if each.outcome != "refused"}):
        click.echo(f"    {line}")

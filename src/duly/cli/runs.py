"""``duly runs`` and ``duly dead``: what was executed, and what failed for good."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from duly.cli.bulk import change, changes_many, split_filters
from duly.cli.client import Client, segment
from duly.cli.following import until_ended
from duly.cli.listing import paged, print_list
from duly.cli.output import print_item, print_json, print_table
from duly.cli.target import on_target
from duly.model.text import printable

COLUMNS = {
    "ID": "id", "STATE": "state", "JOB": "job_id", "TASK": "task", "DUE": "due_at",
    "DURATION": "duration", "ATTEMPT": "attempt", "ERROR": "error_type",
}  # fmt: skip
DEAD = {
    "TASK": "task", "ERROR": "error_type", "TOTAL": "total", "1 H": "last_hour", "24 H": "last_day",
    "7 D": "last_week", "LAST": "last_at", "EXAMPLE": "example.id",
}  # fmt: skip
LOG = {"AT": "at", "LEVEL": "level", "MESSAGE": "message"}
run_argument = click.argument("run_id", metavar="RUN")
optional_run = click.argument("run_id", metavar="[RUN]", required=False)
_FILTERS = (
    click.option("--job", help="Only runs of this job"),
    click.option("--task", help="Only runs of this task"),
    click.option("--state", multiple=True, help="Only runs in this state; several are allowed"),
    click.option("--queue", help="Only runs of this queue"),
    click.option("--tag", help="Only runs whose job has this tag"),
    click.option("--error-type", metavar="NAME", help="Only runs that failed with this error"),
    click.option("--worker", help="Only runs that this worker executed"),
    click.option("--since", metavar="INSTANT", help="Only runs created at this time or later"),
    click.option("--until", metavar="INSTANT", help="Only runs created before this time"),
    click.option("--text", help="Only runs with this part in their job, task or error"),
    click.option("--parent", metavar="RUN", help="Only runs that followed this one"),
)


@click.group("runs")
def runs_command() -> None:
    """List, follow, cancel, retry and discard runs.

    Targets and exit codes: see `duly jobs --help`.
    """


def run_filters(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that choose runs."""
    for option in reversed(_FILTERS):
        command = option(command)
    return command


@runs_command.command("list")
@on_target
@run_filters
@click.option("--order", type=click.Choice(["newest", "oldest"]), default="newest")
@paged
def list_command(client: Client, *, as_json: bool, everything: bool, **query: Any) -> None:
    """List runs, newest first."""
    print_list(client, "/runs", query, COLUMNS, as_json=as_json, everything=everything)


@runs_command.command("show")
@on_target
@run_argument
def show_command(client: Client, *, as_json: bool, run_id: str) -> None:
    """Show RUN."""
    print_item(client.get(_path(run_id)), as_json=as_json)


@runs_command.command("log")
@on_target
@run_argument
@click.option("--follow", "-f", is_flag=True, help="Print further lines until the run has ended")
def log_command(client: Client, *, as_json: bool, run_id: str, follow: bool) -> None:
    """Print the log lines of RUN, oldest first."""
    path, last = f"{_path(run_id)}/log", 0
    states = until_ended(client, client.get(_path(run_id))) if follow else [None]
    for _state in states:
        lines = client.get(path, {"after": last})
        if as_json and lines:
            print_json(lines)
        elif lines:
            print_table(lines, LOG, headers=False)
        last = max((line["id"] for line in lines), default=last)


@runs_command.command("attempts")
@on_target
@run_argument
def attempts_command(client: Client, *, as_json: bool, run_id: str) -> None:
    """List the attempts of RUN that failed, oldest first, with their tracebacks."""
    attempts = client.get(f"{_path(run_id)}/attempts")
    if as_json:
        print_json(attempts)
        return
    for attempt in attempts:
        click.echo(f"attempt {attempt['attempt']}, ended {attempt['finished_at']}")
        for line in (attempt["traceback"] or attempt["error_message"]).splitlines():
            click.echo(f"  | {printable(line)}")


@runs_command.command("cancel")
@on_target
@optional_run
@run_filters
@changes_many
def cancel_command(client: Client, *, run_id: str | None, **options: Any) -> None:
    """Cancel RUN, or all unfinished runs that match filters.

    A run that has not started is cancelled at once; the function of another is asked to stop.
    """
    change(client, "runs", "cancel", run_id, body={}, **split_filters(options))


@runs_command.command("retry")
@on_target
@optional_run
@run_filters
@changes_many
def retry_command(client: Client, *, run_id: str | None, **options: Any) -> None:
    """Retry RUN, or all failed runs that match filters; with --state, missed or skipped ones."""
    change(client, "runs", "retry", run_id, body={}, **split_filters(options))


@runs_command.command("discard")
@on_target
@optional_run
@run_filters
@changes_many
@click.option("--reason", required=True, help="Why, for the audit trail")
def discard_command(client: Client, *, run_id: str | None, reason: str, **options: Any) -> None:
    """Give up RUN, or all failed runs that match filters, for good."""
    change(client, "runs", "discard", run_id, body={"reason": reason}, **split_filters(options))


@click.group("dead")
def dead_command() -> None:
    """Show dead letters, which are runs that failed for good, by task and error; retry and discard.

    Targets and exit codes: see `duly jobs --help`.
    """


@dead_command.command("list")
@on_target
@run_filters
@click.option("--limit", type=click.IntRange(1, 500), default=100, show_default=True)
def list_dead(client: Client, *, as_json: bool, **query: Any) -> None:
    """Group the failed runs that match filters by task and type of error, the largest first.

    Retry or discard a group by its task and error: duly dead retry --task T --error-type E.
    """
    answer = client.get("/dead-letters", query)
    if as_json:
        print_json(answer)
        return
    print_table(answer["items"], DEAD)
    if answer["more"]:
        click.echo("There are more, smaller groups: --limit", err=True)


dead_command.add_command(retry_command)
dead_command.add_command(discard_command)


def _path(run_id: str) -> str:
    return f"/runs/{segment(run_id)}"

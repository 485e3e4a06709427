"""``duly runs`` and ``duly dead``: what was executed, and what failed for good."""

from __future__ import annotations

from typing import Any

import click

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
LOG = {"AT": "at", "LEVEL": "level", "MESSAGE": "message"}
run_argument = click.argument("run_id", metavar="RUN")


@click.group("runs")
def runs_command() -> None:
    """List, follow, cancel, retry and discard runs.

    Targets and exit codes: see `duly jobs --help`.
    """


@runs_command.command("list")
@on_target
@click.option("--job", help="Only runs of this job")
@click.option("--task", help="Only runs of this task")
@click.option("--state", multiple=True, help="Only runs in this state; may be given several times")
@click.option("--queue", help="Only runs of this queue")
@click.option("--tag", help="Only runs whose job has this tag")
@click.option("--since", metavar="INSTANT", help="Only runs created at this time or later")
@click.option("--until", metavar="INSTANT", help="Only runs created before this time")
@click.option("--text", help="Only runs with this part in their job, their task or their error")
@click.option("--parent", metavar="RUN", help="Only runs that followed this one")
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
@run_argument
def cancel_command(client: Client, *, as_json: bool, run_id: str) -> None:
    """Cancel RUN: at once if it has not started; otherwise its function is asked to stop."""
    print_item(client.post(f"{_path(run_id)}/cancel"), as_json=as_json)


def _retry(client: Client, *, as_json: bool, run_id: str) -> None:
    """Retry RUN, which has failed, or run it although it was missed or skipped."""
    print_item(client.post(f"{_path(run_id)}/retry"), as_json=as_json)


def _discard(client: Client, *, as_json: bool, run_id: str, reason: str) -> None:
    """Give RUN, which has failed, up for good."""
    print_item(client.post(f"{_path(run_id)}/discard", {"reason": reason}), as_json=as_json)


_reason = click.option("--reason", required=True, help="Why, for the audit trail")
runs_command.command("retry")(on_target(run_argument(_retry)))
runs_command.command("discard")(on_target(_reason(run_argument(_discard))))


def _path(run_id: str) -> str:
    return f"/runs/{segment(run_id)}"

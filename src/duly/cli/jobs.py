"""``duly jobs``: the stored jobs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from duly.cli.bulk import change, changes_many, refuse_filters, split_filters
from duly.cli.client import Client, segment
from duly.cli.confirmation import confirm
from duly.cli.diff import diff_command
from duly.cli.following import follow_run
from duly.cli.inputs import read_json
from duly.cli.lazy import FAILED
from duly.cli.listing import paged, print_list
from duly.cli.output import print_item
from duly.cli.target import on_target

COLUMNS = {
    "ID": "id", "STATE": "state", "TRIGGER": "trigger.text", "NEXT": "next_fire_at",
    "TASK": "task", "QUEUE": "options.queue", "TAGS": "tags",
}  # fmt: skip
job_argument = click.argument("job_id", metavar="JOB")
optional_job = click.argument("job_id", metavar="[JOB]", required=False)
_FILTERS = (
    click.option("--tag", help="Only jobs with this tag"),
    click.option("--state", help="Only jobs in this state: active, paused, finished, unresolved"),
    click.option("--task", help="Only jobs of this task"),
    click.option("--queue", help="Only jobs of this queue"),
    click.option("--text", help="Only jobs with this part in their id or their task's name"),
    click.option("--failing", is_flag=True, help="Only jobs whose last run failed"),
)


def job_filters(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that choose jobs."""
    for option in reversed(_FILTERS):
        command = option(command)
    return command


def _fields(command: Any) -> Any:
    """Give a command the options for the fields of a job."""
    for option in (
        click.option("--options", metavar="JSON", help='Options: {"queue": "mail", "timeout": 60}'),
        click.option("--tag", "tags", multiple=True, help="A tag; may be given several times"),
        click.option("--args", metavar="JSON", help='Arguments by name: {"user": 7}'),
        click.option("--tz", help="Time zone of a trigger that is written as text"),
    ):
        command = option(command)
    return command


@click.group("jobs")
def jobs_command() -> None:
    """List, add, change, pause, run and remove jobs.

    Choose where they are by --app, --url or --api, or by DULY_APP, DULY_URL or DULY_API.

    Exit codes: 0 success, 1 failure, 2 an argument is wrong, 3 there is no such job, 4 its state
    does not allow it, 5 the key is not valid or its role does not suffice.
    """


jobs_command.add_command(diff_command)


@jobs_command.command("list")
@on_target
@job_filters
@paged
def list_command(client: Client, *, as_json: bool, everything: bool, **query: Any) -> None:
    """List jobs, sorted by id."""
    print_list(client, "/jobs", query, COLUMNS, as_json=as_json, everything=everything)


@jobs_command.command("show")
@on_target
@job_argument
def show_command(client: Client, *, as_json: bool, job_id: str) -> None:
    """Show JOB."""
    print_item(client.get(_path(job_id)), as_json=as_json)


@jobs_command.command("add")
@on_target
@click.argument("task", metavar="TASK")
@click.argument("trigger", metavar="TRIGGER")
@click.option("--id", "job_id", metavar="JOB", help="Its id; default: a random one")
@_fields
@click.option("--paused", is_flag=True, help="Add it paused")
def add_command(
    client: Client, *, as_json: bool, task: str, job_id: str | None, paused: bool, **fields: Any
) -> None:
    """Add a job that calls TASK whenever TRIGGER fires; this needs the code of the application.

    TRIGGER is text ("0 9 * * mon-fri", "every 5 minutes", "FREQ=WEEKLY;BYDAY=MO") or the JSON form
    of a trigger.
    """
    body = {"task": task, **_body(**fields)}
    if job_id is not None:
        body["id"] = job_id
    if paused:
        body["paused"] = True
    print_item(client.post("/jobs", body), as_json=as_json)


@jobs_command.command("edit")
@on_target
@job_argument
@click.option("--trigger", help="When it fires; see `duly jobs add --help`")
@_fields
def edit_command(client: Client, *, as_json: bool, job_id: str, **fields: Any) -> None:
    """Change some fields of JOB; of a job that code declares, until `duly jobs reset` undoes it."""
    body = _body(**fields)
    if not body:
        raise click.UsageError("nothing to change: give --trigger, --args, --tag or --options")
    headers = {"if-match": client.etag(_path(job_id))}
    answer = client.call("PATCH", _path(job_id), body=body, headers=headers)
    print_item(answer, as_json=as_json)


@jobs_command.command("pause")
@on_target
@optional_job
@job_filters
@changes_many
@click.option("--reason", help="Why, for the dashboard and the audit trail")
def pause_command(
    client: Client, *, job_id: str | None, reason: str | None, **options: Any
) -> None:
    """Stop firing JOB, or all jobs that match filters; runs that exist continue."""
    body = {} if reason is None else {"reason": reason}
    change(client, "jobs", "pause", job_id, body=body, **split_filters(options))


@jobs_command.command("resume")
@on_target
@optional_job
@job_filters
@changes_many
def resume_command(client: Client, *, job_id: str | None, **options: Any) -> None:
    """Fire JOB again, or all paused jobs that match filters."""
    change(client, "jobs", "resume", job_id, body={}, **split_filters(options))


@jobs_command.command("run")
@on_target
@job_argument
@click.option("--args", metavar="JSON", help="Arguments that replace those of the job")
@click.option("--wait", is_flag=True, help="Wait until the run has ended, and show its progress")
def run_command(
    client: Client, *, as_json: bool, job_id: str, args: str | None, wait: bool
) -> None:
    """Run JOB now, outside its schedule.

    With --wait, the exit code is 1 unless the run succeeds.
    """
    body = {} if args is None else {"args": read_json(args, "--args")}
    run = client.post(f"{_path(job_id)}/run", body)
    if wait:
        run = follow_run(client, run)
    print_item(run, as_json=as_json)
    if wait and run["state"] != "succeeded":
        raise SystemExit(FAILED)


@jobs_command.command("remove")
@on_target
@optional_job
@job_filters
@changes_many
def remove_command(client: Client, *, job_id: str | None, yes: bool, **options: Any) -> None:
    """Remove JOB, or all jobs that match filters.

    Runs that have not started are cancelled, and history is kept.
    """
    chosen = split_filters({**options, "yes": yes})
    if job_id is None:
        change(client, "jobs", "remove", None, body={}, **chosen)
        return
    refuse_filters(chosen)
    confirm(f"Remove the job {job_id}?", yes=yes)
    print_item(client.call("DELETE", _path(job_id)), as_json=options["as_json"])


@jobs_command.command("reset")
@on_target
@job_argument
def reset_command(client: Client, *, as_json: bool, job_id: str) -> None:
    """Undo all manual changes of JOB, so that its declaration in code applies again."""
    print_item(client.post(f"{_path(job_id)}/reset"), as_json=as_json)


def _body(
    *, trigger: str | None, tz: str | None, args: str | None, tags: tuple[str, ...],
    options: str | None,
) -> dict[str, Any]:  # fmt: skip
    """Return the fields of a job that are given, as the API takes them."""
    given: dict[str, Any] = {"trigger": trigger, "tz": tz}
    if trigger is not None and trigger.lstrip().startswith("{"):
        given["trigger"] = read_json(trigger, "TRIGGER")
    if args is not None:
        given["args"] = read_json(args, "--args")
    if options is not None:
        given["options"] = read_json(options, "--options")
    if tags:
        given["tags"] = list(tags)
    return {name: value for name, value in given.items() if value is not None}


def _path(job_id: str) -> str:
    return f"/jobs/{segment(job_id)}"

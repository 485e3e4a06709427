"""The commands on what concerns all jobs: the switch, queues, limits, workers, events and more."""

from __future__ import annotations

from typing import Any

import click

from duly.cli.client import Client, segment
from duly.cli.confirmation import confirm, yes_option
from duly.cli.inputs import read_json
from duly.cli.listing import paged, print_list
from duly.cli.output import print_item
from duly.cli.target import on_target

QUEUES = {
    "NAME": "name", "PAUSED": "paused", "BY": "paused_by", "REASON": "paused_reason",
    "MAX RUNNING": "max_running", "RATE": "rate", "PER": "per",
}  # fmt: skip
LIMITS = {"KEY": "key", "MAX RUNNING": "max_running", "RUNNING": "running"}
CALENDARS = {"NAME": "name", "EXCLUDES": "text"}
WORKERS = {
    "ID": "id", "HOST": "host", "PID": "pid", "FIRES": "fires", "QUEUES": "queues",
    "STARTED": "started_at", "LAST BEAT": "beat_at", "DRAINING": "draining",
}  # fmt: skip
EVENTS = {
    "ID": "id", "AT": "at", "KIND": "kind", "JOB": "job_id", "RUN": "run_id", "ACTOR": "actor",
    "REASON": "reason",
}  # fmt: skip
name_argument = click.argument("name", metavar="NAME")


@click.group("scheduler")
def scheduler_command() -> None:
    """Switch the scheduler off and on in all workers.

    Targets and exit codes: see `duly jobs --help`.
    """


@scheduler_command.command("stop")
@on_target
@click.option("--reason", help="Why, for the dashboard and the audit trail")
def stop_scheduler(client: Client, *, as_json: bool, reason: str | None) -> None:
    """Fire no job and start no run, in every worker; running ones continue."""
    body = {} if reason is None else {"reason": reason}
    print_item(client.post("/scheduler/stop", body), as_json=as_json)


@scheduler_command.command("start")
@on_target
def start_scheduler(client: Client, *, as_json: bool) -> None:
    """Fire jobs and start runs again."""
    print_item(client.post("/scheduler/start"), as_json=as_json)


@click.group("queues")
def queues_command() -> None:
    """List, pause, resume and limit queues.

    Targets and exit codes: see `duly jobs --help`.
    """


@queues_command.command("list")
@on_target
@paged
def list_queues(client: Client, *, as_json: bool, everything: bool, **query: Any) -> None:
    """List queues, sorted by name."""
    print_list(client, "/queues", query, QUEUES, as_json=as_json, everything=everything)


@queues_command.command("pause")
@on_target
@name_argument
@click.option("--reason", help="Why, for the dashboard and the audit trail")
def pause_queue(client: Client, *, as_json: bool, name: str, reason: str | None) -> None:
    """Stop starting the runs of queue NAME, in every worker; running ones continue."""
    body = {} if reason is None else {"reason": reason}
    print_item(client.post(f"/queues/{segment(name)}/pause", body), as_json=as_json)


@queues_command.command("resume")
@on_target
@name_argument
def resume_queue(client: Client, *, as_json: bool, name: str) -> None:
    """Start the runs of queue NAME again."""
    print_item(client.post(f"/queues/{segment(name)}/resume"), as_json=as_json)


@queues_command.command("set")
@on_target
@name_argument
@click.option("--max-running", type=int, help="Number of its runs that may run at once")
@click.option("--rate", type=int, help="Number of its runs that may start in --per seconds")
@click.option("--per", type=float, default=60, show_default=True, help="Seconds")
def set_queue(
    client: Client, *, as_json: bool, name: str, max_running: int | None, rate: int | None,
    per: float,
) -> None:  # fmt: skip
    """Limit queue NAME over all workers; a limit that is not given is removed."""
    body = {"max_running": max_running, "rate": rate, "per": per}
    print_item(client.call("PUT", f"/queues/{segment(name)}", body=body), as_json=as_json)


@click.group("limits")
def limits_command() -> None:
    """List, set and remove the limits of concurrency keys.

    Targets and exit codes: see `duly jobs --help`.
    """


@limits_command.command("list")
@on_target
@paged
def list_limits(client: Client, *, as_json: bool, everything: bool, **query: Any) -> None:
    """List limits, sorted by key."""
    print_list(client, "/limits", query, LIMITS, as_json=as_json, everything=everything)


@limits_command.command("set")
@on_target
@click.argument("limit_key", metavar="KEY")
@click.argument("max_running", metavar="N", type=int)
def set_limit(client: Client, *, as_json: bool, limit_key: str, max_running: int) -> None:
    """Let N runs with the concurrency key KEY run at once, over all workers; 0: none."""
    body = {"max_running": max_running}
    print_item(client.call("PUT", f"/limits/{segment(limit_key)}", body=body), as_json=as_json)


@limits_command.command("remove")
@on_target
@click.argument("limit_key", metavar="KEY")
def remove_limit(client: Client, *, as_json: bool, limit_key: str) -> None:
    """Remove the limit of the concurrency key KEY."""
    print_item(client.call("DELETE", f"/limits/{segment(limit_key)}"), as_json=as_json)


@click.group("calendars")
def calendars_command() -> None:
    """List, show, set and remove named calendars.

    Targets and exit codes: see `duly jobs --help`.
    """


@calendars_command.command("list")
@on_target
@paged
def list_calendars(client: Client, *, as_json: bool, everything: bool, **query: Any) -> None:
    """List calendars, sorted by name."""
    print_list(client, "/calendars", query, CALENDARS, as_json=as_json, everything=everything)


@calendars_command.command("show")
@on_target
@name_argument
def show_calendar(client: Client, *, as_json: bool, name: str) -> None:
    """Show calendar NAME."""
    print_item(client.get(f"/calendars/{segment(name)}"), as_json=as_json)


@calendars_command.command("set")
@on_target
@name_argument
@click.argument("definition", metavar="JSON")
def set_calendar(client: Client, *, as_json: bool, name: str, definition: str) -> None:
    """Store calendar NAME; the jobs that use it change at once.

    JSON is its definition: {"kind": "dates", "days": ["2026-12-24"]}.
    """
    body = read_json(definition, "JSON")
    print_item(client.call("PUT", f"/calendars/{segment(name)}", body=body), as_json=as_json)


@calendars_command.command("remove")
@on_target
@name_argument
@yes_option
def remove_calendar(client: Client, *, as_json: bool, name: str, yes: bool) -> None:
    """Remove calendar NAME, which no job may use."""
    confirm(f"Remove the calendar {name}?", yes=yes)
    print_item(client.call("DELETE", f"/calendars/{segment(name)}"), as_json=as_json)


@click.group("workers")
def workers_command() -> None:
    """List and drain workers.

    Targets and exit codes: see `duly jobs --help`.
    """


@workers_command.command("list")
@on_target
@paged
def list_workers(client: Client, *, as_json: bool, everything: bool, **query: Any) -> None:
    """List workers, oldest first."""
    print_list(client, "/workers", query, WORKERS, as_json=as_json, everything=everything)


@workers_command.command("drain")
@on_target
@click.argument("worker_id", metavar="ID")
def drain_worker(client: Client, *, as_json: bool, worker_id: str) -> None:
    """Let worker ID finish what it executes, and take no more runs until its process stops."""
    print_item(client.post(f"/workers/{segment(worker_id)}/drain"), as_json=as_json)


@click.command("events")
@on_target
@click.option("--kind", help="Only events of this kind, such as job.paused")
@click.option("--job", help="Only events about this job")
@click.option("--run", metavar="RUN", help="Only events about this run")
@click.option("--actor", help="Only events that this person or key has caused")
@click.option("--since", metavar="INSTANT", help="Only events at this time or later")
@click.option("--until", metavar="INSTANT", help="Only events before this time")
@click.option("--newest/--oldest", default=True, show_default=True, help="Which come first")
@click.option("--limit", type=click.IntRange(1, 500), default=50, show_default=True)
@click.option("--after", type=int, help="With --oldest: only events with a greater id")
@click.option("--before", type=int, help="With --newest: only events with a smaller id")
def events_command(client: Client, *, as_json: bool, **query: Any) -> None:
    """Show the audit trail: who changed what, when and why.

    Targets and exit codes: see `duly jobs --help`.
    """
    print_list(client, "/events", query, EVENTS, as_json=as_json)

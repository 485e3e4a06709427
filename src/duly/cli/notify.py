"""``duly notify``: the rules of notices, the outbox, and tests of channels."""

from __future__ import annotations

from typing import Any

import click

from duly.cli.client import Client, segment
from duly.cli.confirmation import confirm, yes_option
from duly.cli.lazy import FAILED
from duly.cli.listing import paged, print_list
from duly.cli.output import print_item
from duly.cli.target import on_target
from duly.clock import SystemClock

RULES = {
    "NAME": "name", "APP": "app", "ON": "on", "TO": "to", "EVERY": "every", "TAGS": "tags",
    "JOBS": "jobs",
}  # fmt: skip
NOTICES = {
    "ID": "id", "STATE": "state", "RULE": "rule", "TITLE": "title", "TO": "to",
    "ATTEMPTS": "attempts", "CREATED": "created_at", "ERROR": "error",
}  # fmt: skip
POLL_S = 0.5
CONDITIONS = ("job", "tag", "task", "queue", "owner")


@click.group("notify")
def notify_command() -> None:
    """Show and change the rules of notices, and what is sent.

    Targets and exit codes: see `duly jobs --help`.
    """


@notify_command.command("test")
@on_target
@click.argument("to", metavar="TO")
@click.option(
    "--wait", type=click.FloatRange(min=0), default=30, show_default=True,
    help="Seconds to wait until it is sent",
)  # fmt: skip
def test_channel(client: Client, *, as_json: bool, to: str, wait: float) -> None:
    """Send a test to TO: a channel, an e-mail address or a URL.

    A worker sends it, as all notices. Exit code 1: it was not sent in time, or was refused.
    """
    clock = SystemClock()
    until = clock.monotonic() + wait
    notice = client.post("/notify/test", {"to": to})
    path = f"/notify/outbox/{segment(notice['id'])}"
    while notice["state"] == "pending" and clock.monotonic() < until:
        clock.pause(POLL_S)
        notice = client.get(path)
    print_item(notice, as_json=as_json)
    if notice["state"] != "sent":
        raise SystemExit(FAILED)


@notify_command.group("rules")
def rules_command() -> None:
    """List, add and remove rules."""


@rules_command.command("list")
@on_target
@paged
def list_rules(client: Client, *, as_json: bool, everything: bool, **query: Any) -> None:
    """List rules: those added by calls first, then those of each application."""
    print_list(client, "/notify/rules", query, RULES, as_json=as_json, everything=everything)


@rules_command.command("add")
@on_target
@click.argument("name", metavar="NAME")
@click.option("--on", multiple=True, required=True, metavar="EVENT", help="A kind of event")
@click.option("--to", multiple=True, required=True, help="A channel, an address or a URL")
@click.option("--job", multiple=True, help="Only of this job")
@click.option("--tag", multiple=True, help="Only of jobs with this tag")
@click.option("--task", multiple=True, help="Only of this task")
@click.option("--queue", multiple=True, help="Only of this queue")
@click.option("--owner", multiple=True, help="Only of this owner")
@click.option("--every", type=float, default=0, help="Seconds between two notices at least")
@click.option(
    "--quiet", nargs=3, metavar="START END ZONE", help="Quiet hours: 22:00 07:00 Europe/Madrid"
)
@click.option("--urgent", multiple=True, metavar="EVENT", help="Sent in quiet hours too")
def add_rule(
    client: Client,
    *,
    as_json: bool,
    name: str,
    quiet: tuple[str, str, str] | None,
    **options: Any,
) -> None:
    """Add rule NAME. The options but --every and --quiet may be given several times."""
    body = {
        f"{key}s" if key in CONDITIONS else key: list(value) if isinstance(value, tuple) else value
        for key, value in options.items()
    }
    if quiet:
        body["quiet"] = dict(zip(("start", "end", "timezone"), quiet, strict=True))
    print_item(client.post("/notify/rules", {"name": name, **body}), as_json=as_json)


@rules_command.command("remove")
@on_target
@click.argument("name", metavar="NAME")
@click.option("--of", "application", help="The application whose code declares the rule")
@yes_option
def remove_rule(
    client: Client, *, as_json: bool, name: str, application: str | None, yes: bool
) -> None:
    """Remove rule NAME; one that code declares comes back at the application's next start."""
    confirm(f"Remove the rule {name}?", yes=yes)
    query = {"app": application}
    print_item(
        client.call("DELETE", f"/notify/rules/{segment(name)}", query=query), as_json=as_json
    )


@notify_command.group("outbox")
def outbox_command() -> None:
    """List and retry notices."""


@outbox_command.command("list")
@on_target
@click.option("--state", type=click.Choice(["pending", "sent", "dead"]), help="In this state")
@click.option("--rule", help="Only notices of this rule")
@paged
def list_notices(client: Client, *, as_json: bool, everything: bool, **query: Any) -> None:
    """List notices, newest first."""
    print_list(client, "/notify/outbox", query, NOTICES, as_json=as_json, everything=everything)


@outbox_command.command("retry")
@on_target
@click.argument("notice_id", metavar="ID")
def retry_notice(client: Client, *, as_json: bool, notice_id: str) -> None:
    """Send notice ID again, which could not be sent."""
    path = f"/notify/outbox/{segment(notice_id)}/retry"
    print_item(client.post(path), as_json=as_json)

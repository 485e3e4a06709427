"""``duly keys``: the keys of the REST API."""

from __future__ import annotations

from typing import Any

import click

from duly.cli.client import Client, segment
from duly.cli.confirmation import confirm, yes_option
from duly.cli.listing import paged, print_list
from duly.cli.output import print_item
from duly.cli.target import on_target

COLUMNS = {
    "ID": "id", "NAME": "name", "ROLE": "role", "OWNERS": "owners", "EXPIRES": "expires_at",
    "LAST USED": "last_used_at", "REVOKED": "revoked_at",
}  # fmt: skip
DAY_S = 86_400


@click.group("keys")
def keys_command() -> None:
    """List, create and revoke API keys.

    Targets and exit codes: see `duly jobs --help`.
    """


@keys_command.command("list")
@on_target
@paged
def list_command(client: Client, *, as_json: bool, everything: bool, **query: Any) -> None:
    """List keys, also those that are revoked or have expired."""
    print_list(client, "/keys", query, COLUMNS, as_json=as_json, everything=everything)


@keys_command.command("create")
@on_target
@click.argument("name", metavar="NAME")
@click.option(
    "--role", required=True, type=click.Choice(["viewer", "operator", "admin"]),
    help="What it may do",
)  # fmt: skip
@click.option("--owner", "owners", multiple=True, help="Only jobs and runs of this owner")
@click.option("--days", type=float, help="Days for which it is valid; default: until revoked")
@click.option("--rate", type=int, help="Requests per minute that each web process admits")
def create_command(
    client: Client, *, as_json: bool, name: str, role: str, owners: tuple[str, ...],
    days: float | None, rate: int | None,
) -> None:  # fmt: skip
    """Create a key with NAME, and print it: it cannot be shown again."""
    body: dict[str, Any] = {"name": name, "role": role}
    if owners:
        body["owners"] = list(owners)
    if days is not None:
        body["expires_in"] = days * DAY_S
    if rate is not None:
        body["rate"] = rate
    created = client.post("/keys", body)
    if as_json:
        print_item(created, as_json=True)
    else:
        print_item({"key": created["key"], **created["record"]}, as_json=False)


@keys_command.command("revoke")
@on_target
@click.argument("key_id", metavar="ID")
@yes_option
def revoke_command(client: Client, *, as_json: bool, key_id: str, yes: bool) -> None:
    """Revoke the key with ID: every later request with it is refused."""
    confirm(f"Revoke the key {key_id}?", yes=yes)
    print_item(client.call("DELETE", f"/keys/{segment(key_id)}"), as_json=as_json)

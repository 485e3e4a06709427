"""Changes of one item, or of all that match a filter, whose number is shown before the change."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import click

from duly.cli.client import Client, segment
from duly.cli.confirmation import confirm, yes_option
from duly.cli.output import print_item

_OPTIONS = (
    click.option("--everything", is_flag=True, help="Change all, without a filter"),
    click.option("--dry-run", is_flag=True, help="Only tell how many match"),
    yes_option,
)


def changes_many(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options ``everything``, ``dry_run`` and ``yes``."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def change(
    client: Client, noun: str, verb: str, item: str | None, *, body: Mapping[str, Any],
    filters: Mapping[str, Any], everything: bool, dry_run: bool, yes: bool, as_json: bool,
) -> None:  # fmt: skip
    """Change one item, or all that match filters.

    Args:
        client: the API.
        noun: ``jobs`` or ``runs``.
        verb: what to do with them, such as ``pause``.
        item: the id of the only one to change; ``None``: those that match the filters.
        body: what else the API is to know, such as a reason.
        filters: the filters that are given.
        everything: whether to change all.
        dry_run: whether to only count them.
        yes: whether not to ask before many are changed.
        as_json: whether to print what the API answered.

    Raises:
        click.UsageError: both an item and filters are given, or neither.
    """
    given = _given(filters)
    if item is not None:
        refuse_filters({"filters": filters, "everything": everything, "dry_run": dry_run})
        print_item(client.post(f"/{noun}/{segment(item)}/{verb}", body), as_json=as_json)
        return
    if not given and not everything:
        raise click.UsageError(f"say which {noun}: give an id, filters, or --everything")
    path, selection = f"/{noun}/{verb}", {**body, **given}
    if everything:
        selection["everything"] = True
    if dry_run or not yes:
        counted = client.post(path, selection, {"dry_run": "true"})
        number = counted["matched"] if "matched" in counted else counted[noun]
        if dry_run:
            print_item(counted, as_json=as_json)
            return
        confirm(f"{verb.capitalize()} {number} {noun}?", yes=False)
    print_item(client.post(path, selection), as_json=as_json)


def split_filters(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a command for `change`: those that choose items are ``filters``."""
    names = ("everything", "dry_run", "yes", "as_json")
    filters = {name: value for name, value in options.items() if name not in names}
    return {"filters": filters, **{name: options[name] for name in names}}


def refuse_filters(chosen: Mapping[str, Any]) -> None:
    """Refuse filters beside an id.

    Raises:
        click.UsageError: there are some.
    """
    if _given(chosen["filters"]) or chosen["everything"] or chosen["dry_run"]:
        raise click.UsageError("give either an id, or filters, --everything and --dry-run")


def _given(filters: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in filters.items() if value not in (None, False, ())}

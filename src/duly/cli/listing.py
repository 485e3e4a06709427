"""The options of lists: one page, or all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from duly.cli.client import LARGEST_PAGE, Client
from duly.cli.output import Columns, print_json, print_table

_OPTIONS = (
    click.option(
        "--limit", type=click.IntRange(1, LARGEST_PAGE), default=50, show_default=True,
        help="Largest number of items",
    ),
    click.option("--after", metavar="CURSOR", help="Continue after the page that ended so"),
    click.option("--all", "everything", is_flag=True, help="Print all pages"),
)  # fmt: skip


def paged(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options ``limit``, ``after`` and ``everything``."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def print_list(
    client: Client, path: str, query: dict[str, Any], columns: Columns, *, as_json: bool,
    everything: bool = False,
) -> None:  # fmt: skip
    """Print a list of the API; if there is another page, tell on standard error how to get it."""
    if everything:
        query = {name: value for name, value in query.items() if name not in ("limit", "after")}
        answer: Any = {"items": list(client.pages(path, query)), "next": None}
    else:
        answer = client.get(path, query)
    if as_json:
        print_json(answer)
        return
    print_table(answer["items"], columns)
    if answer["next"] is not None:
        click.echo(f"There is more: --after {answer['next']}, or --all", err=True)

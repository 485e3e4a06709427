"""What management commands print: tables on a terminal, text with tabs to a pipe, or JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import click

from duly.model.text import printable

Columns = Mapping[str, str]
"""The columns of a table: for each header, the path to its value in an item: ``trigger.text``."""

ABSENT = "-"


def on_terminal() -> bool:
    """Return whether a person reads the output."""
    return sys.stdout.isatty()


def print_json(answer: Any) -> None:
    """Print what the API answered."""
    click.echo(json.dumps(answer, indent=2))


def print_table(items: Sequence[Any], columns: Columns, *, headers: bool = True) -> None:
    """Print items, one a line, under the headers of their columns."""
    rows = [[_text(_pick(item, path)) for path in columns.values()] for item in items]
    if not on_terminal():
        _print_rows([*([list(columns)] if headers else []), *rows])
        return
    table = _rich_table(columns, headers=headers)
    for row in rows:
        table.add_row(*row)
    _print_rich(table)


def print_item(item: Mapping[str, Any] | None, *, as_json: bool) -> None:
    """Print the fields of one item, one a line; nothing for an empty answer."""
    if as_json:
        print_json(item)
        return
    if item is None:
        return
    rows = [[name, _text(value)] for name, value in item.items()]
    if not on_terminal():
        _print_rows(rows)
        return
    table = _rich_table(("", ""), headers=False)
    for row in rows:
        table.add_row(*row)
    _print_rich(table)


def _pick(item: Any, path: str) -> Any:
    for name in path.split("."):
        if not isinstance(item, Mapping):
            return None
        item = item.get(name)
    return item


def _text(value: Any) -> str:
    """Return a JSON value as text that stays on its line and in its column."""
    if value is None or value in ("", [], {}):
        return ABSENT
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return printable(",".join(value))
    if isinstance(value, Mapping) and set(value) >= {"text", "definition"}:  # a trigger
        return printable(str(value["text"]))
    if isinstance(value, list | Mapping):
        return printable(json.dumps(value, ensure_ascii=False))
    return printable(str(value))


def _print_rows(rows: Iterable[Sequence[str]]) -> None:
    for row in rows:
        click.echo("\t".join(row))


def _rich_table(columns: Iterable[str], *, headers: bool) -> Any:
    from rich.table import Table  # noqa: PLC0415 - a pipe needs none, and it takes 80 ms

    return Table(*columns, box=None, show_header=headers, pad_edge=False, highlight=False)


def _print_rich(table: Any) -> None:
    from rich.console import Console  # noqa: PLC0415 - see `_rich_table`

    Console(markup=False, highlight=False, emoji=False).print(table)

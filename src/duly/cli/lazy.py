"""A group of commands that are loaded when they are asked for, so that ``--help`` comes at once."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import click

from duly.errors import DulyError, StoreError

FAILED = 1
WRONG_CALL = 2


@dataclass(frozen=True, slots=True)
class LazyCommand:
    """One command that is not loaded yet.

    Attributes:
        module: where it is.
        attribute: what it is there.
        summary: one line about it, for the list of commands.
    """

    module: str
    attribute: str
    summary: str


class LazyGroup(click.Group):
    """Commands by name; Duly's errors become one line and an exit code.

    Args:
        entries: the commands.
        options: see `click.Group`.
    """

    def __init__(self, *, entries: Mapping[str, LazyCommand], **options: Any) -> None:
        super().__init__(**options)
        self.entries = dict(entries)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, as they are to be listed."""
        return list(self.entries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load a command."""
        entry = self.entries.get(cmd_name)
        if entry is None:
            return None
        held: click.Command = getattr(importlib.import_module(entry.module), entry.attribute)
        return held

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without loading any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in self.entries.items()])

    def invoke(self, ctx: click.Context) -> object:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except DulyError as error:
            click.echo(f"duly: {error}", err=True)
            ctx.exit(FAILED if isinstance(error, StoreError) else WRONG_CALL)

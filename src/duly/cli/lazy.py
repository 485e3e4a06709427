"""A group of commands that are imported when they are used, so that ``--help`` is fast."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import click

from duly.errors import DulyError, StoreError

FAILED = 1
WRONG_USAGE = 2
NOT_FOUND = 3
CONFLICT = 4
NOT_ALLOWED = 5
DIFFERS = 6
"""Exit codes; docs/guides/command_line.md describes them."""


@dataclass(frozen=True, slots=True)
class LazyCommand:
    """A command that is not imported yet.

    Attributes:
        module: the module that defines it.
        attribute: its name in the module.
        summary: the line for the list of commands.
    """

    module: str
    attribute: str
    summary: str


class LazyGroup(click.Group):
    """A group of lazily imported commands, which reports errors as one line and an exit code.

    Args:
        entries: the commands by name.
        options: see `click.Group`.
    """

    def __init__(self, *, entries: Mapping[str, LazyCommand], **options: Any) -> None:
        super().__init__(**options)
        self.entries = dict(entries)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands, in the order of the list."""
        return list(self.entries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        entry = self.entries.get(cmd_name)
        if entry is None:
            return None
        command: click.Command = getattr(importlib.import_module(entry.module), entry.attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in self.entries.items()])

    def invoke(self, ctx: click.Context) -> object:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except DulyError as error:
            click.echo(f"duly: {' '.join(str(error).split())}", err=True)
            ctx.exit(FAILED if isinstance(error, StoreError) else WRONG_USAGE)

"""Questions before changes that cannot be undone."""

from __future__ import annotations

import sys

import click

yes_option = click.option("--yes", is_flag=True, help="Do not ask")


def confirm(question: str, *, yes: bool) -> None:
    """Ask a question on the terminal, unless ``yes``.

    Raises:
        click.UsageError: standard input is not a terminal.
        click.Abort: the answer is no.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError(
            "standard input is not a terminal, so the question cannot be asked; add --yes"
        )
    click.confirm(question, abort=True, err=True)

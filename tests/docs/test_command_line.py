"""The guide to the command line lists every command and every exit code."""

from __future__ import annotations

import re
from collections.abc import Iterator

import click

from duly.cli import lazy
from duly.cli.main import main
from tests.support.processes import ROOT

GUIDE = (ROOT / "docs" / "guides" / "command_line.md").read_text()


def commands(group: click.Group, path: str) -> Iterator[tuple[str, click.Command]]:
    """Return each command below a group, with its path."""
    context = click.Context(group, info_name=path)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


def rows(group: click.Group, path: str) -> Iterator[str]:
    """Return the row of each command."""
    for name, command in commands(group, path):
        yield f"| `{name}` | {(command.help or '').partition(chr(10))[0].strip()} |"


def test_the_parameters_of_a_command_have_different_names() -> None:
    """An argument never hides an option of the target, such as ``--key``."""
    for path, command in commands(main, "duly"):
        names = [parameter.name for parameter in command.params]
        assert len(names) == len(set(names)), path


def test_the_guide_lists_every_command() -> None:
    """The table of commands is what ``--help`` says; write the lines that a failure shows."""
    listed = re.findall(r"^\| `duly .*$", GUIDE.partition("## Commands")[2], re.MULTILINE)
    assert listed == [*rows(main, "duly")]


def test_the_guide_lists_every_exit_code() -> None:
    """The codes in the guide are those of the code."""
    listed = {int(code) for code in re.findall(r"^\| (\d) \|", GUIDE, re.MULTILINE)}
    named = (
        lazy.FAILED,
        lazy.WRONG_USAGE,
        lazy.NOT_FOUND,
        lazy.CONFLICT,
        lazy.NOT_ALLOWED,
        lazy.DIFFERS,
    )
    assert listed == {0, *named}

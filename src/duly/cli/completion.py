"""``duly completion``: the script by which a shell completes commands and options."""

from __future__ import annotations

import click
from click.shell_completion import BashComplete, FishComplete, ZshComplete

SHELLS = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}


@click.command("completion")
@click.argument("shell", type=click.Choice(list(SHELLS)))
@click.pass_context
def completion_command(ctx: click.Context, shell: str) -> None:
    """Print the script that completes the commands and options of duly in SHELL.

    bash: put `eval "$(duly completion bash)"` into ~/.bashrc. zsh: put `eval "$(duly completion
    zsh)"` into ~/.zshrc. fish: `duly completion fish > ~/.config/fish/completions/duly.fish`.
    """
    root = ctx.find_root().command
    click.echo(SHELLS[shell](root, {}, "duly", "_DULY_COMPLETE").source())

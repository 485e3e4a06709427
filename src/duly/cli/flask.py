"""``flask duly``: the commands of Duly on the scheduler of Flask's current application."""

from __future__ import annotations

import click
from flask.cli import ScriptInfo

from duly.cli.application import SCHEDULER
from duly.cli.lazy import LazyGroup
from duly.cli.main import COMMANDS
from duly.scheduler import Scheduler
from duly.serving import without_requests

OF_FLASK = {name: entry for name, entry in COMMANDS.items() if name not in ("demo", "completion")}


@click.group("duly", cls=LazyGroup, entries=OF_FLASK)
@click.pass_context
def flask_command(ctx: click.Context) -> None:
    """Duly's commands, on the scheduler of this application.

    They are those of `duly`, without the argument APP and the option --app.
    """
    with without_requests():
        app = ctx.ensure_object(ScriptInfo).load_app()
    scheduler = app.extensions.get("duly")
    if not isinstance(scheduler, Scheduler):
        raise click.UsageError(
            f"the application {app.name!r} has no scheduler; connect it: init_app(app, scheduler)"
        )
    ctx.meta[SCHEDULER] = scheduler

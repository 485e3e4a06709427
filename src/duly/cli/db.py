"""``duly db``: the tables of a scheduler's database."""

from __future__ import annotations

import click

from duly.cli.application import app_dir_option, application_argument, load_scheduler
from duly.cli.logs import configure_logging
from duly.store import schema
from duly.store.store import Store


@click.group("db")
def db_command() -> None:
    """Create and migrate Duly's tables as a step of a deployment.

    Otherwise the first process that starts does so. Use it where the application's role may not
    create tables.
    """


@db_command.command("upgrade")
@application_argument
@app_dir_option
@click.option("--url", help="Database URL with a role that may create tables; default: that of APP")
def upgrade_command(app: str, app_dir: str, url: str | None) -> None:
    """Create or migrate the tables in the database of APP; nothing is started.

    APP: see "duly run --help".

    Exit codes: 0 the tables are up to date, 1 the database does not respond, the role may not
    create tables or APP could not be loaded, 2 an argument is wrong.
    """
    scheduler = load_scheduler(app, app_dir)
    configure_logging("warning", as_json=False)
    settings = scheduler.settings
    store = scheduler.store
    if url is not None:
        store = Store(url, scheduler.clock, pooler=settings.pooler, schema=settings.schema)
    store.prepare()
    store.dispose()
    click.echo(f"The tables in {store} are up to date (version {schema.HEAD}).")

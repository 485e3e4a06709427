"""``duly db``: the tables of a scheduler's database."""

from __future__ import annotations

import click

from duly.cli.application import app_dir_option, application_argument, load_scheduler
from duly.cli.logs import configure_logging
from duly.cli.target import require_tables
from duly.store import schema
from duly.store.store import Store
from duly.worker.pruning import prune


@click.group("db")
def db_command() -> None:
    """Create, migrate and check Duly's tables, and delete expired history.

    Otherwise the first process that starts creates and migrates them. Use "upgrade" as a step of a
    deployment where the application's role may not create tables.
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
    _say_up_to_date(store)


@db_command.command("check")
@application_argument
@app_dir_option
def check_command(app: str, app_dir: str) -> None:
    """Check whether the tables in the database of APP are up to date; nothing is written.

    APP: see "duly run --help".

    Exit codes: 0 they are, 1 they are missing or of another version, the database does not respond
    or APP could not be loaded, 2 an argument is wrong.
    """
    scheduler = load_scheduler(app, app_dir)
    configure_logging("warning", as_json=False)
    require_tables(scheduler)
    scheduler.store.dispose()
    _say_up_to_date(scheduler.store)


@db_command.command("prune")
@application_argument
@app_dir_option
def prune_command(app: str, app_dir: str) -> None:
    """Delete the history in the database of APP whose retention has expired.

    Workers do so every ten minutes; use it where none is running. APP: see "duly run --help".

    Exit codes: 0 done, 1 there are no tables, the database does not respond or APP could not be
    loaded, 2 an argument is wrong.
    """
    scheduler = load_scheduler(app, app_dir)
    configure_logging("warning", as_json=False)
    require_tables(scheduler)
    total = deleted = prune(scheduler.store)
    while deleted:
        deleted = prune(scheduler.store)
        total += deleted
    scheduler.store.dispose()
    rows = "row" if total == 1 else "rows"
    click.echo(f"Deleted {total:,} expired {rows} from {scheduler.store}.")


def _say_up_to_date(store: Store) -> None:
    click.echo(f"The tables in {store} are up to date (version {schema.HEAD}).")

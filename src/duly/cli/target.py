"""What a management command works on: an application, a database alone, or a remote API."""

from __future__ import annotations

import functools
import getpass
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import click

from duly.cli.application import SCHEDULER, app_dir_option, load_scheduler
from duly.cli.client import ApiError, Client
from duly.cli.lazy import CONFLICT, FAILED, NOT_ALLOWED, NOT_FOUND, WRONG_USAGE
from duly.cli.logs import configure_logging
from duly.errors import SchemaError
from duly.model.text import printable
from duly.scheduler import Scheduler
from duly.store import sqlite_file

NOT_SIGNED_IN = 401
CODES = {NOT_SIGNED_IN: NOT_ALLOWED, 403: NOT_ALLOWED, 404: NOT_FOUND, 409: CONFLICT, 412: CONFLICT}
"""The exit code of each HTTP status; other client errors are `WRONG_USAGE`, the rest `FAILED`."""

NEEDS_CODE = ("urn:duly:problem:unknown-task",)
_OPTIONS = (
    click.option(
        "--app", envvar="DULY_APP", show_envvar=True, metavar="MODULE:ATTRIBUTE",
        help="Work on the database of an application, with its code",
    ),
    click.option(
        "--url", envvar="DULY_URL", show_envvar=True, metavar="URL",
        help="Work on a database alone, without the code of an application",
    ),
    click.option("--schema", help="With --url: the PostgreSQL schema of Duly's tables"),
    click.option(
        "--api", envvar="DULY_API", show_envvar=True, metavar="ADDRESS",
        help="Work through the dashboard of a running application",
    ),
    click.option(
        "--key", envvar="DULY_KEY", show_envvar=True, help="With --api: the API key to send"
    ),
    app_dir_option,
    click.option("--json", "as_json", is_flag=True, help="Print what the API answered, as JSON"),
)  # fmt: skip


def on_target(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that choose its target, and a `Client` of it.

    The command receives the client as its first argument, and ``as_json`` by name.
    """

    @functools.wraps(command)
    def called(
        *, app: str | None, url: str | None, schema: str | None, api: str | None, key: str | None,
        app_dir: str, as_json: bool, **options: object,
    ) -> None:  # fmt: skip
        configure_logging("warning", as_json=False)
        chosen = _choose(app=app, url=url, api=api)
        with _problems_as_exit_codes(without_code=chosen == "url"):
            if chosen == "api":
                with Client.remote(api or "", key) as client:
                    command(client, as_json=as_json, **options)
                return
            alone = chosen == "url"
            scheduler = (
                Scheduler(url or "", schema=schema) if alone else load_scheduler(app, app_dir)
            )
            try:
                require_tables(scheduler)
                with Client.in_process(scheduler, _user()) as client:
                    command(client, as_json=as_json, **options)
            finally:
                scheduler.stop()  # waits until other processes have been woken

    decorated: Any = called
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    return decorated  # type: ignore[no-any-return]


def _choose(**targets: str | None) -> str:
    """Return which target is given; one on the command line precedes those of the environment."""
    context = click.get_current_context()
    given = [name for name, value in targets.items() if value]
    explicit = [
        name
        for name in given
        if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
    ]
    chosen = explicit or given
    api = targets["api"]
    if "api" in chosen and not (api or "").startswith(("http://", "https://")):
        raise click.UsageError(f"--api {api!r} is no address, such as https://shop.example/duly")
    if len(chosen) > 1:
        names = " and ".join(f"--{name}" for name in chosen)
        where = "" if explicit else " (from the environment)"
        raise click.UsageError(f"{names}{where} are given; choose one of them")
    if chosen:
        return chosen[0]
    if SCHEDULER in context.meta:
        return "app"
    raise click.UsageError("give --app MODULE:ATTRIBUTE, --url URL or --api ADDRESS")


def require_tables(scheduler: Scheduler) -> None:
    """Refuse a database without Duly's tables: a command creates nothing."""
    url = scheduler.store.url
    if url.get_backend_name() == "sqlite" and not sqlite_file.is_in_memory(url):
        path = sqlite_file.file_of(url)
        if not path.exists():
            raise SchemaError(f"there is no SQLite file {path}")
    if not scheduler.store.is_current():
        command = "flask duly" if SCHEDULER in click.get_current_context().meta else "duly"
        raise SchemaError(
            f"Duly's tables in {scheduler.store} do not exist, or are of another version; run "
            f"`{command} db upgrade` first"
        )


def _user() -> str:
    """Return who acts, for the audit trail."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container may know no name of the user
        return "command line"


@contextmanager
def _problems_as_exit_codes(*, without_code: bool) -> Iterator[None]:
    """Print a problem as one line, and end with its exit code."""
    try:
        yield
    except ApiError as error:
        hint = "; give a valid key: --key or DULY_KEY" if error.status == NOT_SIGNED_IN else ""
        if without_code and error.kind in NEEDS_CODE:
            hint = "; this needs the code of the application: name it with --app instead of --url"
        wrong = WRONG_USAGE if 400 <= error.status < 500 and error.status != 429 else FAILED
        _fail(f"{error}{hint}", CODES.get(error.status, wrong))


def _fail(text: str, code: int = FAILED) -> NoReturn:
    click.echo(f"duly: {printable(text)}", err=True)
    raise SystemExit(code)

"""``duly demo``: a sample shop with its dashboard, to look around in."""

from __future__ import annotations

import logging
import secrets
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from duly.cli.lazy import FAILED
from duly.cli.logs import configure_logging
from duly.cli.signals import StopSignals

try:
    from duly.demo.server import serve_demo
except ImportError as error:
    sys.exit(f"the demo requires {error.name}: pip install 'duly[demo]'")

from duly.demo.jobs import demo_scheduler

HOST = "127.0.0.1"
DEFAULT_PORT = 8000
WELCOME = """\
Duly's demo runs until Ctrl-C, on {database}
  dashboard     {address}/?key={key}
  command line  duly jobs list --api {address} --key {key}
                duly runs list --url {database}"""


@click.command("demo")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=DEFAULT_PORT,
    show_default=True,
    help="Port on 127.0.0.1; 0 takes a free one",
)
@click.option(
    "--db", metavar="FILE|URL",
    help="Keep the database: an SQLite file or a database URL; default: a temporary file",
)  # fmt: skip
def demo_command(port: int, db: str | None) -> None:
    """Serve a sample application with its dashboard on this machine.

    Its jobs succeed, fail, are retried, run long with progress, and follow each other. It prints
    the address of the dashboard with a key that is valid until the command ends.

    Exit codes: 0 stopped by Ctrl-C or SIGTERM, 1 the port is taken or the database does not
    respond, 2 an argument is wrong.
    """
    configure_logging("error", as_json=False)
    logging.getLogger("duly.worker").addFilter(_is_about_no_run)
    with _listen(port) as listening, _database(db) as url:
        key = secrets.token_urlsafe(24)
        address = f"http://{HOST}:{listening.getsockname()[1]}"
        scheduler = demo_scheduler(url)
        scheduler.prepare()
        welcome = WELCOME.format(address=address, key=key, database=scheduler.store)
        with StopSignals(scheduler.skip_grace):
            serve_demo(scheduler, listening, key, lambda: click.echo(welcome))
        click.echo("Stopped.")


def _is_about_no_run(record: logging.LogRecord) -> bool:
    """Return whether to write a record: that runs fail is meant, and shown on the dashboard."""
    return not hasattr(record, "duly_run")


def _listen(port: int) -> socket.socket:
    try:
        return socket.create_server((HOST, port))
    except OSError as error:
        click.echo(f"duly: port {port} of {HOST}: {error.strerror}; try --port 0", err=True)
        raise SystemExit(FAILED) from error


@contextmanager
def _database(db: str | None) -> Iterator[str]:
    if db is not None:
        yield db if "://" in db else f"sqlite:///{Path(db).absolute()}"
        return
    with tempfile.TemporaryDirectory(prefix="duly-demo-") as folder:
        yield f"sqlite:///{folder}/demo.db"

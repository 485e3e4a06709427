"""``duly doctor``: what is wrong with a scheduler and its database, or will be."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from duly.cli.application import app_dir_option, application_argument, load_scheduler
from duly.cli.lazy import FAILED
from duly.cli.logs import configure_logging
from duly.model.finding import Finding


@click.command("doctor")
@application_argument
@app_dir_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON")
def doctor_command(app: str, app_dir: str, as_json: bool) -> None:
    """Look at the clock, the time zones, the database of APP, and what is stored there.

    One line a check: how it is (ok, warning, problem), what was found, what to do. Nothing is
    written, and no table is made. APP: see "duly run --help".

    Exit codes: 0 all is ok, or there are only warnings; 1 there is a problem, or APP failed to
    load; 2 something in the call is wrong.
    """
    scheduler = load_scheduler(app, app_dir)
    configure_logging("warning", as_json=as_json)
    found = scheduler.examine()
    scheduler.store.dispose()
    well = all(one.level != "problem" for one in found)
    if as_json:
        click.echo(json.dumps({"ok": well, "checks": [asdict(one) for one in found]}, indent=2))
    else:
        click.echo("\n".join(map(_line, found)))
    raise SystemExit(0 if well else FAILED)


def _line(found: Finding) -> str:
    line = f"{found.level:<8} {found.check}: {' '.join(found.text.split())}"
    return line if found.advice is None else f"{line} -> {' '.join(found.advice.split())}"

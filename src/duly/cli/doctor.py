"""``duly doctor``: checks a scheduler and its database for problems."""

from __future__ import annotations

import json

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
    """Check the clock, the time zone data and the database of APP for problems.

    Each check prints one line: its result (ok, warning or problem), what was found, and what to
    do. Nothing is written, and no tables are created. APP: see "duly run --help".

    Exit codes: 0 no problem, though perhaps warnings; 1 there is a problem, or APP could not be
    loaded; 2 an argument is wrong.
    """
    scheduler = load_scheduler(app, app_dir)
    configure_logging("warning", as_json=as_json)
    findings = scheduler.examine()
    scheduler.store.dispose()
    ok = all(finding.level != "problem" for finding in findings)
    if as_json:
        click.echo(
            json.dumps({"ok": ok, "checks": [finding.to_dict() for finding in findings]}, indent=2)
        )
    else:
        click.echo("\n".join(map(_line, findings)))
    raise SystemExit(0 if ok else FAILED)


def _line(finding: Finding) -> str:
    line = f"{finding.level:<8} {finding.check}: {' '.join(finding.text.split())}"
    return line if finding.advice is None else f"{line} -> {' '.join(finding.advice.split())}"

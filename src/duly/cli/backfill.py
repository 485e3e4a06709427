"""``duly backfill``: run the nominal times of a period that did not run."""

from __future__ import annotations

from typing import Any

import click

from duly.cli.client import Client, segment
from duly.cli.confirmation import confirm, yes_option
from duly.cli.output import print_item
from duly.cli.target import on_target


@click.command("backfill")
@on_target
@click.argument("job_id", metavar="JOB")
@click.argument("start", metavar="START")
@click.argument("end", metavar="END")
@click.option("--limit", type=int, help="Create no run if there would be more; default: 1,000")
@click.option("--priority", type=int, help="Of the runs; smaller numbers start first")
@click.option("--force", is_flag=True, help="Go back further than history is kept")
@click.option("--dry-run", is_flag=True, help="Only tell which times would run")
@yes_option
def backfill_command(
    client: Client, *, as_json: bool, job_id: str, start: str, end: str, dry_run: bool, yes: bool,
    **bounds: Any,
) -> None:  # fmt: skip
    """Run the times of JOB from START until before END that did not run.

    START and END are instants in ISO 8601 with an offset. Targets and exit codes: see `duly jobs
    --help`.
    """
    path = f"/jobs/{segment(job_id)}/backfill"
    given = {name: value for name, value in bounds.items() if value is not None}
    body = {"start": start, "end": end, **given}
    if dry_run or not yes:
        plan = client.post(path, body, {"dry_run": "true"})
        if dry_run:
            print_item(plan, as_json=as_json)
            return
        confirm(f"Run {len(plan['times'])} times of {job_id}?", yes=False)
    print_item(client.post(path, body), as_json=as_json)

"""The ``duly`` command. Each subcommand has a module, which is imported when it is used."""

from __future__ import annotations

import sys

try:
    import click
except ImportError:
    sys.exit("the command line requires click: pip install 'duly[cli]'")

from duly.cli.lazy import LazyCommand, LazyGroup
from duly.model.version import VERSION

COMMANDS = {
    name: LazyCommand(f"duly.cli.{module}", f"{name}_command", summary)
    for name, module, summary in (
        ("run", "run", "Fire and execute the jobs of an application."),
        ("worker", "run", "Execute runs without firing jobs."),
        ("jobs", "jobs", "List, add, change, pause, run and remove jobs."),
        ("runs", "runs", "List, follow, cancel, retry and discard runs."),
        ("dead", "runs", "Show dead letters by task and error; retry and discard them."),
        ("backfill", "backfill", "Run the times of a period that did not run."),
        ("scheduler", "controls", "Switch the scheduler off and on in all workers."),
        ("queues", "controls", "List, pause, resume and limit queues."),
        ("limits", "controls", "List, set and remove the limits of concurrency keys."),
        ("calendars", "controls", "List, show, set and remove named calendars."),
        ("workers", "controls", "List and drain workers."),
        ("events", "controls", "Show the audit trail."),
        ("keys", "keys", "List, create and revoke API keys."),
        ("notify", "notify", "Show and change the rules of notices, and test channels."),
        ("doctor", "doctor", "Check a scheduler and its database for problems."),
        ("db", "db", "Create, migrate and check the tables, and delete expired history."),
        ("next", "triggers", "Print the next fires of a trigger."),
        ("completion", "completion", "Print the completion script of a shell."),
        ("explain", "triggers", "Explain a trigger and point out its surprises."),
        ("import", "importing", "Import the schedules of other systems."),
        ("demo", "demo", "Serve a sample application with its dashboard."),
        ("simulate", "simulate", "Show which jobs would fire in a period, and how often."),
    )
}


@click.group(
    cls=LazyGroup, entries=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(VERSION, prog_name="duly")
def main() -> None:
    """Duly, a durable job scheduler.

    Exit codes: 0 success, 1 failure, 2 an argument is wrong, 3 not found, 4 the state does not
    allow it, 5 not signed in, or the role does not suffice.
    """

"""The ``duly`` command. Each group of commands is a file of its own, loaded when asked for."""

from __future__ import annotations

import sys

try:
    import click
except ImportError:
    sys.exit("the command line needs click: pip install 'duly[cli]'")

from duly.cli.lazy import Entry, LazyGroup

COMMANDS = {
    "run": Entry("duly.cli.run", "run_command", "Fire and execute the jobs of an application."),
    "worker": Entry("duly.cli.run", "worker_command", "Execute runs, but fire nothing."),
    "doctor": Entry("duly.cli.doctor", "doctor_command", "Look for what is wrong, or will be."),
    "next": Entry("duly.cli.triggers", "next_command", "Print the next fires of a trigger."),
    "explain": Entry(
        "duly.cli.triggers", "explain_command", "Explain a trigger, and what may surprise."
    ),
    "simulate": Entry(
        "duly.cli.simulate",
        "simulate_command",
        "Say which jobs fire how often in a stretch of time.",
    ),
}


@click.group(
    cls=LazyGroup, entries=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(package_name="duly", prog_name="duly")
def main() -> None:
    """Duly, a durable job scheduler.

    Exit codes: 0 done, 1 it failed, 2 something in the call is wrong.
    """

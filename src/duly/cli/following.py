"""Following a run until it has ended: its progress and its log."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from duly.cli.client import Client, segment
from duly.cli.output import on_terminal
from duly.clock import SystemClock
from duly.model.run import LIVE

POLL_S = 0.5


def follow_run(client: Client, run: Any) -> Any:
    """Wait until a run has ended, and return it as it is then.

    A terminal shows its progress meanwhile, as far as its function reports it.
    """
    with _progress_bar(run["job_id"] or run["task"]) as show:
        latest = run
        for latest in until_ended(client, run):
            show(latest)
    return latest


def until_ended(client: Client, run: Any) -> Iterator[Any]:
    """Return a run again and again, at last as it is when it has ended."""
    clock = SystemClock()
    while True:
        yield run
        if run["state"] not in LIVE:
            return
        clock.pause(POLL_S)
        run = client.get(f"/runs/{segment(run['id'])}")


@contextmanager
def _progress_bar(name: str) -> Iterator[Callable[[Any], None]]:
    if not on_terminal():
        yield lambda _run: None
        return
    from rich.markup import escape  # noqa: PLC0415 - a pipe needs none, and it takes 80 ms
    from rich.progress import Progress  # noqa: PLC0415 - as above

    with Progress(transient=True) as bar:
        task = bar.add_task(escape(name), total=None)

        def show(run: Any) -> None:
            progress = run["progress"] or {}
            bar.update(
                task, completed=progress.get("done") or 0, total=progress.get("total"),
                description=escape(f"{name} {run['state']} {progress.get('note') or ''}"),
            )  # fmt: skip

        yield show

"""Lateness of runs while notices wait for a mail server that is away, and what arrives after it.

``python -m bench.notices [URL] [SECONDS]``: first without any notice, then with 50 notices whose
mail server is stopped. The figures are printed; nothing is written to RESULTS.md.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from datetime import datetime

from duly import Scheduler, every
from duly.notify import Smtp, email
from tests.notify.conftest import MailServer

JOBS = 20
NOTICES = 50
LONGEST_WAIT_S = 120


def tick() -> None:
    """The function of every job: it returns at once."""


def lateness(scheduler: Scheduler, since: datetime) -> list[float]:
    """Milliseconds between the nominal time and the start of each run since an instant."""
    runs = [run for job in scheduler.jobs() for run in scheduler.runs(job=job.id, limit=1000)]
    return sorted(
        (run.started_at - run.scheduled_for).total_seconds() * 1000
        for run in runs
        if run.scheduled_for and run.started_at and run.scheduled_for > since
    )


def quantile(values: list[float], part: float) -> float:
    """The value below which this part of the sorted values lies."""
    return values[min(len(values) - 1, int(len(values) * part))]


def show(label: str, values: list[float]) -> None:
    """Print the figures of one phase."""
    p50, p99 = quantile(values, 0.5), quantile(values, 0.99)
    print(f"{label}: {len(values)} runs, lateness p50 {p50:.1f} ms, p99 {p99:.1f} ms")


def main(url: str, seconds: float) -> None:
    """Measure both phases."""
    server = MailServer()
    smtp = Smtp("127.0.0.1", "duly@example.com", server.port, "none")
    scheduler = Scheduler(url)
    scheduler.notify(email("ops@example.com", smtp=smtp), on=["run.failed"])
    scheduler.task()(fail)
    for number in range(JOBS):
        scheduler.job(every(seconds=1), id=f"tick-{number}")(tick)
    with scheduler.running():
        time.sleep(5)
        for phase in ("without notices", f"with {NOTICES} notices and no mail server"):
            since = scheduler.status().at
            if phase.startswith("with "):
                for _ in range(NOTICES):
                    scheduler.enqueue("fail")
            time.sleep(seconds)
            show(phase, lateness(scheduler, since))
        failed = len(scheduler.events(kind="notice.failed", limit=1000))
        print(
            f"tries of the whole channel in {seconds:g} s: {failed}; sent: {len(server.messages)}"
        )
        server.start()
        back = time.monotonic()
        while len(scheduler.notices(state="sent")) < NOTICES:
            if time.monotonic() - back > LONGEST_WAIT_S:
                break
            time.sleep(0.1)
        took = time.monotonic() - back
        ids = Counter(message["Message-ID"] for message in server.messages)
        twice = sum(count > 1 for count in ids.values())
        print(f"{len(ids)} of {NOTICES} arrived {took:.1f} s after its return, {twice} twice")
    server.stop()


def fail() -> None:
    """A run that becomes a dead letter."""
    raise RuntimeError("it failed")


if __name__ == "__main__":
    arguments = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder, suppress(KeyboardInterrupt):
        main(
            arguments[0] if arguments else f"sqlite:///{folder}/duly.db",
            float(arguments[1]) if len(arguments) > 1 else 60,
        )

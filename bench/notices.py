"""Lateness of runs while notices wait for a mail server that is away, and what arrives after it.

``python -m bench.notices [URL] [SECONDS]``: twice 50 runs fail, first without a rule, then with one
whose mail server is stopped. The figures are printed; nothing is written to RESULTS.md.
"""

from __future__ import annotations

import logging
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
FAILURES = 50
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


def fail_evenly(scheduler: Scheduler, seconds: float) -> None:
    """Let `FAILURES` runs fail, spread over a number of seconds."""
    for _ in range(FAILURES):
        scheduler.enqueue("fail")
        time.sleep(seconds / FAILURES)


def main(url: str, seconds: float) -> None:
    """Measure both phases, and then what arrives."""
    logging.getLogger("duly").setLevel(logging.CRITICAL)
    server = MailServer()
    smtp = Smtp("127.0.0.1", "duly@example.com", server.port, "none")
    scheduler = Scheduler(url)
    scheduler.task()(fail)
    for number in range(JOBS):
        scheduler.job(every(seconds=1), id=f"tick-{number}")(tick)
    with scheduler.running():
        time.sleep(5)
        for phase in ("no rule", "a rule, and no mail server"):
            since = scheduler.status().at
            fail_evenly(scheduler, seconds)
            show(phase, lateness(scheduler, since))
            if phase == "no rule":
                scheduler.notify(email("ops@example.com", smtp=smtp), on=["run.failed"])
        tries = len(scheduler.events(kind="notice.failed", limit=1000))
        print(f"{tries} tries in {seconds:g} s, {len(server.messages)} sent")
        server.start()
        show_arrivals(scheduler, server)
    server.stop()


def show_arrivals(scheduler: Scheduler, server: MailServer) -> None:
    """Wait until all notices are sent, and print how long that took and how many came twice."""
    back = time.monotonic()
    while len(scheduler.notices(state="sent")) < FAILURES:
        if time.monotonic() - back > LONGEST_WAIT_S:
            break
        time.sleep(0.1)
    took = time.monotonic() - back
    ids = Counter(message["Message-ID"] for message in server.messages)
    twice = sum(count > 1 for count in ids.values())
    print(f"{len(ids)} of {FAILURES} arrived {took:.1f} s after its return, {twice} twice")


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

"""A worker that serves its metrics, and prints the port: ``python worker.py URL``."""

from __future__ import annotations

import signal
import sys
import threading

from duly import Retry, Scheduler
from duly.observe import Metrics, serving


def declare(scheduler: Scheduler) -> None:
    """Declare tasks that end in different ways."""

    @scheduler.task()
    def work(n: int = 0) -> None:
        threading.Event().wait(0.01)  # so that a worker that is killed has runs in flight

    @scheduler.task(queue="mail", retry=Retry(attempts=2, wait=0.1))
    def fail(n: int = 0) -> None:
        raise RuntimeError("as every time")

    @scheduler.task(on_crash="fail")
    def once(n: int = 0) -> None:
        threading.Event().wait(0.05)


def main(url: str) -> None:
    """Work until SIGTERM."""
    scheduler = Scheduler(url, heartbeat="fast", queues={"default": 4, "mail": 2})
    declare(scheduler)
    with serving(Metrics.of(scheduler), 0) as port, scheduler.running():
        sys.stdout.write(f"port {port}\n")
        sys.stdout.flush()
        signal.sigwait({signal.SIGTERM})


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    main(sys.argv[1])

"""An application whose jobs execute in Celery; run it with ``celery -A`` or as a program.

As a program it starts its scheduler, enqueues as many calls of ``note`` as its argument says, and
waits to be killed.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

from celery import Celery

from duly import Retry, Run, Scheduler
from duly.integrations.celery import CeleryExecutor

log = logging.getLogger("shop")
queue = os.environ["BROKER_QUEUE"]
celery_app = Celery("shop", broker=os.environ["BROKER"], backend=os.environ.get("BACKEND"))
celery_app.conf.update(
    broker_transport_options={"global_keyprefix": f"{queue}-", "visibility_timeout": 3600},
    result_backend_transport_options={"global_keyprefix": f"{queue}-"},
    worker_enable_remote_control=False,
    broker_connection_timeout=2,
    worker_prefetch_multiplier=1,
)
executor = CeleryExecutor(celery_app, queue=queue, resend=float(os.environ.get("RESEND", "60")))
scheduler = Scheduler(os.environ["DULY_URL"], heartbeat="fast", executors={"celery": executor})
FOLDER = Path(os.environ["DULY_FOLDER"])


@scheduler.task(executor="celery")
def render(video: int, run: Run) -> dict[str, int]:
    """Report progress, log and return something."""
    run.progress(1, 2, "half")
    log.warning("rendering %d", video)
    return {"video": video, "pid": os.getpid()}


@scheduler.task(executor="celery")
async def fetch(number: int) -> int:
    """A coroutine."""
    await asyncio.sleep(0.01)
    return number


@scheduler.task(executor="celery", retry=Retry(attempts=2, wait=0))
def fail() -> None:
    """Fail always."""
    raise ValueError("no")


@scheduler.task(executor="celery", timeout=1)
def slow() -> None:
    """Exceed its timeout."""
    time.sleep(60)


@scheduler.task(executor="celery", timeout=0.5)
def stubborn() -> None:
    """Exceed its timeout, and ignore every request to end."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            time.sleep(60)
        except BaseException:  # noqa: BLE001 - it is as stubborn as can be
            log.warning("ignored")


@scheduler.task(executor="celery")
def wait(run: Run) -> None:
    """Run until asked to stop."""
    (FOLDER / f"waiting-{run.id}-{run.attempt}").touch()
    while run.attempt == 1:
        time.sleep(0.02)
        run.check()


@scheduler.task(executor="celery")
def note(number: int) -> None:
    """Leave one mark for each execution."""
    (FOLDER / f"note-{number}-{time.monotonic_ns()}").touch()


@celery_app.task(bind=True, name="shop.rebuild", shared=False)
def rebuild(self: Any, pages: int, *, fails: bool = False) -> dict[str, int]:
    """A task of Celery's own, which knows nothing of Duly."""
    self.update_state(state="PROGRESS", meta={"current": 1, "total": pages})
    (FOLDER / "rebuilding").touch()
    deadline = time.monotonic() + 30
    while not (FOLDER / "go on").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    if fails:
        raise ValueError("no pages")
    return {"pages": pages}


if __name__ == "__main__":
    scheduler.start()
    for each in range(int(sys.argv[1])):
        scheduler.enqueue(note, number=each)
    sys.stdout.write("enqueued\n")
    sys.stdout.flush()
    threading.Event().wait()

"""The application of `bench.through_celery`: calls note when they were sent and started."""

from __future__ import annotations

import os
import sys
import threading
import time

from celery import Celery

from duly import Scheduler
from duly.integrations.celery import CeleryExecutor

queue = os.environ["BROKER_QUEUE"]
celery_app = Celery("bench", broker=os.environ["BROKER"])
celery_app.conf.update(
    broker_transport_options={"global_keyprefix": f"{queue}-"},
    worker_enable_remote_control=False,
    task_ignore_result=True,
)
scheduler = Scheduler(
    os.environ["DULY_URL"],
    executors={"celery": CeleryExecutor(celery_app, queue=queue)},
)
notes = os.open(os.environ["BENCH_NOTES"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)


def note(sent: float) -> None:
    """Note the two instants."""
    os.write(notes, f"{sent} {time.time()}\n".encode())


plain = celery_app.task(name="bench.plain", shared=False)(note)
local = scheduler.task(name="local")(note)
remote = scheduler.task(name="remote", executor="celery")(note)

if __name__ == "__main__":
    scheduler.start()
    sys.stdout.write("started\n")
    sys.stdout.flush()
    threading.Event().wait()

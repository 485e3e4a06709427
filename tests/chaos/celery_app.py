"""The application of the Celery experiment: ``celery -A`` executes it; as a program it decides."""

from __future__ import annotations

import json
import os
import sys
import threading
import time

from celery import Celery
from sqlalchemy import create_engine, text

from duly import Retry, Run, Scheduler
from duly.integrations.celery import CeleryExecutor

queue = os.environ["BROKER_QUEUE"]
celery_app = Celery("chaos", broker=os.environ["BROKER"])
celery_app.conf.update(
    broker_transport_options={"global_keyprefix": f"{queue}-", "visibility_timeout": 20},
    worker_enable_remote_control=False,
    broker_connection_timeout=2,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    worker_prefetch_multiplier=2,
)
executor = CeleryExecutor(celery_app, queue=queue, window=50, resend=5)
scheduler = Scheduler(os.environ["DULY_URL"], heartbeat="fast", executors={"celery": executor})
engine = create_engine(os.environ["DULY_URL"])
EFFECT = text("insert into effect (run_id, attempt, number, at) values (:run, :attempt, :n, now())")


@scheduler.task(executor="celery", retry=Retry(attempts=3, wait=0))
def work(number: int, run: Run) -> dict[str, int]:
    """Leave an effect, take a while, and fail at times."""
    values = {"run": run.id, "attempt": run.attempt, "n": number}
    with engine.begin() as conn:
        conn.execute(EFFECT, values)
    time.sleep(0.02 + (number * 7 % 10) / 100)
    if number % 10 == 3 and run.attempt == 1:
        raise ValueError("the first attempt of every tenth run fails")
    return {"number": number, "attempt": run.attempt}


if __name__ == "__main__":
    scheduler.start()
    sys.stdout.write(json.dumps({"started": os.getpid()}) + "\n")
    sys.stdout.flush()
    threading.Event().wait()

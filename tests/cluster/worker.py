"""A worker process of the cluster tests, which turns due items into notices.

Run as ``python worker.py URL [normal]``, where the last word is its heartbeat (default: fast). The
database holds a table ``item (id, done)`` and a table ``notice (item_id)``, deliberately without a
unique key, so that a duplicate notice is visible.
"""

from __future__ import annotations

import os
import sys
import threading

from sqlalchemy import create_engine, text

from duly import Run, Scheduler, every, prepare_engine

url = sys.argv[1]
engine = prepare_engine(create_engine(url))
scheduler = Scheduler(url, heartbeat="normal" if "normal" in sys.argv else "fast")

CHUNK = 50


@scheduler.job(every(seconds=1), overlap="skip")
def notify(run: Run) -> int:
    """Write a notice for every due item, in batches of one transaction each."""
    made = 0
    while not run.cancelled:
        with engine.begin() as conn:
            due = text("select id from item where done = 0 order by id limit :chunk")
            ids = list(conn.execute(due, {"chunk": CHUNK}).scalars())
            for item in ids:
                won = text("update item set done = 1 where id = :id and done = 0")
                if conn.execute(won, {"id": item}).rowcount:
                    conn.execute(text("insert into notice values (:id)"), {"id": item})
                    made += 1
        if not ids:
            break
    return made


@scheduler.task()
def stamp(n: int) -> None:
    """Record that this call was executed, and by which process."""
    with engine.begin() as conn:
        conn.execute(text("insert into stamp values (:n, :pid)"), {"n": n, "pid": os.getpid()})


scheduler.start()
sys.stdout.write("started\n")
sys.stdout.flush()
threading.Event().wait()

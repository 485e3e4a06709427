"""What the engine cannot show in one process: other workers, and paths of another machine."""

from __future__ import annotations

import sysconfig
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, func, insert, select, update

from duly.model.identity import new_id
from duly.store.host.engine import prepare_engine
from duly.store.tables import attempt, notice, run, run_log, worker

SITE = sysconfig.get_path("purelib")
ROOT = str(Path(__file__).resolve().parents[2])
STANDARD = sysconfig.get_path("stdlib")
PATHS = (
    (SITE, "/srv/shop/.venv/lib/python3.12/site-packages"),
    (STANDARD, "/usr/lib/python3.12"),
    (f"{ROOT}/scripts/scene", "/srv/shop/shop"),
    (f"{ROOT}/src/duly", "/srv/shop/.venv/lib/python3.12/site-packages/duly"),
)
"""The folders of this machine, and those of the machine of the scene."""

OTHERS: tuple[dict[str, Any], ...] = (
    {"host": "web-2.shop.internal", "pid": 4127, "beat": 3, "lease": 57},
    {"host": "jobs-1.shop.internal", "pid": 91, "beat": 7, "lease": 53, "queues": '{"heavy":2}'},
    {"host": "web-3.shop.internal", "pid": 4019, "beat": 2, "lease": 58, "tzdb": "2024a"},
    {"host": "web-4.shop.internal", "pid": 388, "beat": 5, "lease": 55, "draining": True},
    {"host": "web-5.shop.internal", "pid": 777, "beat": 412, "lease": -232},
)


DIGITS = ("048c", "159d", "26ae")
"""The last digits of the ids of the runs that the first other workers have executed."""


def tidy(url: str, now: datetime) -> None:
    """Complete the scene.

    Args:
        url: its database.
        now: its present.
    """
    engine: Engine = prepare_engine(create_engine(url))
    with engine.begin() as conn:
        _place_workers(conn, now)
        _replace_paths(conn)
        _fail_notice(conn, now)
    engine.dispose()


def _place_workers(conn: Connection, now: datetime) -> None:
    own = conn.execute(select(worker).order_by(worker.c.started_at.desc())).mappings().all()[0]
    place = {"host": "web-1.shop.internal", "pid": 4112, "process": "4112"}
    conn.execute(update(worker).where(worker.c.id == own["id"]).values(**place))
    ids = []
    for number, other in enumerate(OTHERS):
        values = {
            **own, **other, "id": new_id(), "process": f"{other['pid']}",
            "beat_at": now - timedelta(seconds=other["beat"]),
            "lease_until": now + timedelta(seconds=other["lease"]),
            "started_at": own["started_at"] + timedelta(seconds=17 * number),
        }  # fmt: skip
        conn.execute(insert(worker).values({c: values[c] for c in values if c in worker.c}))
        ids.append(values["id"])
    for number, worker_id in enumerate(ids[:3]):
        last = func.substr(func.cast(run.c.id, run.c.task.type), 36, 1)
        mine = (run.c.worker_id == own["id"]) & last.in_(tuple(DIGITS[number]))
        conn.execute(update(run).where(mine).values(worker_id=worker_id))


def _replace_paths(conn: Connection) -> None:
    for table, column in ((attempt, attempt.c.traceback), (run_log, run_log.c.message)):
        text: Any = column
        for here, there in PATHS:
            text = func.replace(text, here, there)
        conn.execute(update(table).where(column.like("%Traceback%")).values({column: text}))


def _fail_notice(conn: Connection, now: datetime) -> None:
    """Store a notice that was not delivered, since no notice is sent here."""
    found = conn.execute(select(notice).limit(1)).mappings().first()
    if found is None:
        return
    failed = {
        **found, "id": new_id(), "state": "dead", "attempts": 8, "claim_id": None,
        "finished_at": now - timedelta(hours=2), "keep_until": now + timedelta(days=80),
        "error": "HTTP 410 from chat.example: this hook was deleted",
    }  # fmt: skip
    conn.execute(insert(notice).values(failed))

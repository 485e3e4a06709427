"""Newer time zone data: jobs that go by a wall clock follow it, and repeat no time of the past."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from duly.decisions.apply import decide_and_store
from duly.decisions.policy import next_fire
from duly.model.zone_data import tzdb_version
from duly.store import control, jobs
from duly.store.rows import JobRow, definition_of
from duly.store.transaction import Transaction
from duly.triggers import Trigger

BATCH = 500
LARGEST_CHANGE = timedelta(hours=3)
"""No zone has moved its clock further than this at once in this century, but for the date line."""

INSTANT = timedelta(microseconds=1)
_RELEASE = re.compile(r"\d{4}[a-z]+", re.ASCII)


def is_news(conn: Connection) -> bool:
    """Whether this process has newer data than the jobs' next times were worked out with."""
    held = control.zone_data(conn)
    return held is None or _is_newer(tzdb_version(), held)


def is_behind(conn: Connection) -> bool:
    """Whether another process has worked with newer data than this one's: a mixed fleet."""
    return _is_newer(control.zone_data(conn) or "", tzdb_version())


def follow(tx: Transaction, after: str = "") -> str | None:
    """Work out the next times of one batch of jobs anew; the last batch notes that all is done.

    Args:
        tx: a transaction of its own.
        after: only jobs whose ids sort after this one.

    Returns:
        The last id of the batch; ``None``: there are no more.
    """
    rows = jobs.lock_by_the_clock(tx, after, BATCH, tzdb_version())
    for row in rows:
        _follow(tx, row)
    if len(rows) < BATCH:
        control.set_zone_data(tx, tzdb_version())
        return None
    last: str = rows[-1].id
    return last


def _follow(tx: Transaction, row: JobRow) -> None:
    trigger, options, _problem = definition_of(row)
    if trigger is None or not trigger.wall_clock or not _is_newer(tzdb_version(), row.tzdb):
        return
    while row.state == "active" and row.next_fire_at and row.next_fire_at <= tx.now:
        decide_and_store(tx, [row])
        row = jobs.lock(tx, [row.id])[0]
    if row.next_fire_at is None or row.state not in ("active", "paused"):
        return
    values: dict[str, Any] = {"tzdb": tzdb_version()}
    # No time is repeated, and none that an edit has left behind comes back.
    decided = max(row.updated_at, row.next_fire_at - LARGEST_CHANGE - INSTANT)
    if row.last_nominal is not None:
        decided = max(decided, _already_had(trigger, row.last_nominal))
    following = next_fire(trigger, options, decided)
    if following != row.next_fire_at:
        values["next_fire_at"] = following
        tx.record(
            "job.changed", job_id=row.id, fields=["next_fire_at"], tzdb=tzdb_version(),
            was=row.next_fire_at.isoformat(),
        )  # fmt: skip
    jobs.change(tx, row.id, values)


def _already_had(trigger: Trigger, last: datetime) -> datetime:
    """The nominal time that the last one is under the new data: its wall time may have moved.

    Where the last one still is a nominal time nothing has moved there. Else the nearest one is the
    same time on the wall, and has been decided.
    """
    before = trigger.due(last - LARGEST_CHANGE, last, keep=1).last
    if before == last:
        return last
    following = trigger.next_after(last)
    if following is None or following - last > LARGEST_CHANGE:
        return last
    return following if before is None or following - last < last - before else last


def _is_newer(mine: str, other: str) -> bool:
    """Releases compare by name; where a system does not tell which one it has nothing is newer."""
    if not _RELEASE.fullmatch(mine) or not _RELEASE.fullmatch(other):
        return False
    return mine > other

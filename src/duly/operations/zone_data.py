"""Recompute the next fires of wall-clock jobs for newer time zone data, repeating no past time."""

from __future__ import annotations

import logging
import re
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from duly.decisions.policy import INSTANT, next_fire
from duly.model.zone_data import tzdb_version
from duly.operations.core import Core
from duly.operations.jobs.cursors import decide_due
from duly.store import control, jobs
from duly.store.rows import JobRow, definition_of
from duly.store.transaction import Transaction
from duly.triggers import Trigger

log = logging.getLogger("duly")
BATCH = 500
LARGEST_CHANGE = timedelta(hours=3)
"""No zone has moved its clock further at once in this century, except across the date line."""

_RELEASE = re.compile(r"\d{4}[a-z]+", re.ASCII)


def follow_zone_data(core: Core) -> None:
    """Recompute the next fires of wall-clock jobs if this process has newer time zone data."""
    with core.store.read() as conn:
        newer, behind = _is_ahead(conn), is_behind(conn)
    if behind:
        log.warning(
            "This process has older time zone data (%s) than other processes of this scheduler; "
            "give all of them the same, for example by updating the package tzdata.",
            tzdb_version(),
        )
    after: str | None = "" if newer else None
    while after is not None:
        with core.store.write() as tx:
            after = follow(tx, after)


def is_behind(conn: Connection) -> bool:
    """Return whether another process has computed times with newer data than this one has."""
    return _is_newer(control.zone_data(conn) or "", tzdb_version())


def follow(tx: Transaction, after: str = "") -> str | None:
    """Recompute the next fires of one batch of jobs; the last batch records the data's version.

    Args:
        tx: a transaction of its own.
        after: only jobs whose ids sort after this one.

    Returns:
        The last id of the batch; ``None`` after the last batch.
    """
    rows = jobs.lock_outdated(tx, after, BATCH, tzdb_version())
    for row in rows:
        _follow(tx, row)
    if len(rows) < BATCH:
        control.set_zone_data(tx, tzdb_version())
        return None
    last: str = rows[-1].id
    return last


def _is_ahead(conn: Connection) -> bool:
    stored = control.zone_data(conn)
    return stored is None or _is_newer(tzdb_version(), stored)


def _follow(tx: Transaction, row: JobRow) -> None:
    trigger, options, _problem = definition_of(row)
    if trigger is None or not trigger.wall_clock or not _is_newer(tzdb_version(), row.tzdb):
        return
    row = decide_due(tx, row)
    if row.next_fire_at is None or row.state not in ("active", "paused"):
        return
    values: dict[str, Any] = {"tzdb": tzdb_version()}
    # No time is repeated, and none from before an edit is decided again.
    decided = max(row.updated_at, row.next_fire_at - LARGEST_CHANGE - INSTANT)
    if row.last_nominal is not None:
        decided = max(decided, _counterpart(trigger, row.last_nominal))
    following = next_fire(trigger, options, decided)
    if following != row.next_fire_at:
        values["next_fire_at"] = following
        tx.record(
            "job.changed", job_id=row.id, fields=["next_fire_at"], tzdb=tzdb_version(),
            was=row.next_fire_at.isoformat(),
        )  # fmt: skip
    jobs.change(tx, row.id, values)


def _counterpart(trigger: Trigger, last: datetime) -> datetime:
    """Return the nominal time under the new data that corresponds to the last one under the old.

    If the last one is still a nominal time, it is the same one. Otherwise the nearest nominal time
    has the same wall time, and is decided already.
    """
    before = trigger.due(last - LARGEST_CHANGE, last, keep=1).last
    if before == last:
        return last
    following = trigger.next_after(last)
    if following is None or following - last > LARGEST_CHANGE:
        return last
    return following if before is None or following - last < last - before else last


def _is_newer(mine: str, other: str) -> bool:
    """Compare releases by name, such as ``2026a``; data of an unknown release is never newer."""
    if not _RELEASE.fullmatch(mine) or not _RELEASE.fullmatch(other):
        return False
    return mine > other

"""Bounded counts of a job's runs: of each of several periods, and of those that are unfinished."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any, NamedTuple

from sqlalchemy import (
    Connection,
    Select,
    Subquery,
    case,
    func,
    literal,
    select,
    true,
    union_all,
)

from duly.model.identity import floor_id
from duly.model.run import COUNTED
from duly.store.tables import LIVE, run


class PeriodCount(NamedTuple):
    """The runs of a period, by state.

    Attributes:
        states: the number of runs in each state.
        more: whether there were more runs than were looked at.
    """

    states: Counter[str]
    more: bool


def of_periods(
    conn: Connection,
    job_id: str,
    times: Sequence[datetime],
    limit: int,
    owners: Sequence[str] | None = None,
) -> list[PeriodCount]:
    """Count the runs of a job that were created between each two successive times.

    Args:
        conn: the connection.
        job_id: the job's id.
        times: the ends of one or more periods, ascending.
        limit: of each period, the newest runs that are looked at.
        owners: count only runs of these owners; default: all.
    """
    periods = list(pairwise(times))
    found = [PeriodCount(Counter(), False) for _period in periods]
    looked_at: Counter[int] = Counter()
    parts = [
        _by_state(number, _newest(job_id, since, until, limit + 1), owners)
        for number, (since, until) in enumerate(periods)
    ]
    for number, state, own, examined in conn.execute(union_all(*parts)):
        looked_at[number] += examined
        if own:
            found[number].states[state] += int(own)
    return [
        PeriodCount(counted.states, looked_at[number] > limit)
        for number, counted in enumerate(found)
    ]


def unfinished(conn: Connection, job_id: str, job_uid: str) -> dict[tuple[str, str], int]:
    """Count the unfinished runs of a job by state and cause, up to `COUNTED` together."""
    live = (
        select(run.c.state, run.c.cause)
        .where(run.c.job_id == job_id, LIVE, run.c.job_uid == job_uid)
        .limit(COUNTED)
        .subquery()
    )
    counted = select(live.c.state, live.c.cause, func.count()).group_by(live.c.state, live.c.cause)
    return {(state, cause): number for state, cause, number in conn.execute(counted)}


def _newest(job_id: str, since: datetime, until: datetime, limit: int) -> Subquery:
    created = run.c.id >= floor_id(since), run.c.id < floor_id(until)
    newest = select(run.c.state, run.c.owner).where(run.c.job_id == job_id, *created)
    return newest.order_by(run.c.id.desc()).limit(limit).subquery()


def _by_state(number: int, newest: Subquery, owners: Sequence[str] | None) -> Select[Any]:
    is_own = true() if owners is None else newest.c.owner.in_(owners)
    own = func.sum(case((is_own, 1), else_=0))
    return select(literal(number), newest.c.state, own, func.count()).group_by(newest.c.state)

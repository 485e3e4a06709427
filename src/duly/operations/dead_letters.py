"""Dead letters: failed runs that wait for a person, grouped by task and type of error."""

from __future__ import annotations

from datetime import datetime
from typing import Unpack

from duly.errors import ConfigurationError
from duly.model.checks import whole
from duly.model.page import Page
from duly.model.record import Record, record
from duly.model.run import RunRecord
from duly.operations.core import Core
from duly.operations.filters import RunFilters, run_filter
from duly.operations.inputs import MAX_ROW_NUMBER, page_size
from duly.store import rows, runs


@record
class DeadLetters(Record):
    """The failed runs of one task that ended with one type of error.

    ``retry_runs(task=…, error_type=…)`` retries them, and `discard_runs` gives them up.

    Attributes:
        task: the task's name.
        error_type: the type of the error that ended the last attempt.
        last_hour: the number of those that failed within the last hour.
        last_day: the number of those that failed within the last 24 hours.
        last_week: the number of those that failed within the last 7 days.
        total: their number.
        first_at: when the first of them failed.
        last_at: when the last of them failed.
        example: the newest of them.
    """

    task: str
    error_type: str
    last_hour: int
    last_day: int
    last_week: int
    total: int
    first_at: datetime
    last_at: datetime
    example: RunRecord


def dead_letters(
    core: Core, *, limit: int = 100, newest: int | None = None, **filters: Unpack[RunFilters]
) -> Page[DeadLetters]:
    """Return the failed runs that match every given filter, grouped by task and type of error.

    The largest groups come first. The result is a list whose attribute ``more`` tells whether there
    are more than ``limit`` groups.

    Args:
        limit: 1 to 1000.
        newest: group only this many of the newest matching runs, so that it takes no longer with a
            million of them; default: all.
        filters: as in `runs`, except for ``state``.

    Raises:
        ConfigurationError: a filter, the limit or ``newest`` is not valid.
        NaiveDatetimeError: an instant has no time zone.
        UnknownTask: ``task`` is a function that is not registered.
        UnknownOption: there is no such filter.
    """
    wanted = run_filter(core.registry, filters)
    if set(wanted.states or ()) - {"failed"}:
        raise ConfigurationError("dead letters are runs that have failed; leave state= out")
    size = page_size(limit)
    most = None if newest is None else whole(1, MAX_ROW_NUMBER)("newest", newest)
    with core.store.read() as conn:
        found = runs.dead_letters(conn, wanted, core.store.time.now(), size + 1, most)
        groups = [
            DeadLetters(
                group.task, group.error_type or "", group.last_hour, group.last_day,
                group.last_week, group.total, group.first_at, group.last_at,
                rows.run_record(group.example),
            )
            for group in found
        ]  # fmt: skip
        return Page.of(groups, size)

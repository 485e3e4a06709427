"""The last outcomes of many jobs, as a list of jobs shows them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated

from duly.errors import ConfigurationError
from duly.model.record import Record, Shown, record
from duly.model.run import RunState
from duly.operations.core import Core
from duly.operations.inputs import chosen_ids, owner_names
from duly.store import runs

MAX_OUTCOMES = 50
"""The maximum number of runs of one job."""


def _seconds(duration: timedelta | None) -> float | None:
    return None if duration is None else duration / timedelta(seconds=1)


@record
class RunOutcome(Record):
    """What became of a run: as much of it as a chart of many runs shows.

    Attributes:
        id: the id of the run.
        state: its state.
        due_at: when it was due.
        started_at: when its last attempt started.
        finished_at: when it ended; ``None`` while it is unfinished.
    """

    id: str
    state: RunState
    due_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None

    @property
    def duration(self) -> Annotated[timedelta | None, Shown(_seconds, float | None)]:
        """The time from the last start to the end; ``None`` unless it has started and ended."""
        if self.started_at is None or self.finished_at is None:
            return None
        return self.finished_at - self.started_at


def last_outcomes(
    core: Core,
    job_ids: Sequence[str],
    *,
    limit: int = 20,
    owners: Sequence[str] | None = None,
) -> dict[str, list[RunOutcome]]:
    """Return the newest runs of each of these jobs, newest first, by the job's id.

    Args:
        job_ids: the ids of the jobs, at most 1000; of jobs that do not exist, the history.
        limit: the maximum number of runs of each job, 1 to 50.
        owners: only runs of one of these owners; an empty list matches nothing.

    Raises:
        ConfigurationError: an argument is not valid.
    """
    given: object = limit
    if not isinstance(given, int) or not 1 <= limit <= MAX_OUTCOMES:
        raise ConfigurationError(f"limit={limit!r}; it must be 1 to {MAX_OUTCOMES}")
    ids = chosen_ids(job_ids)
    restricted = None if owners is None else owner_names(owners)
    with core.store.read() as conn:
        found = runs.last_of_jobs(conn, ids, limit, restricted)
    return {
        job_id: [
            RunOutcome(row.id, row.state, row.due_at, row.started_at, row.finished_at)
            for row in rows
        ]
        for job_id, rows in found.items()
    }

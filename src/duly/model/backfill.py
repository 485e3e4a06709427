"""A backfill: running nominal times of the past that did not run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Backfill:
    """What a backfill did, or would do.

    Attributes:
        job_id: the job.
        start: the first instant that was looked at.
        end: where looking stopped; that instant itself is not included.
        times: the nominal times that run now, oldest first.
        made: for how many of them a run was made.
        revived: how many had a run that was missed or skipped, and is ready now.
        settled: nominal times in between that have run, run, or were cancelled: left alone.
        dry_run: whether nothing was written.
        notes: what else there is to know, in words.
    """

    job_id: str
    start: datetime
    end: datetime
    times: tuple[datetime, ...]
    made: int
    revived: int
    settled: int
    dry_run: bool
    notes: tuple[str, ...] = ()

"""The result of a backfill, which runs past nominal times that did not run."""

from __future__ import annotations

from datetime import datetime

from duly.model.record import Record, record

PRIORITY = 100
"""The default priority of a backfill's runs: other runs have 0, and smaller numbers run first."""

MAX_RUNS = 10_000
"""The maximum number of runs of one backfill."""


@record
class Backfill(Record):
    """What a backfill did or, if it was a dry run, would do.

    Attributes:
        job_id: the id of the job.
        start: the start of the period, inclusive.
        end: the end of the period, exclusive.
        times: the nominal times that will run, oldest first.
        made: the number of these for which a run was created.
        revived: the number of these whose missed or skipped run is ready again.
        settled: the number of nominal times in the period that were left alone, because their run
            succeeded, failed, was cancelled, or has not finished.
        dry_run: whether this was a dry run, which writes nothing.
        notes: remarks on what was left out or refused, as sentences.
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

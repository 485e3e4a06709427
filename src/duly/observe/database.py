"""What the database tells of the whole scheduler; the same from every process."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from duly.errors import DulyError
from duly.operations.measures import Counts
from duly.scheduler import Scheduler


class DatabaseMetrics:
    """A collector that asks the database at each scrape: some short queries, none over all runs.

    If the database does not answer, only ``duly_database_up`` is returned, with the value 0.

    Args:
        scheduler: the scheduler.
    """

    def __init__(self, scheduler: Scheduler) -> None:
        self._counts = scheduler.counts

    def describe(self) -> Iterator[Metric]:
        """Return the metrics without their values; the database is not asked."""
        yield _up(None)
        yield from _families(None)

    def collect(self) -> Iterator[Metric]:
        """Return the metrics with their values."""
        try:
            counts = self._counts()
        except DulyError:
            yield _up(False)
            return
        yield _up(True)
        yield from _families(counts)


def _up(is_up: bool | None) -> Metric:
    value = None if is_up is None else float(is_up)
    return GaugeMetricFamily("duly_database_up", "Whether the database has answered.", value=value)


def _families(counts: Counts | None) -> Iterator[Metric]:
    """Yield the metrics of these counts; ``None``: without values."""
    ended = CounterMetricFamily(
        "duly_runs",
        "Runs that have ended, by the state in which they did. Missed nominal times count each.",
        labels=["task", "queue", "outcome"],
    )
    for each in counts.outcomes if counts else ():
        ended.add_metric([each.task, each.queue, each.outcome], each.count)
    yield ended
    queues = counts.queues if counts else []
    yield _gauge(
        "duly_queue_ready_runs", "Runs that could start now, up to 100,000.", "queue",
        ((each.name, each.ready) for each in queues),
    )  # fmt: skip
    yield _gauge(
        "duly_queue_oldest_ready_seconds",
        "Time since the first ready run of the queue was due; 0 if none is ready.", "queue",
        ((each.name, each.oldest_age or 0) for each in queues),
    )  # fmt: skip
    yield _gauge(
        "duly_queue_paused", "Whether the queue is paused.", "queue",
        ((each.name, each.paused) for each in queues),
    )  # fmt: skip
    yield _gauge(
        "duly_runs_unfinished", "Runs that have not ended, up to 10,000 in each state.", "state",
        counts.unfinished.items() if counts else (),
    )  # fmt: skip
    yield _gauge(
        "duly_jobs", "Stored jobs, up to 10,000 in each state.", "state",
        counts.jobs.items() if counts else (),
    )  # fmt: skip
    yield _gauge(
        "duly_workers", "Workers: alive, draining, or silent since their lease expired.", "state",
        counts.workers.items() if counts else (),
    )  # fmt: skip
    for name, text, value in (
        ("duly_jobs_failing", "Jobs whose last run has failed, up to 10,000.", "failing_jobs"),
        ("duly_dead_letters", "Failed runs that wait for a person, up to 10,000.", "dead"),
        ("duly_scheduler_stopped", "Whether the scheduler is switched off everywhere.", "stopped"),
    ):
        found = None if counts is None else float(getattr(counts, value))
        yield GaugeMetricFamily(name, text, value=found)


def _gauge(name: str, text: str, label: str, values: Iterable[tuple[str, float]]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=[label])
    for key, value in values:
        family.add_metric([key], float(value))
    return family

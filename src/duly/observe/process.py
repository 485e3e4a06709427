"""What one process measures: its attempts, and how well its worker keeps up."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector

from duly import forking
from duly.model.event import Event
from duly.model.identity import created_at
from duly.scheduler import Scheduler

SHARED = "PROMETHEUS_MULTIPROC_DIR"
"""Names the folder in which the processes of one web server share their metrics."""

PREFIX = "duly_"
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)
_STEP_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30)
_LABELS = ("task", "queue")


class _Instruments:
    """The counters and histograms of one process, which begin at zero."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.started = self._counter("attempts_started", "Attempts that have started.", _LABELS)
        self.wait = self._histogram(
            "run_queue_wait_seconds",
            "Time from the instant at which an attempt could start until it started.", _LABELS,
        )  # fmt: skip
        self.lateness = self._histogram(
            "run_lateness_seconds",
            "Time from the nominal time of a scheduled run until its first attempt started.",
            _LABELS,
        )
        self.duration = self._histogram(
            "attempt_duration_seconds", "How long the function of an attempt took.",
            (*_LABELS, "result"),
        )  # fmt: skip
        self.steps = self._histogram(
            "worker_step_seconds", "How long a step of the worker's loop took.", (), _STEP_SECONDS
        )
        self.late_beats = self._counter("worker_late_beats", "Heartbeats that were late.")
        self.fences = self._counter(
            "worker_fences", "How often the worker stopped itself because it had lost its lease."
        )
        self.lost = self._counter("workers_lost", "Dead workers that this process has found.")
        self.rescued = self._counter(
            "runs_rescued", "Runs of dead workers that this process has taken from them."
        )

    def _counter(self, name: str, text: str, labels: Sequence[str] = ()) -> Counter:
        return Counter(PREFIX + name, text, labels, registry=self.registry)

    def _histogram(
        self, name: str, text: str, labels: Sequence[str], buckets: Sequence[float] = _SECONDS
    ) -> Histogram:
        return Histogram(PREFIX + name, text, labels, registry=self.registry, buckets=buckets)


class ProcessMetrics:
    """A collector of what this process measures; see `duly.hooks.Observer`.

    A forked child begins at zero. Where ``PROMETHEUS_MULTIPROC_DIR`` is set, `collect` returns the
    sums over all processes that share that folder, and no gauges.

    Args:
        scheduler: the scheduler whose worker is measured.
    """

    def __init__(self, scheduler: Scheduler) -> None:
        self._load = scheduler.load
        self._is_shared = SHARED in os.environ
        self._begin()
        scheduler.observe(self)
        scheduler.on("worker.late", self._beat_was_late)
        scheduler.on("worker.fenced", self._fenced)
        scheduler.on("worker.lost", self._lost)
        for kind in ("run.retried", "run.failed", "run.cancelled"):
            scheduler.on(kind, self._run_changed)
        forking.remember(self)

    def attempt_started(self, claim: Any, now: datetime) -> None:
        """See `Observer.attempt_started`."""
        instruments, kind, since = self._instruments, (claim.task, claim.queue), claim.due_at
        self._of(instruments.started, kind).inc()
        if claim.scheduled_for is not None:  # it may have been decided long after it was due
            since = max(since, created_at(claim.id))
            if claim.attempt == 1:
                late = (now - claim.scheduled_for).total_seconds()
                self._of(instruments.lateness, kind).observe(max(0.0, late))
        waited = (now - since).total_seconds()
        self._of(instruments.wait, kind).observe(max(0.0, waited))

    def attempt_ended(self, claim: Any, result: Any) -> None:
        """See `Observer.attempt_ended`."""
        error = result.error
        ended = "returned" if error is None else _RESULTS[error.kind]
        labels = claim.task, claim.queue, ended
        self._of(self._instruments.duration, labels).observe(result.seconds)

    def step_ended(self, seconds: float) -> None:
        """See `Observer.step_ended`."""
        self._instruments.steps.observe(seconds)

    def describe(self) -> Iterator[Metric]:
        """Return the metrics without their values."""
        yield from self._instruments.registry.collect()
        yield from () if self._is_shared else _gauges({}, {}, 0)

    def collect(self) -> Iterator[Metric]:
        """Return the metrics with their values."""
        if self._is_shared:
            shared: Any = MultiProcessCollector  # without types
            yield from (each for each in shared(None).collect() if each.name.startswith(PREFIX))
            return
        yield from self._instruments.registry.collect()
        load = self._load()
        yield from _gauges(load.in_flight, load.slots, load.connections)

    def before_fork(self) -> None:
        """See `Forkable`."""

    def after_fork_in_parent(self) -> None:
        """See `Forkable`."""

    def after_fork(self) -> None:
        """Begin at zero in a forked child, which has done nothing yet."""
        self._begin()

    def _begin(self) -> None:
        self._instruments = _Instruments()
        self._children: dict[tuple[MetricWrapperBase, tuple[str, ...]], Any] = {}

    def _of(self, metric: MetricWrapperBase, labels: tuple[str, ...]) -> Any:
        """Return the child of a metric that has these labels; ``labels`` takes twice as long."""
        child = self._children.get((metric, labels))
        if child is None:
            child = self._children[metric, labels] = metric.labels(*labels)
        return child

    def _beat_was_late(self, _event: Event) -> None:
        self._instruments.late_beats.inc()

    def _fenced(self, _event: Event) -> None:
        self._instruments.fences.inc()

    def _lost(self, _event: Event) -> None:
        self._instruments.lost.inc()

    def _run_changed(self, event: Event) -> None:
        if event.detail.get("error") == "WorkerLost":
            self._instruments.rescued.inc()


_RESULTS = {
    "error": "raised", "permanent": "raised", "retry_after": "raised", "snooze": "snoozed",
    "discard": "discarded",
}  # fmt: skip
"""How an attempt ended, by the kind of its error."""


def _gauges(in_flight: dict[str, int], slots: dict[str, int], connections: int) -> Iterator[Metric]:
    occupied = GaugeMetricFamily(
        "duly_worker_runs_in_flight",
        "Runs that this process has claimed and not finished.", labels=["queue"],
    )  # fmt: skip
    capacity = GaugeMetricFamily(
        "duly_worker_slots", "Runs that this process executes at once.", labels=["queue"]
    )
    for queue, number in in_flight.items():
        occupied.add_metric([queue], number)
    for queue, number in slots.items():
        capacity.add_metric([queue], number)
    used = GaugeMetricFamily(
        "duly_worker_database_connections", "Database connections of this process in use now.",
        value=connections,
    )  # fmt: skip
    yield from (occupied, capacity, used)

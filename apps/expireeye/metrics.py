"""The Prometheus metrics of this process."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from duly import Event, Scheduler

_OUTCOMES = {
    "run.failed": "error",
    "run.missed": "missed",
    "run.skipped": "skipped",
    "run.cancelled": "interrupted",
}


class Metrics:
    """The metrics of one application object, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.runs = Counter(
            "expireeye_runs", "Ticks of the check by outcome", ["outcome"], registry=self.registry
        )
        self.run_seconds = Histogram(
            "expireeye_run_seconds", "Duration of a run of the check", registry=self.registry
        )
        self.expired = Counter("expireeye_items_expired", "Items expired", registry=self.registry)
        self.notices = Counter("expireeye_notices", "Notifications stored", registry=self.registry)
        self.pushes = Counter(
            "expireeye_pushes", "Frames pushed to sockets", ["result"], registry=self.registry
        )
        self.open_sockets = Gauge(
            "expireeye_open_sockets", "Sockets open in this process", registry=self.registry
        )
        self.lag = Gauge(
            "expireeye_lag_seconds", "Age of the oldest overdue active item", registry=self.registry
        )

    def listen(self, scheduler: Scheduler) -> None:
        """Count the outcomes of ticks that this process decides and of runs that fail."""
        for kind in _OUTCOMES:
            scheduler.on(kind, self._count)

    def run_done(self, summary: dict[str, int]) -> None:
        """Count a finished run."""
        self.runs.labels("partial" if summary["failed"] else "ok").inc()
        self.run_seconds.observe(summary["durationMs"] / 1000)
        self.expired.inc(summary["expired"])
        self.notices.inc(summary["notified"])

    def _count(self, event: Event) -> None:
        self.runs.labels(_OUTCOMES[event.kind]).inc(event.detail.get("count", 1))

"""Prometheus metrics of a scheduler: those of a process, and those of the database.

Each process measures its own attempts, steps and heartbeats. What the database tells is the same
from every process, so one of them must export it; see docs/guides/metrics.md. Nothing is measured
before `Metrics.of` is called.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any, Literal, get_args
from weakref import WeakKeyDictionary

try:
    from prometheus_client import CollectorRegistry
    from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
    from prometheus_client.metrics_core import Metric
except ImportError as error:
    raise ImportError("metrics require prometheus-client: pip install 'duly[metrics]'") from error

from duly.errors import UnknownOption
from duly.observe.database import DatabaseMetrics
from duly.observe.process import ProcessMetrics
from duly.scheduler import Scheduler

Part = Literal["all", "process", "database"]
PARTS: tuple[Part, ...] = get_args(Part)


class Metrics:
    """The metrics of a scheduler as collectors, which can be registered in any registry.

    For the host's own ``/metrics``: ``prometheus_client.REGISTRY.register(Metrics.of(scheduler))``.
    `Metrics.of` returns the metrics of a scheduler; every part of Duly shares them.

    Args:
        scheduler: the scheduler; from now on its worker is measured.

    Attributes:
        process: a collector of what this process measures.
        database: a collector of what the database tells; the same in every process.
    """

    def __init__(self, scheduler: Scheduler) -> None:
        self.process = ProcessMetrics(scheduler)
        self.database = DatabaseMetrics(scheduler)
        self._registries = {
            "all": _registry(self.process, self.database),
            "process": _registry(self.process),
            "database": _registry(self.database),
        }

    @classmethod
    def of(cls, scheduler: Scheduler) -> Metrics:
        """Return the metrics of a scheduler; the first call starts to measure."""
        with _lock:
            if scheduler not in _known:
                _known[scheduler] = cls(scheduler)
            return _known[scheduler]

    def describe(self) -> Iterator[Metric]:
        """Return the metrics without their values, for a registry that takes them in."""
        yield from self.process.describe()
        yield from self.database.describe()

    def collect(self) -> Iterator[Metric]:
        """Return the metrics of both parts with their values."""
        yield from self.process.collect()
        yield from self.database.collect()

    def registry(self, part: str = "all") -> CollectorRegistry:
        """Return a registry of one part, or of both.

        Args:
            part: ``process``, ``database`` or ``all``.

        Raises:
            UnknownOption: there is no such part.
        """
        if part not in self._registries:
            raise UnknownOption(part, PARTS, "as a part of the metrics")
        return self._registries[part]

    def expose(self, part: str = "all") -> tuple[bytes, str]:
        """Return the metrics in the text format of Prometheus, and its content type.

        Args:
            part: ``process``, ``database`` or ``all``.

        Raises:
            UnknownOption: there is no such part.
        """
        return generate_latest(self.registry(part)), CONTENT_TYPE_PLAIN_0_0_4


def _registry(*collectors: Any) -> CollectorRegistry:
    registry = CollectorRegistry()
    for collector in collectors:
        registry.register(collector)
    return registry


_known: WeakKeyDictionary[Scheduler, Metrics] = WeakKeyDictionary()
_lock = threading.Lock()

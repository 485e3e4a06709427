"""Executing runs that were handed off, in the processes of another system."""

from __future__ import annotations

import threading
from dataclasses import replace

from duly.model.settings import Settings
from duly.operations.core import Core
from duly.operations.lifecycle import stop


class Site:
    """The scheduler's side in such a process; see `RemoteSite`.

    The first run that arrives registers a worker, which claims and fires nothing by itself: it
    renews its lease, stores what runs report, and writes back how they end.

    Args:
        core: the scheduler's core.
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """The scheduler's name."""
        return self._core.settings.name

    def execute(self, run_id: str, token: int, *, alone: bool = False) -> bool:
        """See `RemoteSite.execute`."""
        with self._lock:
            self._lend(alone=alone)
        return self._core.worker.execute_handed_off(run_id, token)

    def leave(self) -> None:
        """See `RemoteSite.leave`."""
        if self._core.settings.lent:
            stop(self._core)

    def _lend(self, *, alone: bool) -> None:
        """Start a worker for what is handed over, unless this process has a worker."""
        core = self._core
        if core.environment is not None or core.worker.state != "stopped" or core.worker.alive:
            return
        core.settings = _lent(core.settings)
        core.renew_worker()
        core.worker.execute_in_foreground(alone=alone)
        core.worker.open_resources()
        core.worker.tick(wait=False)
        core.worker.start()


def _lent(settings: Settings) -> Settings:
    return replace(settings, fires=False, lent=True)


def connect(core: Core) -> None:
    """Connect the executors of a scheduler, when it is created."""
    for executor in core.settings.executors.values():
        executor.connect(Site(core))

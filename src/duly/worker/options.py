"""What an engine is told by whoever makes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from duly.model.worker import Heartbeat
from duly.store.notifier import Notifier


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """How an engine works.

    Attributes:
        app: the scheduler's name.
        queues: how many runs of each queue this worker executes at once.
        heartbeat: its heartbeat.
        prepare: brings tables and declarations up to date; called until it succeeds.
        tend: brings stored jobs in line with what this process and others know by now.
        notifier: how it wakes other workers and is woken by them.
        fires: whether it fires jobs, or only executes runs.
        version: of the application; empty for none.
    """

    app: str
    queues: Mapping[str, int]
    heartbeat: Heartbeat
    prepare: Callable[[], None]
    tend: Callable[[], None]
    notifier: Notifier
    fires: bool = True
    version: str = ""

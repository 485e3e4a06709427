"""Celery as an executor: Duly decides, and Celery's workers execute.

::

    celery_app = Celery("shop", broker="redis://localhost/0")
    executor = CeleryExecutor(celery_app, queue="duly")
    scheduler = Scheduler("postgresql+psycopg://…", executors={"celery": executor})


    @scheduler.task(executor="celery")
    def render(video: int, run: Run) -> dict: ...

A worker is started with ``celery --app shop.jobs worker --queues duly``, where ``shop.jobs`` is the
module above. It must reach the same database.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection, Sequence
from typing import Any

from celery import Celery, signals
from celery.exceptions import CeleryError
from kombu.exceptions import KombuError

from duly.errors import ConfigurationError, ExecutorUnavailable
from duly.hooks import HandOff, RemoteSite
from duly.model.checks import TIME, whole

log = logging.getLogger("duly.celery")
KILL_AFTER = 30
"""Seconds after a run's timeout when Celery kills the process that still executes it."""

_UNREACHABLE = (KombuError, CeleryError, OSError)


class CeleryExecutor:
    """Hands runs to Celery workers: a value of ``Scheduler(executors=…)``.

    The Celery workers import the application, so that they know its tasks, and execute each run
    exactly as a Duly worker does: with its history, retries, progress, log, result and timeout. A
    message names only the run and its token, and is never trusted.

    Args:
        app: the Celery application.
        queue: the Celery queue to which messages are sent.
        queues: the queues of Duly whose runs all go to Celery, besides those of tasks with
            ``executor=``; this process does not execute them itself then.
        window: the number of runs of each queue that may wait in Celery. The others wait in the
            database, in the order of their priorities.
        resend: seconds after which the message of a run that has not started is sent again; each
            further time the wait is doubled, up to one hour.

    Raises:
        ConfigurationError: an argument is not valid.
    """

    def __init__(
        self,
        app: Celery,
        *,
        queue: str = "duly",
        queues: Collection[str] = (),
        window: int = 1_000,
        resend: float = 60,
    ) -> None:
        if not isinstance(app, Celery):
            raise ConfigurationError(f"{app!r} is not a Celery application")
        if isinstance(queues, str):
            raise ConfigurationError(f"queues={queues!r}; give a list of names: [{queues!r}]")
        self.app = app
        self.queue = queue
        self.queues = tuple(queues)
        self.window = whole(1, 1_000_000)("window", window)
        self.resend = TIME("resend", resend)
        self._task: Any = None

    def connect(self, site: RemoteSite) -> None:
        """Register the Celery task that executes runs; the scheduler calls this."""
        name = f"duly.{site.name}.execute"
        if name in self.app.tasks:
            raise ConfigurationError(
                f"the Celery application {self.app.main!r} already has a scheduler named "
                f"{site.name!r}; give one of the two another name: Scheduler(name=…)"
            )

        def execute(run_id: str, token: int) -> str:
            """Execute one run of Duly."""
            done = site.execute(str(run_id), int(token), alone=_is_prefork())
            return "executed" if done else "refused"

        register = self.app.task(
            name=name, acks_late=True, ignore_result=True, store_errors_even_if_ignored=False,
            max_retries=0, serializer="json", shared=False,
        )  # fmt: skip
        self._task = register(execute)
        _sites.append(site)

    def send(self, hand_offs: Sequence[HandOff]) -> None:
        """Send a message for each run; the scheduler calls this.

        Raises:
            ExecutorUnavailable: the broker cannot be reached.
        """
        try:
            with self.app.producer_or_acquire() as producer:
                for hand_off in hand_offs:
                    self._send(hand_off, producer)
        except _UNREACHABLE as error:
            raise ExecutorUnavailable(f"{type(error).__name__}: {error}") from error

    def _send(self, hand_off: HandOff, producer: Any) -> None:
        run_id, token, timeout = hand_off
        self._task.apply_async(
            (run_id, token), producer=producer, queue=self.queue, retry=False,
            task_id=f"{run_id}.{token}",
            time_limit=None if timeout is None else timeout + KILL_AFTER,
        )  # fmt: skip

    def __repr__(self) -> str:
        return f"CeleryExecutor({self.app.main!r}, queue={self.queue!r})"


_sites: list[RemoteSite] = []
_in_child = threading.Event()


def _is_prefork() -> bool:
    """Return whether this is the main thread of a child process of Celery's prefork pool."""
    return _in_child.is_set() and threading.current_thread() is threading.main_thread()


def _enter_child(**_kwargs: Any) -> None:
    _in_child.set()


def _leave(**_kwargs: Any) -> None:
    for site in _sites:
        try:
            site.leave()
        except Exception:
            log.exception("The worker of scheduler %r could not sign off.", site.name)


signals.worker_process_init.connect(_enter_child)
signals.worker_process_shutdown.connect(_leave)
signals.worker_shutdown.connect(_leave)

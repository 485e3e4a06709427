"""Existing Celery tasks as tasks of Duly: sent when they are due, and followed to their end.

::

    scheduler.add(celery_task("shop.tasks.rebuild", queue="slow"), cron("0 2 * * *"))
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from celery import Celery, Task, current_app
from celery.backends.base import DisabledBackend
from celery.result import AsyncResult, EagerResult
from celery.states import FAILURE, PENDING, READY_STATES, REVOKED, SUCCESS

from duly.context import Run
from duly.errors import ConfigurationError, Discard
from duly.registry import Registered, Registry

FIRST_POLL, LONGEST_POLL = 0.1, 5.0
"""Seconds between two looks at the result backend; each is half as long again as the last."""

POSITIONAL = "*"
"""The argument whose value is the list of positional arguments of the Celery task."""


class CeleryTaskFailed(Exception):
    """A Celery task has failed; the message has the type of its error."""


class CeleryTask(Registered):
    """A Celery task that a scheduler can enqueue and schedule like one of its own.

    Attributes:
        task: the task of Duly that sends it.
    """

    def __init__(self, task: Any, send: Callable[..., Any]) -> None:
        self.task = task
        self.__name__ = task.name
        self._send = send

    def __call__(self, **arguments: Any) -> Any:
        """Send the Celery task now, without a run; return Celery's result object."""
        return self._send(arguments)


def celery_task(
    task: str | Task[..., Any], *, app: Celery | None = None, queue: str | None = None
) -> CeleryTask:
    """Return a Celery task as a task of Duly, to be scheduled and enqueued like any other.

    Each run sends one message, with the run's ``args`` as the task's keyword arguments; those that
    it takes by position only are a list under ``*``: ``args={"*": [1, 2]}``. If the
    application has a result backend, the run is followed to its end: it has the task's result or
    error, its progress as far as the task reports ``current`` and ``total``, and a timeout or a
    cancellation revokes it. Without one the run has succeeded when the message was sent.

    The scheduler registers it when it is first used, under ``celery:`` and the name; every process
    that executes its runs has to use it, as with all tasks.

    Args:
        task: the name of a Celery task, which need not be imported here, or the task itself.
        app: the Celery application; default: the task's own, or the current one.
        queue: the Celery queue to send it to; default: as Celery routes it.

    Raises:
        ConfigurationError: ``task`` is neither a name nor a Celery task.
    """
    if not isinstance(task, str):
        name = getattr(task, "name", None)
        if not isinstance(name, str) or not hasattr(task, "apply_async"):
            raise ConfigurationError(f"{task!r} is not a Celery task, and not the name of one")
        return _made(name, app or task.app, queue)
    return _made(task, app or current_app._get_current_object(), queue)


@functools.cache
def _made(name: str, app: Celery, queue: str | None) -> CeleryTask:
    send = functools.partial(_send, app, name, queue)

    async def execute(run: Run, **arguments: Any) -> Any:
        return await _Call(app, send, run).execute(arguments)

    own_name = f"celery:{name}" if queue is None else f"celery:{name}@{queue}"
    execute.__doc__, execute.__name__ = f"Celery task {name}", own_name
    registered = Registry().register(execute, name=own_name, options={})
    return CeleryTask(replace(registered, offered=True), send)


def _send(
    app: Celery,
    name: str,
    queue: str | None,
    arguments: Mapping[str, Any],
    task_id: str | None = None,
) -> Any:
    options = {} if queue is None else {"queue": queue}
    named = {key: value for key, value in arguments.items() if key != POSITIONAL}
    positional = arguments.get(POSITIONAL, ())
    known = app.tasks.get(name)
    if known is not None:  # which knows its options, and may be called eagerly
        return known.apply_async(positional, named, task_id=task_id, **options)
    return app.send_task(name, positional, named, task_id=task_id, **options)


class _Call:
    """One attempt to have a Celery task executed.

    Its id follows from the run and the attempt, so that an attempt after the death of a worker
    finds the call of the attempt before it.
    """

    def __init__(self, app: Celery, send: Callable[..., Any], run: Run) -> None:
        self._app = app
        self._send = send
        self._run = run
        self._tracked = not isinstance(app.backend, DisabledBackend)

    async def execute(self, arguments: Mapping[str, Any]) -> Any:
        """Send the message unless the call is under way, and follow it."""
        result: Any = await asyncio.to_thread(self._under_way)
        if result is None:
            own_id = self._call_id(self._run.attempt)
            result = await asyncio.to_thread(self._send, arguments, own_id)
        if not self._tracked:
            return {"sent": result.id}
        try:
            return await self._follow(result)
        except asyncio.CancelledError:
            await asyncio.to_thread(result.revoke, terminate=True)
            raise

    def _call_id(self, attempt: int) -> str:
        return f"{self._run.id}.{attempt}"

    def _under_way(self) -> AsyncResult[Any] | None:
        if not self._tracked or self._run.attempt == 1:
            return None
        former: AsyncResult[Any] = self._app.AsyncResult(self._call_id(self._run.attempt - 1))
        return None if former.state in (PENDING, FAILURE, REVOKED) else former

    async def _follow(self, result: Any) -> Any:
        pause = FIRST_POLL
        while True:
            meta = await asyncio.to_thread(_meta, result)
            if meta["status"] in READY_STATES:
                return _outcome(meta)
            _report(self._run, meta.get("result"))
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, LONGEST_POLL)


def _meta(result: Any) -> Mapping[str, Any]:
    """Return the state of a call."""
    if isinstance(result, EagerResult):
        return {"status": result.state, "result": result.result, "traceback": result.traceback}
    meta: Mapping[str, Any] = result.backend.get_task_meta(result.id)
    return meta


def _outcome(meta: Mapping[str, Any]) -> Any:
    result = meta.get("result")
    if meta["status"] == SUCCESS:
        return result
    if meta["status"] == REVOKED:
        raise Discard("it was revoked in Celery")
    error = CeleryTaskFailed(f"{type(result).__name__}: {result}")
    if meta.get("traceback"):
        error.add_note(str(meta["traceback"]))
    raise error


def _report(run: Run, state: object) -> None:
    if isinstance(state, Mapping) and isinstance(state.get("current"), int):
        total = state.get("total")
        run.progress(state["current"], total if isinstance(total, int) else None)

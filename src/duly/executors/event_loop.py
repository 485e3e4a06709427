"""Coroutines on the host's event loop, so that the host's own clients and pools work in them."""

from __future__ import annotations

import asyncio
import threading

from duly.executors.base import CallResult, Done, Work


class EventLoopExecutor:
    """Runs coroutines on the host's loop, or on one of its own when there is no host loop.

    See `Executor`.
    """

    interruptible = True

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._own: threading.Thread | None = None
        self._tasks: dict[Work, asyncio.Task[None]] = {}
        self._lock = threading.Lock()

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Use the host's loop from now on, until `stop`."""
        self._loop = loop

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The loop in use."""
        return self._loop

    def submit(self, work: Work, done: Done) -> None:
        """See `Executor.submit`."""
        try:
            self._running_loop().call_soon_threadsafe(self._begin, work, done)
        except RuntimeError as error:
            done(
                work, CallResult(error=asyncio.CancelledError(f"the event loop is closed: {error}"))
            )

    def interrupt(self, work: Work) -> None:
        """Cancel the coroutine's task."""
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._cancel, work)

    def stop(self) -> None:
        """Stop the executor's own loop; the host's is left alone."""
        with self._lock:
            thread, loop = self._own, self._loop
            self._own = self._loop = None
        if thread is None or loop is None:
            return
        loop.call_soon_threadsafe(loop.stop)
        thread.join(timeout=5)

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None or self._loop.is_closed():
                self._loop = asyncio.new_event_loop()
                self._own = threading.Thread(
                    target=_serve, args=(self._loop,), name="duly-loop", daemon=True
                )
                self._own.start()
            return self._loop

    def _begin(self, work: Work, done: Done) -> None:
        task = asyncio.get_running_loop().create_task(_call(work, done), name=f"duly {work.run.id}")
        self._tasks[work] = task
        task.add_done_callback(lambda _task: self._ended(work, _task, done))

    def _ended(self, work: Work, task: asyncio.Task[None], done: Done) -> None:
        del self._tasks[work]
        if task.cancelled():  # before its first step: `_call` never got to speak
            done(work, CallResult(error=asyncio.CancelledError()))

    def _cancel(self, work: Work) -> None:
        task = self._tasks.get(work)
        if task is not None:
            task.cancel()


async def _call(work: Work, done: Done) -> None:
    began = work.steady()
    try:
        with work.surroundings():
            value = await work.function(**work.arguments)
    except BaseException as error:  # noqa: BLE001 - whatever ends the call is its outcome
        result = CallResult(error=error, seconds=work.steady() - began)
    else:
        result = CallResult(value, seconds=work.steady() - began)
    done(work, result)


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        loop.close()

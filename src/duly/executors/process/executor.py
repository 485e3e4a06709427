"""Executes plain functions in child processes, which have their own interpreter and can be killed.

A process executes one run at a time and is reused for the next, unless it was interrupted. A thread
of this process waits for each run, so that no other run waits for a slow start.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from duly.executors.base import CallResult, Done, I, Invocation
from duly.executors.failure import CallError
from duly.executors.process.child_process import ChildGone, ChildProcess
from duly.executors.process.report import apply_report, call_message
from duly.executors.thread import ThreadExecutor

KILL_AFTER = 1.0
"""Seconds between asking a function to stop (SIGTERM) and ending its process (SIGKILL)."""

MAX_IDLE = 30.0
"""Seconds after which an unused process is ended; it may take twice as long."""


@dataclass(slots=True, eq=False)
class _RemoteCall:
    """One invocation, the process that executes it, and whether it was interrupted."""

    invocation: Invocation
    child: ChildProcess | None = None
    interrupted: bool = False
    result: CallResult | None = None
    killer: threading.Timer | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def enter(self, child: ChildProcess) -> bool:
        """Assign a process, unless the call was interrupted; return whether it may begin."""
        with self.lock:
            self.child = None if self.interrupted else child
            return not self.interrupted

    def interrupt(self) -> None:
        """Ask the function to stop, and kill its process a little later."""
        with self.lock:
            first, self.interrupted = not self.interrupted, True
            if not first or self.child is None:
                return
            self.child.stop()
            self.killer = threading.Timer(KILL_AFTER, self.child.kill)
            self.killer.daemon = True
            self.killer.start()

    def leave(self) -> None:
        """Detach the process because the call has ended, so that it is not killed."""
        with self.lock:
            self.child = None
            if self.killer is not None:
                self.killer.cancel()


class ProcessExecutor:
    """A pool of up to ``size`` processes. See `Executor`.

    Args:
        size: the maximum number of runs that execute at once.
    """

    interruptible = True

    def __init__(self, size: int) -> None:
        self._threads = ThreadExecutor(size, name="duly-process")
        self._calls: dict[Invocation, _RemoteCall] = {}
        self._idle: list[ChildProcess] = []
        self._reaper: threading.Timer | None = None
        self._open = True
        self._lock = threading.Lock()

    def submit(self, invocation: I, done: Done[I]) -> None:
        """See `Executor.submit`."""
        call = _RemoteCall(invocation)
        with self._lock:
            self._calls[invocation] = call
            self._open = True

        def ended(_waiting: Invocation, result: CallResult) -> None:
            with self._lock:
                del self._calls[invocation]
            done(invocation, (call.result or result)._replace(seconds=result.seconds))

        waiting = Invocation(invocation.run, invocation.steady)
        waiting.function, waiting.arguments = (lambda: self._execute(call)), dict
        self._threads.submit(waiting, ended)

    def interrupt(self, invocation: Invocation) -> None:
        """See `Executor.interrupt`."""
        with self._lock:
            call = self._calls.get(invocation)
        if call is not None:
            call.interrupt()

    def stop(self) -> None:
        """See `Executor.stop`."""
        self._threads.stop()
        with self._lock:
            self._open = False
            children, self._idle = self._idle, []
            reaper, self._reaper = self._reaper, None
        if reaper is not None:
            reaper.cancel()
        for child in children:
            child.close()

    def _execute(self, call: _RemoteCall) -> None:
        while True:
            child = self._take()
            reused, child.uses = child.uses > 0, child.uses + 1
            try:
                if not call.enter(child):
                    raise asyncio.CancelledError
                call.result = _converse(child, call.invocation)
            except _NotBegun as gone:
                if not reused or call.interrupted:
                    call.result = _died(gone)
            except ChildGone as gone:
                call.result = _died(gone)
            finally:
                call.leave()
                self._give_back(child, usable=not call.interrupted)
            if call.result is not None:
                return

    def _take(self) -> ChildProcess:
        with self._lock:
            while self._idle:
                child = self._idle.pop()
                if child.alive:
                    return child
                child.close()
        return ChildProcess()

    def _give_back(self, child: ChildProcess, *, usable: bool) -> None:
        usable = usable and child.alive
        with self._lock:
            if usable and self._open:
                self._idle.append(child)
                if self._reaper is None:
                    self._reap_later()
                return
        child.close()

    def _reap_later(self) -> None:
        seen = {child: child.uses for child in self._idle}
        self._reaper = threading.Timer(MAX_IDLE, self._reap, args=[seen])
        self._reaper.daemon = True
        self._reaper.start()

    def _reap(self, seen: dict[ChildProcess, int]) -> None:
        """End the processes that have not been used since they were seen idle."""
        with self._lock:
            idle = [child for child in self._idle if seen.get(child) == child.uses]
            self._idle = [child for child in self._idle if child not in idle]
            self._reaper = None
            if self._idle:
                self._reap_later()
        for child in idle:
            child.close()


class _NotBegun(ChildGone):
    """The process ended before it called the function."""


def _converse(child: ChildProcess, invocation: Invocation) -> CallResult:
    """Hand over the call, and exchange messages until it has ended."""
    child.send({"call": call_message(invocation)})
    begun = False
    while True:
        try:
            message = child.receive()
        except ChildGone as gone:
            raise gone if begun else _NotBegun(*gone.args) from gone
        begun |= "begun" in message
        if "report" in message:
            apply_report(invocation.run, message["report"])
        if "ask" in message:
            _answer_apart(child, lambda: invocation.run.previous_success)
        if "error" in message:
            return CallResult(error=CallError.unpacked(message["error"]))
        if "result" in message:
            return CallResult(message["result"])


def _answer_apart(child: ChildProcess, ask: Callable[[], Any]) -> None:
    """Ask the database on another thread: killing a run must not wait for the answer."""

    def answer() -> None:
        try:
            moment = ask()
        except Exception as error:  # noqa: BLE001 - it is raised in the function
            child.send({"answer": None, "problem": f"{type(error).__name__}: {error}"})
        else:
            child.send({"answer": None if moment is None else moment.isoformat()})

    threading.Thread(target=answer, name="duly-answer", daemon=True).start()


def _died(gone: ChildGone) -> CallResult:
    return CallResult(error=CallError(("ProcessDied", str(gone), None)))

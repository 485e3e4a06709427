"""Plain functions in processes of their own: they have their own interpreter, and can be killed.

A process executes one run at a time and is used again for the next, unless it was interrupted. A
thread of this process waits for each run, so that nobody else waits for a slow start.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from duly.executors.base import CallResult, Done, Work
from duly.executors.child_process import ChildGone, ChildProcess
from duly.executors.failure import RemoteError, unpacked
from duly.executors.report import call_message, hear
from duly.executors.thread import ThreadExecutor
from duly.model import payload

KILL_AFTER = 1.0
"""Seconds between asking a function to stop (SIGTERM) and ending its process (SIGKILL)."""

REST = 30.0
"""Seconds; a process that nobody has used for this long, or up to twice as long, is ended."""


@dataclass(slots=True, eq=False)
class _Call:
    """One attempt: the process it is in, and what was asked of it."""

    work: Work
    child: ChildProcess | None = None
    interrupted: bool = False
    killer: threading.Timer | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def enter(self, child: ChildProcess) -> bool:
        """Begin in a process; false when the attempt is to stop before it begins."""
        with self.lock:
            self.child = None if self.interrupted else child
            return not self.interrupted

    def interrupt(self) -> None:
        """Stop it softly now, and hard a little later."""
        with self.lock:
            first, self.interrupted = not self.interrupted, True
            if not first or self.child is None:
                return
            self.child.stop()
            self.killer = threading.Timer(KILL_AFTER, self.child.kill)
            self.killer.daemon = True
            self.killer.start()

    def leave(self) -> None:
        """It has ended: nobody is killed any more."""
        with self.lock:
            self.child = None
            if self.killer is not None:
                self.killer.cancel()


class ProcessExecutor:
    """A pool of up to ``size`` processes. See `Executor`.

    Args:
        size: the most runs at once.
    """

    interruptible = True

    def __init__(self, size: int) -> None:
        self._threads = ThreadExecutor(size, name="duly-process")
        self._calls: dict[Work, _Call] = {}
        self._resting: list[ChildProcess] = []
        self._tidier: threading.Timer | None = None
        self._open = True
        self._lock = threading.Lock()

    def submit(self, work: Work, done: Done) -> None:
        """See `Executor.submit`."""
        call = _Call(work)
        with self._lock:
            self._calls[work] = call
            self._open = True

        def ended(_waiting: Work, result: CallResult) -> None:
            with self._lock:
                del self._calls[work]
            done(work, result)

        waiting = replace(work, function=lambda: self._execute(call), arguments={}, around=())
        self._threads.submit(waiting, ended)

    def interrupt(self, work: Work) -> None:
        """See `Executor.interrupt`."""
        with self._lock:
            call = self._calls.get(work)
        if call is not None:
            call.interrupt()

    def stop(self) -> None:
        """See `Executor.stop`."""
        self._threads.stop()
        with self._lock:
            self._open = False
            children, self._resting = self._resting, []
            tidier, self._tidier = self._tidier, None
        if tidier is not None:
            tidier.cancel()
        for child in children:
            child.close()

    def _execute(self, call: _Call) -> Any:
        while True:
            child = self._take()
            rested, child.uses = child.uses > 0, child.uses + 1
            try:
                if not call.enter(child):
                    raise asyncio.CancelledError
                return _converse(child, call.work)
            except _NeverBegan as gone:
                if not rested or call.interrupted:
                    raise _died(gone) from None
            except ChildGone as gone:
                raise _died(gone) from None
            finally:
                call.leave()
                self._give_back(child, usable=not call.interrupted)

    def _take(self) -> ChildProcess:
        with self._lock:
            while self._resting:
                child = self._resting.pop()
                if child.alive:
                    return child
                child.close()
        return ChildProcess()

    def _give_back(self, child: ChildProcess, *, usable: bool) -> None:
        usable = usable and child.alive
        with self._lock:
            if usable and self._open:
                self._resting.append(child)
                if self._tidier is None:
                    self._tidy_later()
                return
        child.close()

    def _tidy_later(self) -> None:
        seen = {child: child.uses for child in self._resting}
        self._tidier = threading.Timer(REST, self._tidy, args=[seen])
        self._tidier.daemon = True
        self._tidier.start()

    def _tidy(self, seen: dict[ChildProcess, int]) -> None:
        """End the processes that have not been used since they were seen to rest."""
        with self._lock:
            idle = [child for child in self._resting if seen.get(child) == child.uses]
            self._resting = [child for child in self._resting if child not in idle]
            self._tidier = None
            if self._resting:
                self._tidy_later()
        for child in idle:
            child.close()


class _NeverBegan(ChildGone):
    """The process ended before it called the function."""


def _converse(child: ChildProcess, work: Work) -> Any:
    """Hand over the call and listen until it has ended."""
    child.send({"call": call_message(work)})
    begun = False
    while True:
        try:
            message = child.receive()
        except ChildGone as gone:
            raise gone if begun else _NeverBegan(*gone.args) from gone
        begun |= "begun" in message
        if "report" in message:
            hear(work.run, message["report"])
        if "ask" in message:
            _answer_apart(child, lambda: work.run.previous_success)
        if "error" in message:
            raise unpacked(message["error"])
        if "result" in message:
            text = message["result"]
            return None if text is None else payload.decode(text)


def _answer_apart(child: ChildProcess, ask: Callable[[], Any]) -> None:
    """Ask the database on another thread: a run that is to be killed must not wait for it."""

    def answer() -> None:
        try:
            moment = ask()
        except Exception as error:  # noqa: BLE001 - the function hears of it
            child.send({"answer": None, "problem": f"{type(error).__name__}: {error}"})
        else:
            child.send({"answer": None if moment is None else moment.isoformat()})

    threading.Thread(target=answer, name="duly-answer", daemon=True).start()


def _died(gone: ChildGone) -> RemoteError:
    return RemoteError(("ProcessDied", str(gone), None))

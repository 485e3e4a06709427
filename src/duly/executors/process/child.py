"""The program of a process that executes functions for a worker.

The main thread calls the functions, since signals interrupt only that one. Another thread reads the
wire: it sends what the run reports, receives requests to stop, and ends the process when
the worker has ended.
"""

from __future__ import annotations

import asyncio
import ctypes
import inspect
import logging
import os
import queue
import signal
import socket
import sys
from contextlib import suppress
from datetime import datetime, timedelta
from threading import Lock, Thread
from typing import Any

from duly.clock import SystemClock
from duly.context import INTERRUPTED, Run, RunFacts, current_run
from duly.errors import RunInterrupted, StoreError
from duly.executors.base import refuse_unfinished, result_text, stored_arguments
from duly.executors.event_loop import awaited
from duly.executors.failure import CallError
from duly.executors.forked import leave_if_forked
from duly.executors.log_capture import log_capture
from duly.executors.process import inside
from duly.executors.process.lookup import find_function
from duly.executors.process.report import LastResort, facts_of, provided_by, report_of
from duly.executors.process.wire import Message, Wire
from duly.model.signature import Signature
from duly.tracing import within

REPORT_EVERY = 0.2
"""Seconds between two reports of a running function, and between two checks of the worker."""

ANSWER_WITHIN = 30.0
PR_SET_PDEATHSIG = 1


class Child:
    """Executes the calls of a worker, one at a time.

    Args:
        wire: the connection to the worker.
        worker: the worker's process id.
    """

    def __init__(self, wire: Wire, worker: int) -> None:
        self._wire = wire
        self._worker = worker
        self._pid = os.getpid()
        self._calls: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._clock = SystemClock()
        self._run: Run | None = None
        self._calling = False
        self._last_report: Message = {}
        self._reporting = Lock()

    def serve(self) -> None:
        """Execute the calls that arrive, until the worker is gone."""
        Thread(target=self._listen, name="duly-wire", daemon=True).start()
        while True:
            try:
                self._execute(self._calls.get())
            except RunInterrupted:  # the function had ended, and its result was about to be sent
                os._exit(0)

    def interrupt(self) -> None:
        """Interrupt the function, or end the process if none is running.

        A function that has returned is not interrupted: its result is about to be sent.
        """
        run = self._run
        if run is None:
            os._exit(0)
        run.request_stop()
        if self._calling:
            raise RunInterrupted(INTERRUPTED)

    def leave_to_parent(self) -> None:
        """In a process that the function has forked: leave the worker's connection to the parent.

        Otherwise its messages would mix with the parent's, and the worker would wait for it.
        """
        self._wire.close()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def _listen(self) -> None:
        try:
            while os.getppid() == self._worker:
                message = self._wire.receive(REPORT_EVERY)
                if message is None:
                    self._report()
                elif "call" in message:
                    self._calls.put(message["call"])
                elif "answer" in message:
                    self._answers.put(message)
                elif "stop" in message and self._run is not None:
                    self._run.request_stop()
        except (EOFError, OSError):
            pass
        os._exit(0)

    def _execute(self, call: Message) -> None:
        began, now = self._clock.monotonic(), datetime.fromisoformat(call["now"])
        run = Run(
            facts_of(call),
            lambda: now + timedelta(seconds=self._clock.monotonic() - began),
            self._previous_success,
            provided_by(call),
        )
        root = logging.getLogger()
        root.setLevel(min(root.level, call["level"]))
        token = current_run.set(run)
        try:
            self._run = run
            self._calling = True
            value = self._call(call, run)
            self._calling = False
            result: Message = {"result": result_text(value, run)}
        except BaseException as error:  # noqa: BLE001 - whatever ends the call is its outcome
            self._calling = False
            result = {"error": CallError.of(error, run.hide).packed()}
        finally:
            current_run.reset(token)
        with self._reporting:  # no report of a run follows its result
            self._run = None
            self._wire.send({"report": report_of(run), **result})

    def _call(self, call: Message, run: Run) -> Any:
        function = find_function(call["module"], call["name"], run.task)
        arguments = stored_arguments(Signature(function, run.task), call["args"], run)
        self._wire.send({"begun": True})
        with within(call["traceparent"]):
            try:
                value = function(**arguments)
                leave_if_forked(self._pid)
            except BaseException as error:
                leave_if_forked(self._pid, error)
                raise
            if inspect.isawaitable(value):
                value = asyncio.run(awaited(value))
        refuse_unfinished(value)
        return value

    def _report(self) -> None:
        with self._reporting:
            if self._run is None:
                return
            report = report_of(self._run)
            if report != self._last_report:
                self._last_report = report
                self._wire.send({"report": report})

    def _previous_success(self, _facts: RunFacts) -> datetime | None:
        self._wire.send({"ask": "previous_success"})
        try:
            answer = self._answers.get(timeout=ANSWER_WITHIN)
        except queue.Empty:
            raise StoreError(
                f"the worker did not answer within {ANSWER_WITHIN:g} s; is it overloaded?"
            ) from None
        if "problem" in answer:
            raise StoreError(answer["problem"])
        return None if answer["answer"] is None else datetime.fromisoformat(answer["answer"])


def _end_with(worker: int) -> None:
    """Let the system kill this process when the worker's has ended, where it can (Linux)."""
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != worker:
        os._exit(0)


def main(end: int, worker: int) -> None:
    """Serve a worker.

    Args:
        end: the file descriptor of this process's end of the wire.
        worker: the worker's process id.
    """
    _end_with(worker)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # ctrl-C reaches all: the worker decides
    inside.enter()
    log_capture.install()
    logging.lastResort = LastResort()
    connection = socket.socket(fileno=end)
    connection.set_inheritable(False)
    child = Child(Wire(connection), worker)
    os.register_at_fork(after_in_child=child.leave_to_parent)
    signal.signal(signal.SIGTERM, lambda _number, _frame: child.interrupt())
    child.serve()

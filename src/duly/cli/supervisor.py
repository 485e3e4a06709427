"""A supervisor: it executes its own command line in several processes, and keeps them alive."""

from __future__ import annotations

import logging
import math
import selectors
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass

from duly.cli.lazy import FAILED
from duly.cli.signals import StopSignals
from duly.cli.supervised import environment_with
from duly.clock import Clock
from duly.executors.process.child_process import signal_name

log = logging.getLogger("duly.cli")

MAX_PROCESSES = 512
SOON_S = 30.0
"""A process that dies within this time is started again after a delay, unless it is the first."""
LONGEST_DELAY_S = 30.0
MAX_FAILED_STARTS = 5
"""The number of failed starts in a row after which the supervisor gives up, if nothing is left."""
STOP_MARGIN_S = 10.0
"""Seconds after the grace period that a process gets to end before it is killed."""
NEVER = math.inf


@dataclass(slots=True)
class Slot:
    """The place of one process, which others take after it.

    Attributes:
        number: its number, from 1, for the log.
        start_at: when to start a process, on the steady clock, if there is none.
        process: the process, if there is one.
        link: the socket over which it reports that it works.
        started_at: when it was started, on the steady clock.
        grace: its grace period in seconds; ``None`` until it has reported that it works.
        early_deaths: the number of processes in a row that have died soon after their start.
    """

    number: int
    start_at: float = NEVER
    process: subprocess.Popen[bytes] | None = None
    link: socket.socket | None = None
    started_at: float = 0.0
    grace: float | None = None
    early_deaths: int = 0

    def __str__(self) -> str:
        pid = "" if self.process is None else f" (pid {self.process.pid})"
        return f"Process {self.number}{pid}"


class Supervisor:
    """Starts processes with the command line of this one, and replaces those that die.

    The first process starts alone, so that an application that cannot be loaded is reported once.
    Each is a new program and not a fork: it inherits no thread, lock or connection.

    Args:
        count: the number of processes.
        clock: tells how long they have lived.
    """

    def __init__(self, count: int, clock: Clock) -> None:
        self._slots = [Slot(number + 1) for number in range(count)]
        self._clock = clock
        self._failed_starts = 0
        self._any_started = False
        self._selector = selectors.DefaultSelector()

    def run(self) -> int:
        """Supervise until a signal arrives, or until no process can be started.

        SIGTERM and Ctrl-C are passed on as SIGTERM, each time that they arrive; the second one
        makes the processes skip their grace period.

        Returns:
            The exit code: 0 after a shutdown in which no process had to be killed; that of the
            first process if it did not start; otherwise 1.
        """
        with StopSignals(_nothing) as signals, self._selector:
            signal.signal(signal.SIGCHLD, _ignore)  # a handler makes the signal end the wait
            self._selector.register(signals.reader, selectors.EVENT_READ, signals.clear)
            self._slots[0].start_at = self._clock.monotonic()
            failure = self._keep_alive(signals)
            if signals.received:
                log.info("%s: stopping the processes.", " and ".join(signals.received))
            stopped = self._stop(signals)
            return failure or stopped

    def _keep_alive(self, signals: StopSignals) -> int:
        """Start processes until a signal arrives (0), or until that fails (the exit code)."""
        while not signals.received:
            for slot in self._slots:
                if slot.process is None and slot.start_at <= self._clock.monotonic():
                    self._start(slot)
            self._wait(min(slot.start_at for slot in self._slots))
            for slot in self._slots:
                code = None if slot.process is None else slot.process.poll()
                if code is None or signals.received:
                    continue
                if failure := self._succeed(slot, code):
                    return failure
        return 0

    def _start(self, slot: Slot) -> None:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with theirs:
            slot.process = subprocess.Popen(  # noqa: S603 - the command that a user has given
                [sys.executable, *sys.orig_argv[1:]],
                stdin=subprocess.DEVNULL,
                env=environment_with(theirs.fileno(), slot.number),
                pass_fds=[theirs.fileno()],
                process_group=0,  # Ctrl-C reaches only the supervisor, which passes it on
            )
        slot.link = ours
        slot.start_at, slot.started_at = NEVER, self._clock.monotonic()
        self._selector.register(ours, selectors.EVENT_READ, lambda: self._hear(slot))

    def _hear(self, slot: Slot) -> None:
        """Read the report of a process, or stop watching a connection that it has closed."""
        if slot.link is None:
            return
        try:
            report = slot.link.recv(64)
        except OSError:
            report = b""
        if not report:
            self._disconnect(slot)
            return
        slot.grace = float(report)
        log.info("%s has started.", slot)
        self._failed_starts = 0
        if not self._any_started:
            self._any_started = True
            for other in self._slots:
                if other.process is None:
                    other.start_at = self._clock.monotonic()

    def _succeed(self, slot: Slot, code: int) -> int:
        """Schedule a successor of a process that has ended; return an exit code to give up."""
        self._hear(slot)  # it may have reported meanwhile
        died = f"{slot} {_describe(code)}"
        lived = self._clock.monotonic() - slot.started_at
        slot.early_deaths = slot.early_deaths + 1 if lived < SOON_S else 1
        if slot.grace is None:
            self._failed_starts += 1
        self._clear(slot)
        if not self._any_started:
            log.error("%s before it had started. Giving up.", died)
            return code if code > 0 else FAILED
        if self._failed_starts >= MAX_FAILED_STARTS and not self._any_left():
            log.error(
                "%s. No process is left, and the last %d starts have failed. Giving up.",
                died, self._failed_starts,
            )  # fmt: skip
            return FAILED
        delay = _delay(slot.early_deaths)
        slot.start_at = self._clock.monotonic() + delay
        log.warning("%s. Starting it again %s.", died, f"in {delay:g} s" if delay else "now")
        return 0

    def _any_left(self) -> bool:
        return any(slot.grace is not None for slot in self._slots)

    def _stop(self, signals: StopSignals) -> int:
        """Stop all processes; return 1 if one of them had to be killed, or failed."""
        failed, passed_on = False, 0
        deadline = self._clock.monotonic()
        while any(slot.process is not None for slot in self._slots):
            wanted = max(len(signals.received), 1)
            while passed_on < wanted:
                passed_on += 1
                deadline = self._clock.monotonic() + self._terminate(skips_grace=passed_on > 1)
            if self._clock.monotonic() >= deadline:
                self._kill()
            self._wait(deadline)
            for slot in self._slots:
                code = None if slot.process is None else slot.process.poll()
                if code is not None:
                    unstarted = slot.grace is None and code == -signal.SIGTERM
                    failed = failed or not (code == 0 or unstarted)
                    ended = "has stopped" if code == 0 else _describe(code)
                    log.info("%s %s.", slot, ended)
                    self._clear(slot)
        return FAILED if failed else 0

    def _terminate(self, *, skips_grace: bool) -> float:
        """Pass a signal on to all processes; return the seconds in which they must end."""
        grace = 0.0
        for slot in self._slots:
            if slot.process is not None:
                slot.process.terminate()
                grace = max(grace, slot.grace or 0.0)
        return STOP_MARGIN_S + (0.0 if skips_grace else grace)

    def _kill(self) -> None:
        for slot in self._slots:
            if slot.process is not None:
                log.error("%s has not stopped in time and is killed.", slot)
                slot.process.kill()
                slot.process.wait()

    def _wait(self, until: float) -> None:
        """Wait for a signal, the end of a process or its report, at most until an instant."""
        timeout = None if until == NEVER else max(until - self._clock.monotonic(), 0.0)
        for key, _events in self._selector.select(timeout):
            key.data()

    def _clear(self, slot: Slot) -> None:
        self._disconnect(slot)
        slot.process = slot.grace = None

    def _disconnect(self, slot: Slot) -> None:
        if slot.link is not None:
            self._selector.unregister(slot.link)
            slot.link.close()
            slot.link = None


def _delay(early_deaths: int) -> float:
    """Return the seconds until a process is started again: none at first, then ever more."""
    return 0.0 if early_deaths < 2 else min(2.0 ** (early_deaths - 2), LONGEST_DELAY_S)


def _describe(code: int) -> str:
    """Return how a process has ended."""
    return (
        f"has ended with exit code {code}" if code >= 0 else f"was killed by {signal_name(-code)}"
    )


def _ignore(_number: int, _frame: object) -> None:
    """Handle a signal that is only meant to end a wait."""


def _nothing() -> None:
    """Do nothing at the second signal; the loop passes it on."""

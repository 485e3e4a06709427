"""A seeded world: processes on one database, stepped in virtual time, with faults."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from duly.errors import DatabaseUnavailable
from simulation.database import connection_lost
from simulation.environment import Environment
from simulation.late_call import LateCall
from simulation.process import Process
from simulation.scheduler import HEARTBEAT, SimulatedScheduler

RECOVERY = 2 * HEARTBEAT.lease + 2 * HEARTBEAT.rescue + 4
"""Seconds after healing within which every run of a dead worker must have been rescued: its lease,
the rescuer's own lease of unbroken contact, and the interval between two scans."""

DRAIN = 240.0
"""Seconds that the healed world has to bring every run to its end."""

PAUSES = (1.0, 4.0, HEARTBEAT.lease + 4, 2 * HEARTBEAT.lease + 8)
STALLS = (4.0, 3 * HEARTBEAT.lease, 3 * HEARTBEAT.lease)
"""The most seconds between the end of a function and its completion. A stall ends as soon as
another worker executes the run again."""

GLANCE = 0.4
"""Seconds after which a stalled process notices that its run is executed again."""

FENCED_IN_TIME = 0.2
"""Probability that a stalled process notices that its lease is lost before it completes runs."""

LATE_CALLS = 2
"""The number of threads that enqueue while their process stops."""

LATE = 0.5
"""Probability that a late call continues when its stopping process has committed a transaction."""

MAX_DEPTH = 2
MAX_STEPS = 10
"""Steps that a loop takes in a row while there is more to do."""


class Crashed(BaseException):
    """The process at work has died at this line; nothing after it happens."""


class World(Environment):
    """A world that lives, heals and comes to rest.

    Args:
        seed: everything is drawn from it.
        server: whether the database is a server with a clock and leases, or else a file with locks.
        seconds: virtual seconds before the world heals.
        faults: factor on the number of faults.
    """

    def __init__(self, seed: int, *, server: bool, seconds: float, faults: float = 1.0) -> None:
        super().__init__(seed, server=server, faults=faults)
        self.seconds = seconds
        self.outage_until = 0.0
        self._next_command = 0.0
        self._late_calls: list[LateCall] = []

    def live(self) -> None:
        """Run the world with its faults, heal it, and let it recover."""
        for process in self.processes:
            self._at_work(process, process.start)
        first = self.processes[0]
        self.client.limits.meter(_alive(first))  # by the observer: it cannot fail
        self._at_work(first, lambda: self.client.begin(_alive(first)))
        while self.now < self.seconds:
            self._run_until(self.seconds)
        self._heal()
        if first.scheduler is None:
            self._at_work(first, first.start)
        self._at_work(first, lambda: self.client.limits.block_key(_alive(first)))
        self._at_work(first, lambda: self.client.come_back(_alive(first)))
        self._run_until(self.now + RECOVERY)
        self._at_work(first, lambda: self.client.resume_everything(_alive(first)))
        self._at_work(first, lambda: self.client.pause_jobs(_alive(first)))

    def unblock_key(self) -> None:
        """Let runs with the concurrency key start again, which nothing does since healing."""
        first = self.processes[0]
        self._at_work(first, lambda: self.client.limits.unblock_key(_alive(first)))

    def stop(self) -> None:
        """Stop all processes of the healed world in an orderly way."""
        for process in self._running():
            self._stop(process)

    def finish(self, finished: Callable[[], bool]) -> bool:
        """Let the healed world continue, and return whether runs ended in time.

        Args:
            finished: returns whether they have ended.
        """
        end = self.now + DRAIN
        while self.now < end and not finished():
            self._run_until(self.now + 4.0)
        return finished()

    # ---------------------------------------------------------------- transaction hooks

    def begin(self, *, read_only: bool) -> None:
        """See `TransactionHooks.begin`."""
        late_call = next((call for call in self._late_calls if call.is_current), None)
        if late_call is not None and not read_only:
            late_call.hold()
        if self.actor == 0 or late_call is not None:
            return
        process = self._process_at_work()
        if not read_only and self.faults.at("write"):
            self._race(process)
        fault = self.faults.at("begin")
        if fault is not None:
            self.note(fault)
        if fault == "crash":
            self._die(process)
        if fault == "pause":
            self._pause_at_random(process)
        unreachable = max(self.outage_until, process.partitioned_until) > self.now
        if fault == "no connection" or unreachable:
            raise connection_lost()

    def commit(self, commit: Callable[[], None]) -> None:
        """See `TransactionHooks.commit`."""
        if self.actor == 0 or any(call.is_current for call in self._late_calls):
            return
        process = self._process_at_work()
        fault = self.faults.at("commit")
        if fault is None:
            if any(call.pending and call.actor == self.actor for call in self._late_calls):
                commit()
                self._continue_late_calls()
            return
        self.note(fault)
        if fault == "crash before commit":
            self._die(process)
        if fault == "lost commit":
            raise connection_lost()
        commit()
        if fault == "crash after commit":
            self._die(process)
        if fault == "lost acknowledgement":
            raise connection_lost()
        self._pause_at_random(process)

    def _process_at_work(self) -> Process:
        process = self.processes[self.actor - 1]
        if process.scheduler is None:
            raise Crashed
        return process

    def _die(self, process: Process) -> None:
        process.die(self.now + self.faults.rng.choice((1, 4, 15, 30)))
        raise Crashed

    def _race(self, process: Process) -> None:
        """Let another process issue a command before this one reads or writes anything."""
        others = [other for other in self._running() if other is not process]
        if not others or self.depth >= MAX_DEPTH:
            return
        other = self.faults.rng.choice(others)
        self.note("race")
        process.paused += 1
        self.depth += 1
        self._at_work(other, lambda: self.client.race(_alive(other)))
        self.depth -= 1
        process.paused -= 1
        if process.scheduler is None:
            raise Crashed

    def _stop(self, process: Process) -> None:
        """Stop a process in an orderly way while other threads of it enqueue calls."""
        scheduler = _alive(process)
        mine = [
            LateCall(process.number, lambda: self.client.enqueue_late(scheduler))
            for _call in range(LATE_CALLS)
        ]
        self._late_calls += mine
        with self._acting_as(process):
            for late_call in mine:
                late_call.start()
        self._at_work(process, process.stop)
        with self._acting_as(process):
            for late_call in mine:
                self._finish_late_call(late_call)
                self._late_calls.remove(late_call)

    def _continue_late_calls(self) -> None:
        for late_call in self._late_calls:
            if late_call.pending and late_call.actor == self.actor and self.rng.random() < LATE:
                self._finish_late_call(late_call)

    def _finish_late_call(self, late_call: LateCall) -> None:
        if not late_call.pending:
            return
        late_call.finish()
        if late_call.error is not None:
            self._note_error(late_call.error)

    def _pause_at_random(self, process: Process) -> None:
        rng = self.faults.rng
        self._pause(process, rng.choice(PAUSES), beats=rng.random() < 0.3)

    def _stall(self, process: Process, run_ids: set[str]) -> None:
        """Pause a process between the end of functions and the completion of their runs."""
        seconds, first = self.faults.rng.choice(STALLS), len(self.executions)

        def taken_over() -> bool:
            return any(execution.run_id in run_ids for execution in self.executions[first:])

        self._pause(process, seconds, beats=False, until=taken_over)

    def _pause(
        self,
        process: Process,
        seconds: float,
        *,
        beats: bool,
        until: Callable[[], bool] | None = None,
    ) -> None:
        """Let the other processes continue between two lines of this one.

        Args:
            process: the process.
            seconds: the longest time.
            beats: whether its heartbeat continues.
            until: ends the pause when it returns ``True``.
        """
        if self.depth >= MAX_DEPTH:
            return
        process.paused += 1
        process.beats_paused = beats
        self.note(f"paused for {seconds} s; its heartbeat {'continues' if beats else 'stops'}")
        self.depth += 1
        actor, self.actor = self.actor, 0
        end = self.now + seconds
        while self.now < end and not (until is not None and until()):
            self._run_until(end if until is None else min(end, self.now + GLANCE))
        self.actor = actor
        self.depth -= 1
        process.paused -= 1
        self.note("continues")
        if process.scheduler is None:
            raise Crashed

    # --------------------------------------------------------------------------- events

    def _run_until(self, end: float) -> None:
        while True:
            due, process = self._next_event(end)
            command_due = end if self.healed else self._next_command
            if min(due, command_due) >= end:
                break
            self._advance(max(self.now, min(due, command_due)))
            if command_due <= due or process is None:
                self._command()
            elif process.paused:
                process.next_beat = self.now + HEARTBEAT.interval
                self._at_work(process, process.beat)
            else:
                self._at_work(process, lambda chosen=process: self._step(chosen))  # type: ignore[misc]
        self._advance(end)

    def _next_event(self, end: float) -> tuple[float, Process | None]:
        """Return when the next process has something to do, and which; no later than ``end``."""
        events = [
            (process.next_beat if process.paused else process.next_event(), process.number, process)
            for process in self.processes
            if not process.paused or (process.beats_paused and process.scheduler)
        ]
        if not events:
            return end, None
        due, _number, process = min(events)
        return due, process

    def _advance(self, moment: float) -> None:
        """Let time pass; a fault that is drawn for this stretch strikes at its end."""
        stretch, self.now = moment - self.now, max(moment, self.now)
        self.step += 1
        fault = self.faults.during(stretch)
        if fault is None:
            return
        rng = self.faults.rng
        self.note(fault)
        if fault == "outage":
            self.outage_until = self.now + rng.choice((1, 5, 30))
        elif fault == "blackout":
            for process in self.processes:
                if not process.paused:
                    process.die(self.now)
            seconds = rng.choice((120, 3600))
            self.now += seconds
            self.seconds += seconds
        elif fault == "clock step":
            self._step_clock(rng)
        else:
            self._strike(fault, rng)

    def _strike(self, fault: str, rng: random.Random) -> None:
        running = self._running()
        if not running:
            return
        process = rng.choice(running)
        if fault == "partition":
            process.partitioned_until = self.now + rng.choice((1, 6, 25))
        elif fault == "freeze":
            process.next_step = self.now + rng.choice((3, 18, 28))
            if rng.random() < 0.5:
                process.next_beat = process.next_step + rng.choice((0, 1))
            if rng.random() < 0.5:
                for executor in process.executors:
                    executor.freeze(process.next_step)
        elif fault == "stop":
            self._stop(process)
            process.die(self.now + rng.choice((0.5, 5)))

    def _step_clock(self, rng: random.Random) -> None:
        """Step one process's wall clock on a server, or the clock of all on one machine."""
        if self.server:
            rng.choice(self.processes).clock.error = rng.choice((-3600, -2, 0, 3, 7200))
            self.server_clock_error = rng.choice((-0.5, 0.0, 0.5, 1.0))
            return
        error = rng.choice((-20, -3, 0, 2, 15))
        for process in self.processes:
            process.clock.error = error

    def _running(self) -> list[Process]:
        return [p for p in self.processes if p.scheduler is not None and not p.paused]

    def _command(self) -> None:
        self._next_command = self.now + self.client.seconds_to_next()
        running = self._running()
        if running:
            process = self.rng.choice(running)
            self._at_work(process, lambda: self.client.act(_alive(process)))
            process.next_step = min(process.next_step, self.now + 0.05)

    def _step(self, process: Process) -> None:
        if process.scheduler is None:
            self.note("starts")
            process.start()
        if process.is_crashing():
            self.note("killed by a function")
            self.faults.counts["deadly function"] += 1
            process.die(self.now + 1)
            return
        ended = process.end_executions()
        stalls = ended and self.faults.at("end")
        if stalls:
            self.note("stall")
            self._stall(process, {execution.run_id for execution in ended})
        beats = process.next_beat <= self.now
        steps = ended or process.next_step <= self.now
        # The loop and the heartbeat are two threads.
        beats_first = self.rng.random() < (FENCED_IN_TIME if stalls else 0.5)
        if beats and beats_first:
            self._beat(process)
        if steps:
            process.next_step = self.now + self.rng.uniform(0.5, 3.0)
            for _step in range(MAX_STEPS):
                if not process.step():
                    break
        if beats and not beats_first:
            self._beat(process)

    def _beat(self, process: Process) -> None:
        process.next_beat = self.now + HEARTBEAT.interval * self.rng.uniform(0.9, 1.1)
        process.beat()

    def _at_work(self, process: Process, act: Callable[[], Any]) -> None:
        """Let a process act, subject to the faults that may strike meanwhile."""
        with self._acting_as(process):
            try:
                act()
            except Crashed:
                self.note("dies")
            except DatabaseUnavailable:
                process.next_step = self.now + self.rng.uniform(0.5, 2.0)
            except Exception as error:  # noqa: BLE001 - any other error is a finding
                self._note_error(error)

    def _note_error(self, error: BaseException) -> None:
        self.note(f"unexpected {type(error).__name__}: {error}")
        self.errors.append(f"unexpected {type(error).__name__}: {error}")

    def _heal(self) -> None:
        self.note("the world heals")
        self.faults.active = False
        self.outage_until, self.healed = 0.0, True
        for process in self.processes:
            process.partitioned_until = 0.0
            process.starts_at = min(process.starts_at, self.now)
        for execution in self.executions:
            execution.ends_at = min(execution.ends_at, self.now + 25)
            if execution.outcome == "crash":
                execution.outcome = "ok"


def _alive(process: Process) -> SimulatedScheduler:
    if process.scheduler is None:
        raise Crashed
    return process.scheduler

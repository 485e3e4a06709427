"""A seeded world: processes on one database, stepped in virtual time, with faults."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from duly.errors import DatabaseUnavailable
from simulation.database import away
from simulation.environment import Ground
from simulation.process import RHYTHM, Process, SimulatedScheduler

RECOVERY = 2 * RHYTHM.lease + 2 * RHYTHM.rescue + 4
"""Seconds after which no run may be left with a dead worker: its lease, the rescuer's own unbroken
contact, and the scan."""

END = 240.0
"""Seconds that the healed world has to bring every run to its end."""

PAUSES = (1.0, 4.0, RHYTHM.lease + 4, 2 * RHYTHM.lease + 8)
STALLS = (4.0, RHYTHM.lease + 4, RHYTHM.lease + 7, RHYTHM.lease + 12)
"""After the last, another worker may be executing what the stalled one has a result for."""

DEEPEST = 2
MORE = 10


class Crashed(BaseException):
    """The process at work has died here: nothing after this line happens."""


class World(Ground):
    """See the module.

    Args:
        seed: everything is drawn from it.
        server: whether the database is a server with a clock and leases; else file locks.
        seconds: virtual seconds before the world heals.
        faults: how many faults, as a factor.
    """

    def __init__(self, seed: int, *, server: bool, seconds: float, faults: float = 1.0) -> None:
        super().__init__(seed, server=server, faults=faults)
        self.seconds = seconds
        self.outage = 0.0
        self._next_command = 0.0

    def live(self) -> None:
        """Everything that happens in this world, up to its peaceful end."""
        for process in self.processes:
            self._at_work(process, process.start)
        first = self.processes[0]
        self._at_work(first, lambda: self.client.begin(_alive(first)))
        while self.now < self.seconds:
            self._run_until(self.seconds)
        self._heal()
        self._run_until(self.now + RECOVERY)

    def finish(self, over: Callable[[], bool]) -> bool:
        """After the world has healed, nothing new falls due: bring all to an end.

        Args:
            over: whether everything has ended.
        """
        first = self.processes[0]
        self._at_work(first, lambda: self.client.let_go(_alive(first)))
        self._at_work(first, lambda: self.client.end_schedules(_alive(first)))
        end = self.now + END
        while self.now < end and not over():
            self._run_until(self.now + 4.0)
        return over()

    # ---------------------------------------------------------------------- fates

    def begin(self) -> None:
        """See `Fates.begin`."""
        if self.actor == 0:
            return
        process = self._acting()
        fault = self.faults.at("begin")
        if fault is not None:
            self.note(fault)
        if fault == "crash":
            self._die(process)
        if fault == "pause":
            self._pause_somehow(process)
        if fault == "no connection" or max(self.outage, process.unreachable) > self.now:
            raise away()

    def commit(self, commit: Callable[[], None]) -> None:
        """See `Fates.commit`."""
        if self.actor == 0:
            return
        process = self._acting()
        fault = self.faults.at("commit")
        if fault is None:
            return
        self.note(fault)
        if fault == "crash before commit":
            self._die(process)
        if fault == "lost commit":
            raise away()
        commit()
        if fault == "crash after commit":
            self._die(process)
        if fault == "lost acknowledgement":
            raise away()
        self._pause_somehow(process)

    def _acting(self) -> Process:
        process = self.processes[self.actor - 1]
        if process.scheduler is None:
            raise Crashed
        return process

    def _die(self, process: Process) -> None:
        process.die(self.now + self.faults.rng.choice((1, 4, 15, 30)))
        raise Crashed

    def _pause_somehow(self, process: Process) -> None:
        rng = self.faults.rng
        self._pause(process, rng.choice(PAUSES), beats=rng.random() < 0.3)

    def _pause(self, process: Process, seconds: float, *, beats: bool) -> None:
        """Between two steps of a process, the others go on."""
        if self.depth >= DEEPEST:
            return
        process.paused += 1
        process.beats = beats
        self.note(f"paused for {seconds} s, heartbeat continues: {process.beats}")
        self.depth += 1
        actor, self.actor = self.actor, 0
        self._run_until(self.now + seconds)
        self.actor = actor
        self.depth -= 1
        process.paused -= 1
        self.note("goes on")
        if process.scheduler is None:
            raise Crashed

    # ---------------------------------------------------------------------- events

    def _run_until(self, end: float) -> None:
        while True:
            ready = [p for p in self.processes if not p.paused or (p.beats and p.scheduler)]
            due, _number, process = min(
                ((p.next_beat if p.paused else p.next_event()), p.number, p) for p in ready
            ) if ready else (end, 0, None)  # fmt: skip
            command = end if self.calm else self._next_command
            if min(due, command) >= end:
                break
            self._pass(max(self.now, min(due, command)))
            if command <= due or process is None:
                self._command()
            elif process.paused:
                process.next_beat = self.now + RHYTHM.interval
                self._at_work(process, process.beat)
            else:
                self._at_work(process, lambda held=process: self._step(held))  # type: ignore[misc]
        self._pass(end)

    def _pass(self, moment: float) -> None:
        """Let time pass; what the faults of that stretch are strikes at its end."""
        stretch, self.now = moment - self.now, max(moment, self.now)
        self.step += 1
        fault = self.faults.during(stretch)
        if fault is None:
            return
        rng = self.faults.rng
        self.note(fault)
        if fault == "outage":
            self.outage = self.now + rng.choice((1, 5, 30))
        elif fault == "blackout":
            for process in self.processes:
                if not process.paused:
                    process.die(self.now)
            gone = rng.choice((120, 3600))
            self.now += gone
            self.seconds += gone
        elif fault == "clock step":
            self._step_clock(rng)
        else:
            self._strike(fault, rng.choice(self.processes), rng)

    def _strike(self, fault: str, process: Process, rng: random.Random) -> None:
        if process.paused or process.scheduler is None:
            return
        if fault == "partition":
            process.unreachable = self.now + rng.choice((1, 6, 25))
        elif fault == "freeze":
            process.next_tick = self.now + rng.choice((3, 18, 28))
            if rng.random() < 0.5:
                process.next_beat = process.next_tick + rng.choice((0, 1))
            if rng.random() < 0.5:
                for executor in process.executors:
                    executor.freeze(process.next_tick)
        elif fault == "stop":
            self._at_work(process, process.stop)
            process.die(self.now + rng.choice((0.5, 5)))

    def _step_clock(self, rng: random.Random) -> None:
        """On a server each process's wall clock may jump; on one machine all jump together."""
        if self.server:
            rng.choice(self.processes).clock.wrong_by = rng.choice((-3600, -2, 0, 3, 7200))
            self.server_wrong_by = rng.choice((-0.5, 0.0, 0.5, 1.0))
            return
        wrong_by = rng.choice((-20, -3, 0, 2, 15))
        for process in self.processes:
            process.clock.wrong_by = wrong_by

    def _command(self) -> None:
        self._next_command = self.now + self.client.pause_before_next()
        alive = [p for p in self.processes if p.scheduler is not None and not p.paused]
        if alive:
            process = self.rng.choice(alive)
            self._at_work(process, lambda: self.client.act(_alive(process)))
            process.next_tick = min(process.next_tick, self.now + 0.05)

    def _step(self, process: Process) -> None:
        if process.scheduler is None:
            self.note("starts")
            process.start()
        ended = process.end_calls()
        if ended and self.faults.at("end"):
            self.note("stall")
            self._pause(process, self.faults.rng.choice(STALLS), beats=False)
        beats = process.next_beat <= self.now
        ticks = ended or process.next_tick <= self.now
        first = self.rng.random() < 0.5  # the loop and the heartbeat are two threads
        if beats and first:
            self._beat(process)
        if ticks:
            process.next_tick = self.now + self.rng.uniform(0.5, 3.0)
            for _again in range(MORE):
                if not process.tick():
                    break
        if beats and not first:
            self._beat(process)

    def _beat(self, process: Process) -> None:
        process.next_beat = self.now + RHYTHM.interval * self.rng.uniform(0.9, 1.1)
        process.beat()

    def _at_work(self, process: Process, act: Callable[[], Any]) -> None:
        """Let a process do something, with everything that may happen to it meanwhile."""
        with self._as(process):
            try:
                act()
            except Crashed:
                self.note("is dead")
            except DatabaseUnavailable:
                process.next_tick = self.now + self.rng.uniform(0.5, 2.0)
            except Exception as error:  # noqa: BLE001 - that is what is looked for
                self.note(f"unexpected {type(error).__name__}: {error}")
                self.troubles.append(f"unexpected {type(error).__name__}: {error}")

    def _heal(self) -> None:
        self.note("the world heals")
        self.faults.disarm()
        self.outage, self.calm = 0.0, True
        for process in self.processes:
            process.unreachable = 0.0
            process.starts_at = min(process.starts_at, self.now)
        for call in self.calls:
            call.ends_at = min(call.ends_at, self.now + 25)


def _alive(process: Process) -> SimulatedScheduler:
    if process.scheduler is None:
        raise Crashed
    return process.scheduler

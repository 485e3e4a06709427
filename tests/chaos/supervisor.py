"""Starts, kills, stops and resumes worker processes, each by its own pid."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tests.chaos.disturbances import Disturbances
from tests.chaos.journal import steady
from tests.support.processes import ROOT, SURROUNDINGS

FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
"""The library that steps a process's clock; ``None`` where it is not installed."""

CLOSE_TIMEOUT = 10.0

Fake = Literal["none", "libfaketime", "stepped"]
"""How a worker's clock is stepped: not at all, by libfaketime, or by `SteppedClock`."""


@dataclass
class Slot:
    """A slot for one worker at a time.

    Attributes:
        number: the number of the slot, from 0.
        url: the URL at which its worker reaches the database.
        clock: the file with the offset of its wall clock.
        fakes: how its clock is stepped; see `Fake`.
        pid: the process of its worker; 0 while it has none.
        stopped: whether that process is stopped (SIGSTOP).
        disturbances: when it had no working worker.
    """

    number: int
    url: str
    clock: Path
    fakes: Fake
    pid: int = 0
    stopped: bool = False
    disturbances: Disturbances = field(default_factory=Disturbances)


@dataclass
class Interruption:
    """The kill or stop of one worker.

    Attributes:
        kind: ``kill`` or ``stop``.
        pid: the process.
        at: when it happened, on the steady clock.
        until: when a stopped process was resumed.
    """

    kind: str
    pid: int
    at: float
    until: float = field(default=float("inf"))


class Supervisor:
    """Controls all workers of an experiment.

    Args:
        folder: the folder for their journals and logs.
        load: the module of the load; see `tests.chaos.load`.

    Attributes:
        interruptions: every kill and stop so far.
    """

    def __init__(self, folder: Path, load: str) -> None:
        self.folder = folder
        self._load = load
        self.interruptions: list[Interruption] = []
        self._processes: dict[bool, subprocess.Popen[str]] = {}

    def start(self, slot: Slot) -> None:
        """Start a worker in a slot."""
        order = {
            "url": slot.url, "folder": str(self.folder), "clock": str(slot.clock),
            "stepped": slot.fakes == "stepped", "load": self._load,
        }  # fmt: skip
        faked = slot.fakes == "libfaketime"
        if faked not in self._processes:
            self._processes[faked] = self._process(faked)
        process = self._processes[faked]
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(order) + "\n")
        process.stdin.flush()
        slot.pid, slot.stopped = int(process.stdout.readline()), False
        slot.disturbances.end("away")

    def _process(self, faked: bool) -> subprocess.Popen[str]:
        environment = {**os.environ, **SURROUNDINGS}
        if faked:
            environment |= {
                "LD_PRELOAD": str(FAKETIME), "DONT_FAKE_MONOTONIC": "1",
                "FAKETIME_DONT_FAKE_MONOTONIC": "1", "FAKETIME_CACHE_DURATION": "1",
            }  # fmt: skip
        return subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env=environment,
            text=True,
            start_new_session=True,
        )

    def kill(self, slot: Slot) -> None:
        """Kill the worker of a slot (SIGKILL)."""
        self.interruptions.append(Interruption("kill", slot.pid, steady()))
        slot.disturbances.begin("away")
        self._signal(slot, signal.SIGKILL)
        slot.pid, slot.stopped = 0, False

    def stop(self, slot: Slot) -> None:
        """Stop the worker of a slot (SIGSTOP)."""
        self.interruptions.append(Interruption("stop", slot.pid, steady()))
        slot.disturbances.begin("away")
        self._signal(slot, signal.SIGSTOP)
        slot.stopped = True

    def resume(self, slot: Slot) -> None:
        """Resume the stopped worker of a slot (SIGCONT)."""
        for interruption in self.interruptions:
            if interruption.pid == slot.pid and interruption.kind == "stop":
                interruption.until = min(interruption.until, steady())
        self._signal(slot, signal.SIGCONT)
        slot.stopped = False
        slot.disturbances.end("away")

    def show_stacks(self, slot: Slot) -> None:
        """Make the worker of a slot write the stacks of its threads to its log."""
        self._signal(slot, signal.SIGUSR1)

    def terminate(self, slot: Slot) -> int:
        """Ask the worker of a slot to stop (SIGTERM), free the slot, and return its pid."""
        slot.disturbances.begin("away")
        self._signal(slot, signal.SIGTERM)
        pid, slot.pid = slot.pid, 0
        return pid

    def close(self) -> None:
        """Kill every worker that is still running."""
        for process in self._processes.values():
            assert process.stdin is not None
            with suppress(OSError):
                process.stdin.close()
        for process in self._processes.values():
            try:
                process.wait(CLOSE_TIMEOUT)
            except subprocess.TimeoutExpired:
                process.kill()  # its workers die with it
                process.wait()
            assert process.stdout is not None
            process.stdout.close()

    def _signal(self, slot: Slot, number: int) -> None:
        with suppress(ProcessLookupError):
            os.kill(slot.pid, number)


def is_alive(pid: int) -> bool:
    """Return whether a worker process exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True

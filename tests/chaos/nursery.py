"""The driver's side of the workers: start, kill, stop and continue them, each by its own pid."""

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

from tests.chaos.journal import steady
from tests.chaos.spells import Spells
from tests.support.processes import ROOT, SURROUNDINGS

FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
"""The library that steps a process's clock, where it is installed."""

END = 10.0

Fake = Literal["none", "libfaketime", "stepped"]
"""Nothing; a library beneath the whole process; or `SteppedClock` in it."""


@dataclass
class Slot:
    """A place for one worker at a time.

    Attributes:
        number: which.
        url: how it reaches the database.
        clock: the file that says how far its wall clock is off.
        fakes: what makes it follow that file; see `Fake`.
        pid: of the worker that lives there; 0: none.
        stopped: whether it is stopped (SIGSTOP).
        spells: when no worker was at work there.
    """

    number: int
    url: str
    clock: Path
    fakes: Fake
    pid: int = 0
    stopped: bool = False
    spells: Spells = field(default_factory=Spells)


@dataclass
class Blow:
    """A worker was killed or stopped: what, who, and when on the steady clock."""

    kind: str
    pid: int
    at: float
    until: float = field(default=float("inf"))


class Nursery:
    """Starts workers.

    Args:
        folder: for their journals and logs.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.blows: list[Blow] = []
        self._processes: dict[bool, subprocess.Popen[str]] = {}

    def start(self, slot: Slot) -> None:
        """Start a worker in a slot."""
        order = {
            "url": slot.url, "folder": str(self.folder), "clock": str(slot.clock),
            "stepped": slot.fakes == "stepped",
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
        slot.spells.end("away")

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
        """End it at once."""
        self.blows.append(Blow("kill", slot.pid, steady()))
        slot.spells.begin("away")
        self._signal(slot, signal.SIGKILL)
        slot.pid, slot.stopped = 0, False

    def stop(self, slot: Slot) -> None:
        """Stop it where it stands."""
        self.blows.append(Blow("stop", slot.pid, steady()))
        slot.spells.begin("away")
        self._signal(slot, signal.SIGSTOP)
        slot.stopped = True

    def go_on(self, slot: Slot) -> None:
        """Let it go on."""
        for blow in self.blows:
            if blow.pid == slot.pid and blow.kind == "stop":
                blow.until = min(blow.until, steady())
        self._signal(slot, signal.SIGCONT)
        slot.stopped = False
        slot.spells.end("away")

    def show_stacks(self, slot: Slot) -> None:
        """Have it write the stacks of its threads into its log."""
        self._signal(slot, signal.SIGUSR1)

    def ask_to_end(self, slot: Slot) -> int:
        """Ask it to end in order, and forget it; returns its pid."""
        slot.spells.begin("away")
        self._signal(slot, signal.SIGTERM)
        pid, slot.pid = slot.pid, 0
        return pid

    def close(self) -> None:
        """Kill whatever still runs."""
        for process in self._processes.values():
            assert process.stdin is not None
            with suppress(OSError):
                process.stdin.close()
        for process in self._processes.values():
            try:
                process.wait(END)
            except subprocess.TimeoutExpired:
                process.kill()  # the workers follow it
                process.wait()
            assert process.stdout is not None
            process.stdout.close()

    def _signal(self, slot: Slot, number: int) -> None:
        with suppress(ProcessLookupError):
            os.kill(slot.pid, number)


def lives(pid: int) -> bool:
    """Whether a worker has not ended."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True

"""The faults: what may go wrong, drawn from a seed, and undone after a while."""

from __future__ import annotations

import heapq
import itertools
import random
import threading
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from tests.chaos.ground import Ground, SmallDisk
from tests.chaos.journal import steady
from tests.chaos.nursery import Nursery, Slot, lives
from tests.chaos.proxy import Lane, Proxy

KILL, STOP = "kill -9 of a worker", "SIGSTOP beyond the lease"
LEASE = 5.0
ENDS = 120.0
"""Seconds that a worker may take to end in order."""


@dataclass
class World:
    """What faults happen to."""

    ground: Ground
    nursery: Nursery
    slots: list[Slot]
    proxy: Proxy | None
    lanes: list[Lane]
    disk: SmallDisk


@dataclass
class Tally:
    """What has happened.

    Attributes:
        counts: by kind of fault.
        outages: when nobody could use the database: from, until, on the steady clock.
        died: workers that ended by themselves, or did not end when asked.
    """

    counts: Counter[str] = field(default_factory=Counter)
    outages: list[tuple[float, float]] = field(default_factory=list)
    died: list[str] = field(default_factory=list)


class Faults:
    """Draws faults and undoes them.

    Args:
        world: what they happen to.
        seed: of the draw.
        rate: faults a second.
    """

    def __init__(self, world: World, seed: int, rate: float) -> None:
        self._world = world
        self._dice = random.Random(seed)
        self._rate = rate
        self._later: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._busy: set[str] = set()
        self._shift = 0.0
        self._furthest = 0.0
        self._ending: list[tuple[int, float]] = []
        self._threads: list[threading.Thread] = []
        self.tally = Tally()

    def rage(self, seconds: float) -> None:
        """Let faults happen for so long."""
        end = steady() + seconds
        next_fault = steady()
        while steady() < end:
            self._catch_up()
            if steady() >= next_fault:
                next_fault += self._dice.expovariate(self._rate)
                self._strike()
            soonest = min([next_fault, end, *(entry[0] for entry in self._later[:1])])
            _wait(min(0.1, max(0.0, soonest - steady())))

    def heal(self) -> None:
        """Undo everything: all workers live and reach a database that answers."""
        while self._later:
            heapq.heappop(self._later)[2]()
        for thread in self._threads:
            thread.join(180)
        for lane in self._world.lanes:
            for action, value in ((lane.refuse, False), (lane.swallow, False), (lane.arm, "")):
                self._do(action, value)
        self._world.disk.free()
        self._world.ground.repair()
        for slot in self._world.slots:
            # A machine's clock that was set back would keep SQLite's workers idle until it is
            # where it was.
            self._set_clock(slot, self._furthest)
            if slot.stopped:
                self._world.nursery.go_on(slot)
            if not slot.pid:
                self._world.nursery.start(slot)
        self.tally.counts["connection cut at commit"] = sum(x.cuts for x in self._world.lanes)

    def complain(self, what: str) -> None:
        """Note what did not come true, and what every worker was doing."""
        self.tally.died.append(what)
        for slot in self._world.slots:
            self._world.nursery.show_stacks(slot)

    def watch(self) -> None:
        """Notice workers that ended by themselves."""
        for slot in self._world.slots:
            if slot.pid and not lives(slot.pid):
                self.tally.died.append(f"worker {slot.pid} ended by itself")
                self._world.nursery.start(slot)
        for pid, deadline in list(self._ending):
            if not lives(pid):
                self._ending.remove((pid, deadline))
            elif steady() > deadline:
                self.tally.died.append(f"worker {pid} did not end within {ENDS:g} s of SIGTERM")
                self._ending.remove((pid, deadline))

    def _catch_up(self) -> None:
        self.watch()
        while self._later and self._later[0][0] <= steady():
            heapq.heappop(self._later)[2]()

    def _after(self, seconds: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._later, (steady() + seconds, next(self._numbers), action))

    def _strike(self) -> None:
        name = self._dice.choices(list(KINDS), [weight for weight, _ in KINDS.values()])[0]
        if KINDS[name][1](self):
            self.tally.counts[name] += 1

    # ------------------------------------------------------------------------------ workers

    def _victim(self) -> Slot | None:
        able = [slot for slot in self._world.slots if slot.pid and not slot.stopped]
        return self._dice.choice(able) if able else None

    def _kill(self) -> bool:
        living = [slot for slot in self._world.slots if slot.pid]
        if not living:
            return False
        slot = self._dice.choice(living)  # a stopped one too
        self._world.nursery.kill(slot)
        self._after(self._dice.uniform(0.0, 0.8), lambda: self._revive(slot))
        return True

    def _revive(self, slot: Slot) -> None:
        if not slot.pid:
            self._world.nursery.start(slot)

    def _stop(self) -> bool:
        slot = self._victim()
        if slot is None:
            return False
        pid = slot.pid
        self._world.nursery.stop(slot)

        def go_on() -> None:
            if slot.pid == pid:
                self._world.nursery.go_on(slot)

        self._after(self._dice.uniform(LEASE + 0.5, LEASE + 4), go_on)
        return True

    def _terminate(self) -> bool:
        slot = self._victim()
        if slot is None:
            return False
        pid = self._world.nursery.ask_to_end(slot)
        self._ending.append((pid, steady() + ENDS))
        self._after(self._dice.uniform(0.5, 1.5), lambda: self._revive(slot))
        return True

    # ----------------------------------------------------------------------------- database

    def _once_at_a_time(self, what: str, seconds: float, begin: object, end: object) -> bool:
        """Do something to the whole database on a thread; never two such things at once."""
        if self._busy or what == "":
            return False
        self._busy.add(what)

        def work() -> None:
            began = steady()
            try:
                begin()  # type: ignore[operator]
                _wait(seconds)
                end()  # type: ignore[operator]
            except Exception as error:  # noqa: BLE001 - whatever it is, it is reported
                self.tally.died.append(f"{what}: {type(error).__name__}: {error}")
            finally:
                self.tally.outages.append((began, steady()))
                self._busy.discard(what)

        thread = threading.Thread(target=work, name=what, daemon=True)
        thread.start()
        self._threads.append(thread)
        return True

    def _restart(self) -> bool:
        ground = self._world.ground
        if ground.address is None:
            return False
        return self._once_at_a_time("restart", 0, ground.restart, ground.repair)

    def _crash(self) -> bool:
        ground = self._world.ground
        if ground.address is None:
            return False
        return self._once_at_a_time("crash", 1, ground.crash, ground.repair)

    def _fill_disk(self) -> bool:
        disk, ground = self._world.disk, self._world.ground
        if disk.trouble:
            return False

        def free() -> None:
            disk.free()
            ground.repair()

        return self._once_at_a_time("full disk", self._dice.uniform(1, 3), disk.fill, free)

    def _block(self) -> bool:
        ground, seconds = self._world.ground, self._dice.uniform(0.5, 3)
        if ground.address is not None:
            return False
        return self._once_at_a_time("lock", 0, lambda: ground.block(seconds), lambda: None)

    def _end_connection(self) -> bool:
        if self._busy:
            return False
        with suppress(Exception):
            return self._world.ground.end_connection(self._dice)
        return False

    # ------------------------------------------------------------------------------ network

    def _lane(self) -> Lane | None:
        return self._dice.choice(self._world.lanes) if self._world.lanes else None

    def _do(self, action: Callable[..., Coroutine[Any, Any, None]], *values: object) -> None:
        assert self._world.proxy is not None
        self._world.proxy.do(action, *values)

    def _drop(self) -> bool:
        lane = self._lane()
        if lane is None:
            return False
        self._do(lane.drop)
        return True

    def _refuse(self) -> bool:
        lane = self._lane()
        if lane is None:
            return False
        self._do(lane.refuse, True)
        self._after(self._dice.uniform(1, 8), lambda: self._do(lane.refuse, False))
        return True

    def _swallow(self) -> bool:
        lane = self._lane()
        if lane is None:
            return False
        self._do(lane.swallow, True)
        late = self._dice.random() < 0.5

        def end() -> None:
            if not late:
                self._do(lane.drop)
            self._do(lane.swallow, False)

        self._after(self._dice.uniform(1, 9), end)
        return True

    def _cut(self) -> bool:
        lane = self._lane()
        if lane is None:
            return False
        self._do(lane.arm, self._dice.choice(["answered", "answered", "sent"]))
        return False  # counted by the lane when it happens

    # -------------------------------------------------------------------------------- clock

    def _step_clock(self) -> bool:
        able = [slot for slot in self._world.slots if slot.fakes != "none"]
        if not able:
            return False
        step = self._dice.choice([-3600.0, -30.0, -5.0, 5.0, 30.0, 3600.0])
        if self._world.ground.address is None:
            # Workers on one file share their machine's clock, which is the database's too.
            self._shift += max(-10.0, min(step, 10.0))
            self._furthest = max(self._furthest, self._shift)
            for slot in able:
                self._set_clock(slot, self._shift)
        else:
            self._set_clock(self._dice.choice(able), step)
        return True

    def _set_clock(self, slot: Slot, seconds: float) -> None:
        draft = slot.clock.with_suffix(".draft")
        draft.write_text(f"{seconds:+.3f}\n")
        draft.replace(slot.clock)


KINDS: dict[str, tuple[float, Callable[[Faults], bool]]] = {
    KILL: (100, Faults._kill),
    STOP: (25, Faults._stop),
    "SIGTERM of a worker": (8, Faults._terminate),
    "server restarted": (3, Faults._restart),
    "server process killed": (2, Faults._crash),
    "disk full": (2, Faults._fill_disk),
    "writer's lock held": (6, Faults._block),
    "connection ended by the server": (12, Faults._end_connection),
    "connections dropped": (8, Faults._drop),
    "connections refused": (4, Faults._refuse),
    "black hole": (6, Faults._swallow),
    "connection cut at commit": (14, Faults._cut),
    "clock stepped": (6, Faults._step_clock),
}


def _wait(seconds: float) -> None:
    threading.Event().wait(seconds)

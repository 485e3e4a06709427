"""Injects faults, drawn from a seed, and undoes each after a while."""

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

from tests.chaos.databases import Database, SmallDisk
from tests.chaos.journal import steady
from tests.chaos.proxy import Proxy, Route
from tests.chaos.supervisor import Slot, Supervisor, is_alive

KILL, STOP = "kill -9 of a worker", "SIGSTOP beyond the lease"
LEASE = 5.0
STOP_TIMEOUT = 120.0
"""Seconds that a worker may take to end after SIGTERM."""


@dataclass
class Targets:
    """Everything that can be broken."""

    database: Database
    supervisor: Supervisor
    slots: list[Slot]
    proxy: Proxy | None
    routes: list[Route]
    disk: SmallDisk


@dataclass
class Tally:
    """What has happened.

    Attributes:
        counts: the number of faults of each kind.
        outages: the start and end of each outage of the database, on the steady clock.
        failures: workers that ended on their own or did not end after SIGTERM, faults that could
            not be injected, and expectations that were not met after healing.
    """

    counts: Counter[str] = field(default_factory=Counter)
    outages: list[tuple[float, float]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


class FaultInjector:
    """Draws faults, injects them and undoes them.

    Args:
        targets: what can be broken.
        seed: the seed of the draw.
        rate: the mean number of faults per second.
    """

    def __init__(self, targets: Targets, seed: int, rate: float) -> None:
        self._targets = targets
        self._rng = random.Random(seed)
        self._rate = rate
        self._scheduled: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._broken: set[str] = set()
        self._clock_offset = 0.0
        self._highest_offset = 0.0
        self._ending: list[tuple[int, float]] = []
        self._threads: list[threading.Thread] = []
        self.tally = Tally()

    def inject(self, seconds: float) -> None:
        """Inject faults for this many seconds."""
        end = steady() + seconds
        next_fault = steady()
        while steady() < end:
            self._undo_due()
            if steady() >= next_fault:
                next_fault += self._rng.expovariate(self._rate)
                self._strike()
            soonest = min([next_fault, end, *(entry[0] for entry in self._scheduled[:1])])
            _wait(min(0.1, max(0.0, soonest - steady())))

    def heal(self) -> None:
        """Undo every fault, so that all workers run and reach a database that answers."""
        while self._scheduled:
            heapq.heappop(self._scheduled)[2]()
        for thread in self._threads:
            thread.join(180)
        for route in self._targets.routes:
            for action, value in ((route.refuse, False), (route.swallow, False), (route.arm, "")):
                self._do(action, value)
        self._targets.disk.free()
        self._targets.database.repair()
        for slot in self._targets.slots:
            # After a step back, SQLite's workers would idle until the clock has caught up.
            self._set_clock(slot, self._highest_offset)
            if slot.stopped:
                self._targets.supervisor.resume(slot)
            if not slot.pid:
                self._targets.supervisor.start(slot)
        self.tally.counts["connection cut at commit"] = sum(x.cuts for x in self._targets.routes)

    def report(self, failure: str) -> None:
        """Note a failure, and make every worker log its stacks."""
        self.tally.failures.append(failure)
        for slot in self._targets.slots:
            self._targets.supervisor.show_stacks(slot)

    def watch(self) -> None:
        """Note workers that ended on their own, and replace them."""
        for slot in self._targets.slots:
            if slot.pid and not is_alive(slot.pid):
                self.tally.failures.append(f"worker {slot.pid} ended on its own")
                self._targets.supervisor.start(slot)
        for pid, deadline in list(self._ending):
            if not is_alive(pid):
                self._ending.remove((pid, deadline))
            elif steady() > deadline:
                self.tally.failures.append(
                    f"worker {pid} did not end within {STOP_TIMEOUT:g} s of SIGTERM"
                )
                self._ending.remove((pid, deadline))

    def _undo_due(self) -> None:
        self.watch()
        while self._scheduled and self._scheduled[0][0] <= steady():
            heapq.heappop(self._scheduled)[2]()

    def _schedule(self, seconds: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._scheduled, (steady() + seconds, next(self._numbers), action))

    def _strike(self) -> None:
        name = self._rng.choices(list(KINDS), [weight for weight, _ in KINDS.values()])[0]
        if KINDS[name][1](self):
            self.tally.counts[name] += 1

    # ------------------------------------------------------------------------------ workers

    def _victim(self) -> Slot | None:
        able = [slot for slot in self._targets.slots if slot.pid and not slot.stopped]
        return self._rng.choice(able) if able else None

    def _kill(self) -> bool:
        living = [slot for slot in self._targets.slots if slot.pid]
        if not living:
            return False
        slot = self._rng.choice(living)  # may be stopped
        self._targets.supervisor.kill(slot)
        self._schedule(self._rng.uniform(0.0, 0.8), lambda: self._restart_worker(slot))
        return True

    def _restart_worker(self, slot: Slot) -> None:
        if not slot.pid:
            self._targets.supervisor.start(slot)

    def _stop(self) -> bool:
        slot = self._victim()
        if slot is None:
            return False
        pid = slot.pid
        self._targets.supervisor.stop(slot)

        def resume() -> None:
            if slot.pid == pid:
                self._targets.supervisor.resume(slot)

        self._schedule(self._rng.uniform(LEASE + 0.5, LEASE + 4), resume)
        return True

    def _terminate(self) -> bool:
        slot = self._victim()
        if slot is None:
            return False
        pid = self._targets.supervisor.terminate(slot)
        self._ending.append((pid, steady() + STOP_TIMEOUT))
        self._schedule(self._rng.uniform(0.5, 1.5), lambda: self._restart_worker(slot))
        return True

    # ----------------------------------------------------------------------------- database

    def _break_database(self, name: str, seconds: float, begin: object, end: object) -> bool:
        """Break the whole database on a thread, unless it is broken already."""
        if self._broken:
            return False
        self._broken.add(name)

        def work() -> None:
            began = steady()
            try:
                begin()  # type: ignore[operator]
                _wait(seconds)
                end()  # type: ignore[operator]
            except Exception as error:  # noqa: BLE001 - any failure of the harness is reported
                self.tally.failures.append(f"{name}: {type(error).__name__}: {error}")
            finally:
                self.tally.outages.append((began, steady()))
                self._broken.discard(name)

        thread = threading.Thread(target=work, name=name, daemon=True)
        thread.start()
        self._threads.append(thread)
        return True

    def _restart(self) -> bool:
        database = self._targets.database
        if database.address is None:
            return False
        return self._break_database("restart", 0, database.restart, database.repair)

    def _crash(self) -> bool:
        database = self._targets.database
        if database.address is None:
            return False
        return self._break_database("crash", 1, database.crash, database.repair)

    def _fill_disk(self) -> bool:
        disk, database = self._targets.disk, self._targets.database
        if disk.trouble:
            return False

        def free() -> None:
            disk.free()
            database.repair()

        return self._break_database("full disk", self._rng.uniform(1, 3), disk.fill, free)

    def _block(self) -> bool:
        database, seconds = self._targets.database, self._rng.uniform(0.5, 3)
        if database.address is not None:
            return False
        return self._break_database("lock", 0, lambda: database.block(seconds), lambda: None)

    def _end_connection(self) -> bool:
        if self._broken:
            return False
        with suppress(Exception):
            return self._targets.database.end_connection(self._rng)
        return False

    # ------------------------------------------------------------------------------ network

    def _route(self) -> Route | None:
        return self._rng.choice(self._targets.routes) if self._targets.routes else None

    def _do(self, action: Callable[..., Coroutine[Any, Any, None]], *values: object) -> None:
        assert self._targets.proxy is not None
        self._targets.proxy.do(action, *values)

    def _drop(self) -> bool:
        route = self._route()
        if route is None:
            return False
        self._do(route.drop)
        return True

    def _refuse(self) -> bool:
        route = self._route()
        if route is None:
            return False
        self._do(route.refuse, True)
        self._schedule(self._rng.uniform(1, 8), lambda: self._do(route.refuse, False))
        return True

    def _swallow(self) -> bool:
        route = self._route()
        if route is None:
            return False
        self._do(route.swallow, True)
        late = self._rng.random() < 0.5

        def end() -> None:
            if not late:
                self._do(route.drop)
            self._do(route.swallow, False)

        self._schedule(self._rng.uniform(1, 9), end)
        return True

    def _cut(self) -> bool:
        route = self._route()
        if route is None:
            return False
        self._do(route.arm, self._rng.choice(["answered", "answered", "sent"]))
        return False  # the route counts it when it happens

    # -------------------------------------------------------------------------------- clock

    def _step_clock(self) -> bool:
        able = [slot for slot in self._targets.slots if slot.fakes != "none"]
        if not able:
            return False
        step = self._rng.choice([-3600.0, -30.0, -5.0, 5.0, 30.0, 3600.0])
        if self._targets.database.address is None:
            # Workers on one file share their machine's clock, which is also the database's.
            self._clock_offset += max(-10.0, min(step, 10.0))
            self._highest_offset = max(self._highest_offset, self._clock_offset)
            for slot in able:
                self._set_clock(slot, self._clock_offset)
        else:
            self._set_clock(self._rng.choice(able), step)
        return True

    def _set_clock(self, slot: Slot, seconds: float) -> None:
        draft = slot.clock.with_suffix(".draft")
        draft.write_text(f"{seconds:+.3f}\n")
        draft.replace(slot.clock)


KINDS: dict[str, tuple[float, Callable[[FaultInjector], bool]]] = {
    KILL: (100, FaultInjector._kill),
    STOP: (25, FaultInjector._stop),
    "SIGTERM of a worker": (8, FaultInjector._terminate),
    "server restarted": (3, FaultInjector._restart),
    "server process killed": (2, FaultInjector._crash),
    "disk full": (2, FaultInjector._fill_disk),
    "write lock held": (6, FaultInjector._block),
    "connection ended by the server": (12, FaultInjector._end_connection),
    "connections dropped": (8, FaultInjector._drop),
    "connections refused": (4, FaultInjector._refuse),
    "black hole": (6, FaultInjector._swallow),
    "connection cut at commit": (14, FaultInjector._cut),
    "clock stepped": (6, FaultInjector._step_clock),
}


def _wait(seconds: float) -> None:
    threading.Event().wait(seconds)

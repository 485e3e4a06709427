"""One run of chaos on one database: set up, rage, heal, drain, judge."""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import Engine, func, or_, select
from sqlalchemy.exc import SQLAlchemyError

from duly import DulyError, Scheduler, SystemClock
from duly.store import tables
from tests.chaos import audit, mariadb
from tests.chaos.clock import SteppedClock
from tests.chaos.evidence import Evidence
from tests.chaos.faults import Faults, World
from tests.chaos.figures import Figures
from tests.chaos.ground import DISK_MB, GROUNDS, Ground, SmallDisk, look
from tests.chaos.journal import read, steady
from tests.chaos.nursery import FAKETIME, Fake, Nursery, Slot
from tests.chaos.proxy import Proxy
from tests.chaos.pulse import Pulse
from tests.chaos.spells import Spells
from tests.chaos.work import TAG, TASKS, Work
from tests.support.session import session_folder
from tests.support.waiting import wait_until

CALM = 240.0
"""Seconds that the workers have, before the first fault, to come up and execute something."""

DRAIN = 240.0
CURRENT = timedelta(seconds=2.5)


@dataclass(frozen=True)
class Plan:
    """What is to be done.

    Attributes:
        database: one of `GROUNDS`.
        seconds: of faults.
        seed: of the faults.
        workers: processes.
        rate: faults a second.
        calls: enqueued a second.
        keep: whether the folder with all logs stays.
        faked: workers on a server whose clock libfaketime steps, where it is installed; it is slow.
    """

    database: str
    seconds: float = 150
    seed: int = 1
    workers: int = 8
    rate: float = 2.3
    calls: float = 4
    keep: bool = False
    faked: int = 2


def why_not(database: str) -> str:
    """Why chaos cannot happen on a database here; empty: it can."""
    return mariadb.why_not() if database == "mariadb" else ""


def run(plan: Plan, say: Callable[[str], None] = lambda _text: None) -> Figures:
    """Do it.

    Args:
        plan: see `Plan`.
        say: told what happens.
    """
    with ExitStack() as stack:
        folder = stack.enter_context(_folder(plan.keep))
        disk = SmallDisk(folder / "disk", DISK_MB[plan.database])
        stack.callback(disk.close)
        ground: Ground = GROUNDS[plan.database](folder / "disk")
        stack.callback(ground.close)
        engine = look(ground)
        stack.callback(engine.dispose)
        words = folder / "words"
        words.mkdir()
        world = _world(plan, words, ground, disk, stack)
        clock = SteppedClock(world.slots[0].clock) if ground.address is None else SystemClock()
        scheduler = Scheduler(ground.url(), heartbeat="fast", clock=clock)
        stack.callback(scheduler.store.dispose)
        work = Work(scheduler, ground.url(), None)
        scheduler.prepare()
        with scheduler.store.engine.begin() as conn:  # with Duly's column types
            audit.install(conn)
        for slot in world.slots:
            world.nursery.start(slot)
        faults = Faults(world, plan.seed, plan.rate)
        caller = Caller(work, plan.calls)
        say(f"{plan.database}: {plan.workers} workers, seed {plan.seed}, {folder}")
        with caller, Pulse(ground) as pulse:
            await_calm(engine)
            faults.rage(plan.seconds)
            faults.heal()
        faults.tally.outages += pulse.outages
        say(f"{plan.database}: healed after {sum(faults.tally.counts.values())} faults")
        healed = steady()
        drain(engine, scheduler, faults, world)
        took = steady() - healed
        evidence = _evidence(engine, world, faults, caller)
        if plan.keep:
            evidence.write(folder / "evidence.txt")
    return Figures(
        plan.database, plan.seed, plan.seconds, faults.tally.counts, _skipped(world), evidence, took
    )


def await_calm(engine: Engine) -> None:
    """Wait until every task has succeeded once.

    Raises:
        TimeoutError: it does not even work where nothing is broken.
    """
    done = select(tables.run.c.task).where(tables.run.c.state == "succeeded").distinct()

    def works() -> bool:
        with engine.connect() as conn:
            return set(conn.execute(done).scalars()) == TASKS

    wait_until(works, timeout=CALM, what="a success of every task before the first fault")


def drain(engine: Engine, scheduler: Scheduler, faults: Faults, world: World) -> None:
    """Wait until all workers work and every run is over; what does not come true is noted."""
    run, job = tables.run, tables.job
    beats: dict[str, datetime] = {}

    def it_answers() -> bool:
        world.ground.repair()
        with suppress(SQLAlchemyError):
            beats.update(_beats(engine))
            return True
        return False

    def all_beat() -> bool:
        faults.watch()
        awake = sum(beats.get(key) != value for key, value in _beats(engine).items())
        return awake >= len(world.slots)

    def nothing_is_overdue() -> bool:
        now = scheduler.store.time.now()
        with engine.connect() as conn:
            first = conn.execute(select(func.min(job.c.next_fire_at))).scalar_one()
        return bool(first > now - CURRENT)

    def nothing_lives() -> bool:
        live = or_(run.c.state.in_(("scheduled", "ready", "running")), run.c.occupied)
        with engine.connect() as conn:
            return conn.execute(select(run.c.id).where(live).limit(1)).first() is None

    def expect(check: Callable[[], bool], what: str) -> None:
        try:
            wait_until(check, timeout=DRAIN)
        except TimeoutError:
            faults.complain(f"not within {DRAIN:g} s of healing: {what}")

    expect(it_answers, "the database answers")
    expect(all_beat, "all workers beat again")
    expect(nothing_is_overdue, "every job's next fire is in the future")
    scheduler.pause(tag=TAG)
    expect(nothing_lives, "every run is over")


def _beats(engine: Engine) -> dict[str, datetime]:
    with engine.connect() as conn:
        return {row.id: row.beat_at for row in conn.execute(select(tables.worker))}


class Caller:
    """Enqueues calls all the time, past every lane, and remembers which were acknowledged.

    Args:
        work: whose task is called.
        rate: calls a second.
    """

    def __init__(self, work: Work, rate: float) -> None:
        self._work = work
        self._rate = rate
        self._halt = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self.acknowledged: dict[int, str] = {}
        self.tried = 0

    def __enter__(self) -> Caller:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._halt.set()
        self._thread.join(60)

    def _serve(self) -> None:
        while not self._halt.wait(1 / self._rate):
            self.tried += 1
            with suppress(DulyError):
                self.acknowledged[self.tried] = self._work.call.enqueue(n=self.tried)


def _world(plan: Plan, words: Path, ground: Ground, disk: SmallDisk, stack: ExitStack) -> World:
    proxy = None if ground.address is None else Proxy(ground.address)
    lanes = []
    if proxy is not None:
        stack.callback(proxy.close)
        lanes = [proxy.lane() for _ in range(plan.workers)]
    nursery = Nursery(words)
    stack.callback(nursery.close)
    slots = []
    for number in range(plan.workers):
        clock = words / f"{number}.clock"
        clock.write_text("+0\n")
        url = ground.url(lanes[number].port if lanes else None)
        slots.append(Slot(number, url, clock, _fake(ground, number < plan.faked)))
    return World(ground, nursery, slots, proxy, lanes, disk)


def _fake(ground: Ground, steps: bool) -> Fake:
    if ground.address is None:
        return "stepped"
    return "libfaketime" if steps and FAKETIME else "none"


def _evidence(engine: Engine, world: World, faults: Faults, caller: Caller) -> Evidence:
    evidence = Evidence(
        journal=read(world.nursery.folder),
        enqueued=caller.acknowledged,
        tried=caller.tried,
        blows=world.nursery.blows,
        outages=faults.tally.outages,
        troubles=_troubles(world),
        died=faults.tally.died,
        gap=time.time() - steady(),
    )
    evidence.read(engine)
    return evidence


def _troubles(world: World) -> list[list[Spells]]:
    ways = [[lane.spells] for lane in world.lanes] or [[] for _ in world.slots]
    return [[slot.spells, *way] for slot, way in zip(world.slots, ways, strict=True)]


def _skipped(world: World) -> list[str]:
    reasons = []
    if world.disk.trouble:
        reasons.append(f"disk full: {world.disk.trouble}")
    if all(slot.fakes == "none" for slot in world.slots):
        reasons.append("clock steps: no libfaketime (apt install faketime)")
    if world.proxy is None:
        reasons.append("network and server faults: SQLite has neither")
    return reasons


@contextmanager
def _folder(keep: bool) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="chaos-", dir=session_folder()))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)

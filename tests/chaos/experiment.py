"""One experiment on one database: set up, inject faults, heal, drain, and check."""

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
from tests.chaos import audit_log, mariadb
from tests.chaos.clock import SteppedClock
from tests.chaos.databases import DATABASES, DISK_MB, Database, SmallDisk, direct_engine
from tests.chaos.disturbances import Disturbances
from tests.chaos.fault_injector import FaultInjector, Targets
from tests.chaos.figures import Figures
from tests.chaos.journal import read, steady
from tests.chaos.load import load_named
from tests.chaos.outage_probe import OutageProbe
from tests.chaos.proxy import Proxy
from tests.chaos.records import Records
from tests.chaos.supervisor import FAKETIME, Fake, Slot, Supervisor
from tests.chaos.tasks import TASKS, Tasks
from tests.support.session import session_folder
from tests.support.waiting import wait_until

WARM_UP = 240.0
"""Seconds within which every task must have succeeded before the first fault."""

DRAIN = 240.0
"""Seconds within which each expectation must be met after healing."""

MAX_OVERDUE = timedelta(seconds=2.5)


@dataclass(frozen=True)
class Plan:
    """The plan of an experiment.

    Attributes:
        database: one of `DATABASES`.
        seconds: the duration of the faults.
        seed: the seed of the faults.
        workers: the number of worker processes.
        rate: the mean number of faults per second.
        calls: the number of calls enqueued per second.
        load: the module of an application's load; empty: none; see `tests.chaos.load`.
        keep: whether to keep the folder with all logs.
        faked: the number of workers on a server whose clock libfaketime steps, where it is
            installed; it makes them slow.
    """

    database: str
    seconds: float = 150
    seed: int = 1
    workers: int = 8
    rate: float = 2.3
    calls: float = 4
    load: str = ""
    keep: bool = False
    faked: int = 2


def reason_to_skip(database: str) -> str:
    """Return why a database cannot be tested here; empty if it can."""
    return mariadb.reason_to_skip() if database == "mariadb" else ""


def run(plan: Plan, report: Callable[[str], None] = lambda _text: None) -> Figures:
    """Run an experiment.

    Args:
        plan: what to do.
        report: called with a line of text as the experiment proceeds.

    Raises:
        TimeoutError: Duly does not work even without faults.
    """
    with ExitStack() as stack:
        folder = stack.enter_context(_folder(plan.keep))
        disk = SmallDisk(folder / "disk", DISK_MB[plan.database])
        stack.callback(disk.close)
        database: Database = DATABASES[plan.database](folder / "disk")
        stack.callback(database.close)
        engine = direct_engine(database)
        stack.callback(engine.dispose)
        journals = folder / "journals"
        journals.mkdir()
        targets = _targets(plan, journals, database, disk, stack)
        clock = SteppedClock(targets.slots[0].clock) if database.address is None else SystemClock()
        scheduler = Scheduler(database.url(), heartbeat="fast", clock=clock)
        stack.callback(scheduler.store.dispose)
        tasks = Tasks(scheduler, database.url(), None)
        scheduler.prepare()
        with scheduler.store.engine.begin() as conn:  # with Duly's column types
            audit_log.install(conn)
        load = load_named(plan.load)
        load.prepare(database.url())
        load.declare(scheduler, database.url())
        for slot in targets.slots:
            targets.supervisor.start(slot)
        faults = FaultInjector(targets, plan.seed, plan.rate)
        caller = Caller(tasks, plan.calls)
        report(f"{plan.database}: {plan.workers} workers, seed {plan.seed}, {folder}")
        with caller, OutageProbe(database) as outage_probe:
            warm_up(engine)
            faults.inject(plan.seconds)
            faults.heal()
        faults.tally.outages += outage_probe.outages
        report(f"{plan.database}: healed after {sum(faults.tally.counts.values())} faults")
        healed = steady()
        drain(engine, scheduler, faults, targets)
        drained_in = steady() - healed
        records = _read_records(engine, targets, faults, caller)
        records.found_by_load = list(load.check(database.url()))
        if plan.keep:
            records.write(folder / "records.txt")
    return Figures(
        plan.database,
        plan.seed,
        plan.seconds,
        faults.tally.counts,
        _skipped(targets),
        records,
        drained_in,
    )


def warm_up(engine: Engine) -> None:
    """Wait until every task of the experiment and every job of its load has succeeded once.

    Raises:
        TimeoutError: that takes longer than `WARM_UP`.
    """
    done = select(tables.run.c.task).where(tables.run.c.state == "succeeded").distinct()

    def works() -> bool:
        with engine.connect() as conn:
            wanted = TASKS | set(conn.execute(select(tables.job.c.task)).scalars())
            return wanted <= set(conn.execute(done).scalars())

    wait_until(works, timeout=WARM_UP, what="a success of every task before the first fault")


def drain(engine: Engine, scheduler: Scheduler, faults: FaultInjector, targets: Targets) -> None:
    """Wait until all workers beat and every run has ended; report what does not happen."""
    run, job = tables.run, tables.job
    beats: dict[str, datetime] = {}

    def database_answers() -> bool:
        targets.database.repair()
        with suppress(SQLAlchemyError):
            beats.update(_beats(engine))
            return True
        return False

    def all_beat() -> bool:
        faults.watch()
        awake = sum(beats.get(key) != value for key, value in _beats(engine).items())
        return awake >= len(targets.slots)

    def nothing_is_overdue() -> bool:
        now = scheduler.store.time.now()
        with engine.connect() as conn:
            first = conn.execute(select(func.min(job.c.next_fire_at))).scalar_one()
        return bool(first > now - MAX_OVERDUE)

    def all_runs_ended() -> bool:
        live = or_(run.c.state.in_(("scheduled", "ready", "running")), run.c.occupied)
        with engine.connect() as conn:
            return conn.execute(select(run.c.id).where(live).limit(1)).first() is None

    def expect(check: Callable[[], bool], what: str) -> None:
        try:
            wait_until(check, timeout=DRAIN)
        except TimeoutError:
            faults.report(f"not within {DRAIN:g} s of healing: {what}")

    expect(database_answers, "the database answers")
    expect(all_beat, "all workers beat again")
    expect(nothing_is_overdue, "every job's next fire is in the future")
    for record in scheduler.jobs(limit=1000):
        scheduler.pause(record.id)
    expect(all_runs_ended, "every run has ended")


def _beats(engine: Engine) -> dict[str, datetime]:
    with engine.connect() as conn:
        return {row.id: row.beat_at for row in conn.execute(select(tables.worker))}


class Caller:
    """Enqueues calls all the time, directly at the database, and keeps what was acknowledged.

    Args:
        tasks: declares the task that is called.
        rate: the number of calls per second.
    """

    def __init__(self, tasks: Tasks, rate: float) -> None:
        self._tasks = tasks
        self._rate = rate
        self._halt = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self.acknowledged: dict[int, str] = {}
        self.requested = 0

    def __enter__(self) -> Caller:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._halt.set()
        self._thread.join(60)

    def _serve(self) -> None:
        while not self._halt.wait(1 / self._rate):
            self.requested += 1
            with suppress(DulyError):
                self.acknowledged[self.requested] = self._tasks.call.enqueue(n=self.requested)


def _targets(
    plan: Plan, journals: Path, database: Database, disk: SmallDisk, stack: ExitStack
) -> Targets:
    proxy = None if database.address is None else Proxy(database.address)
    routes = []
    if proxy is not None:
        stack.callback(proxy.close)
        routes = [proxy.route() for _ in range(plan.workers)]
    supervisor = Supervisor(journals, plan.load)
    stack.callback(supervisor.close)
    slots = []
    for number in range(plan.workers):
        clock = journals / f"{number}.clock"
        clock.write_text("+0\n")
        url = database.url(routes[number].port if routes else None)
        slots.append(Slot(number, url, clock, _fake(database, number < plan.faked)))
    return Targets(database, supervisor, slots, proxy, routes, disk)


def _fake(database: Database, steps: bool) -> Fake:
    if database.address is None:
        return "stepped"
    return "libfaketime" if steps and FAKETIME else "none"


def _read_records(
    engine: Engine, targets: Targets, faults: FaultInjector, caller: Caller
) -> Records:
    records = Records(
        journal=read(targets.supervisor.folder),
        enqueued=caller.acknowledged,
        requested=caller.requested,
        interruptions=targets.supervisor.interruptions,
        outages=faults.tally.outages,
        disturbances=_disturbances(targets),
        failures=faults.tally.failures,
        wall_clock_offset=time.time() - steady(),
    )
    records.read(engine)
    return records


def _disturbances(targets: Targets) -> list[list[Disturbances]]:
    ways = [[route.disturbances] for route in targets.routes] or [[] for _ in targets.slots]
    return [[slot.disturbances, *way] for slot, way in zip(targets.slots, ways, strict=True)]


def _skipped(targets: Targets) -> list[str]:
    reasons = []
    if targets.disk.trouble:
        reasons.append(f"disk full: {targets.disk.trouble}")
    if all(slot.fakes == "none" for slot in targets.slots):
        reasons.append("clock steps: no libfaketime (apt install faketime)")
    if targets.proxy is None:
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

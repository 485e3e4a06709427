"""``make chaos ARGS="--celery"``: two Celery workers, while all that lies between them breaks."""

from __future__ import annotations

import json
import os
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from celery import Celery
from sqlalchemy import Engine, create_engine, text

from duly import Retry, Scheduler
from duly.hooks import HandOff
from duly.model.policy import CRASH_LIMIT
from tests.chaos.proxy import Proxy, Route
from tests.support.brokers import Broker, why_not
from tests.support.postgresql import Databases, shared_server
from tests.support.processes import Child, Children
from tests.support.waiting import wait_until

APP = "tests.chaos.celery_app"
LEASE = 5.0
"""The lease of the fast profile, which the application uses."""

AWAY, FROZEN = 1.5, LEASE + 1.5
"""Seconds for which the broker is away, and for which a worker is frozen."""

HEALING = 180.0
"""Seconds that the runs have to end once nothing breaks any more."""


@dataclass
class CeleryPlan:
    """What to do.

    Attributes:
        broker: ``redis`` or ``rabbitmq``.
        runs: the number of runs.
        each: how often each fault happens at least.
        seed: the seed of their order.
    """

    broker: str
    runs: int = 2_000
    each: int = 10
    seed: int = 1


@dataclass
class CeleryFigures:
    """What happened.

    Attributes:
        faults: the number of faults, by kind.
        states: the number of runs, by state.
        seconds: how long it took.
        rescued: the attempts that ended because their worker died.
        late: late completions that were refused.
        broken: what must not happen, but did.
    """

    plan: CeleryPlan
    faults: Counter[str] = field(default_factory=Counter)
    states: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    rescued: int = 0
    late: int = 0
    broken: list[str] = field(default_factory=list)

    def lines(self) -> Iterator[str]:
        """Describe it."""
        yield f"celery on {self.plan.broker} (seed {self.plan.seed}): {self.seconds:.0f} s"
        yield f"  runs: {_counts(self.states)}"
        yield f"  faults: {_counts(self.faults)}"
        yield f"  attempts whose worker died: {self.rescued}; late completions refused: {self.late}"
        yield f"  violations: {len(self.broken)}"
        yield from (f"    {line}" for line in self.broken[:20])


def reason_to_skip_celery(broker: str) -> str | None:
    """Return why the experiment cannot run on this broker."""
    return why_not(broker)


def run_celery(plan: CeleryPlan, say: Callable[[str], None] = lambda _line: None) -> CeleryFigures:
    """Run the experiment, and clean up."""
    server = shared_server()
    databases = Databases(server, f"chaos_celery_{os.getpid()}")
    name = databases.create()
    broker, proxy = Broker(plan.broker), None
    try:
        proxy = Proxy(broker.address)
        with tempfile.TemporaryDirectory() as folder, Children(Path(folder)) as children:
            experiment = _Experiment(plan, server.url(name), broker, proxy, children)
            try:
                return experiment.run(say)
            finally:
                experiment.close()
    finally:
        if proxy is not None:
            proxy.close()
        broker.close()
        databases.drop(name)
        databases.close()


class _Experiment:
    def __init__(
        self, plan: CeleryPlan, url: str, broker: Broker, proxy: Proxy, children: Children
    ) -> None:
        self._plan = plan
        self._random = random.Random(plan.seed)
        self._proxy = proxy
        self._children = children
        self._broker = broker
        self._routes: list[Route] = [proxy.route() for _ in range(3)]
        self._env = {**broker.env, "DULY_URL": url}
        self._figures = CeleryFigures(plan)
        self._scheduler = Scheduler(url, heartbeat="fast")
        self._scheduler.task(name="work", retry=Retry(attempts=3, wait=0))(_work)
        self._engine: Engine = create_engine(url)
        self._sender = Celery(broker=broker.url)
        prefix = {"global_keyprefix": f"{broker.queue}-"}
        self._sender.conf.broker_transport_options = prefix
        self._seen: list[HandOff] = []
        self._celery: dict[int, Child] = {}
        self._duly: Child | None = None

    def run(self, say: Callable[[str], None]) -> CeleryFigures:
        began = time.monotonic()
        self._scheduler.prepare()
        with self._engine.begin() as conn:
            conn.execute(text(
                "create table effect (run_id varchar(36), attempt integer, number integer,"
                " at timestamptz)"
            ))  # fmt: skip
        self._start_duly()
        for number in (0, 1):
            self._start_celery(number)
        faults = self._order()
        step = max(1, self._plan.runs // (len(faults) + 1))
        numbers = iter(range(self._plan.runs))
        for index, fault in enumerate(faults):
            self._enqueue(numbers, step)
            say(f"{time.monotonic() - began:5.0f} s  {index + 1}/{len(faults)} {fault.__name__}")
            fault()
        self._enqueue(numbers, self._plan.runs)
        wait_until(self._all_ended, timeout=HEALING, what="the end of all runs")
        self._figures.seconds = time.monotonic() - began
        self._check()
        return self._figures

    def close(self) -> None:
        self._scheduler.store.dispose()
        self._engine.dispose()
        self._sender.close()

    def _order(self) -> list[Callable[[], None]]:
        kinds = [
            self.kill_celery, self.restart_broker, self.kill_duly, self.double_a_message,
            self.delay_a_message, self.freeze_celery,
        ]  # fmt: skip
        faults = kinds * self._plan.each
        self._random.shuffle(faults)
        return faults

    # ------------------------------------------------------------------------------ faults

    def kill_celery(self) -> None:
        """Kill a Celery worker, with all its processes, while it executes something."""
        wait_until(lambda: self._running() > 0, timeout=60, what="a running run")
        number = self._random.choice(sorted(self._celery))
        self._celery.pop(number).kill()
        self._start_celery(number)
        self._figures.faults["celery worker killed"] += 1

    def restart_broker(self) -> None:
        """Cut all connections to the broker, and refuse new ones for a while."""
        for route in self._routes:
            self._proxy.do(route.refuse, True)
        time.sleep(AWAY)
        for route in self._routes:
            self._proxy.do(route.refuse, False)
        self._figures.faults["broker restarted"] += 1

    def kill_duly(self) -> None:
        """Kill the only process that decides."""
        assert self._duly is not None
        self._duly.kill()
        self._start_duly()
        self._figures.faults["duly process killed"] += 1

    def double_a_message(self) -> None:
        """Send messages once more: of runs that wait in the broker, or that have started."""
        wait_until(self._look, timeout=60, what="a hand-off")
        self._send(self._look() or self._seen[-3:])
        self._figures.faults["message doubled"] += 1

    def delay_a_message(self) -> None:
        """Let copies of messages arrive when the lease of whoever executes them is long over."""
        wait_until(self._look, timeout=60, what="a hand-off")
        self._send(self._look() or self._seen[-3:], countdown=LEASE + 2)
        self._figures.faults["message delayed beyond the lease"] += 1

    def freeze_celery(self) -> None:
        """Freeze a Celery worker beyond its lease: then it reports results that are too late."""
        wait_until(lambda: self._running() > 0, timeout=60, what="a running run")
        child = self._random.choice(list(self._celery.values()))
        child.freeze()
        time.sleep(FROZEN)
        child.thaw()
        self._figures.faults["celery worker frozen"] += 1

    def _look(self) -> list[HandOff]:
        """Return some of the runs that are handed off now, and remember them."""
        statement = text("select run_id, token from duly_hand_off order by random() limit 5")
        with self._engine.connect() as conn:
            found = [HandOff(row.run_id, row.token, None) for row in conn.execute(statement)]
        self._seen += found
        return found

    def _send(self, messages: list[HandOff], countdown: float = 0) -> None:
        for message in messages:
            self._sender.send_task(
                "duly.default.execute", (str(message.run_id), message.token),
                queue=self._broker.queue, countdown=countdown,
            )  # fmt: skip

    # ------------------------------------------------------------------------------ processes

    def _start_celery(self, number: int) -> None:
        route = self._routes[number]
        self._celery[number] = self._children.python(
            "-m", "celery", "--app", APP, "worker", "--queues", self._broker.queue,
            "--concurrency", "2", "--hostname", f"w{number}@chaos", "--loglevel", "WARNING",
            "--without-gossip", "--without-mingle", "--without-heartbeat",
            env={**self._env, "BROKER": self._broker.through(route.port)},
        )  # fmt: skip

    def _start_duly(self) -> None:
        port = self._routes[2].port
        self._duly = self._children.python(
            "-m", APP, env={**self._env, "BROKER": self._broker.through(port)}
        )
        self._duly.wait_for("started")

    # ------------------------------------------------------------------------------ runs

    def _enqueue(self, numbers: Iterator[int], limit: int) -> None:
        calls = [{"number": number} for number in islice(numbers, limit)]
        if calls:
            self._scheduler.enqueue_many("work", calls)

    def _running(self) -> int:
        with self._engine.connect() as conn:
            statement = text("select count(*) from duly_run where state = 'running'")
            return int(conn.execute(statement).scalar() or 0)

    def _all_ended(self) -> bool:
        with self._engine.connect() as conn:
            live = text("select count(*) from duly_run where finished_at is null")
            return conn.execute(live).scalar() == 0

    def _check(self) -> None:
        broken = self._figures.broken
        with self._engine.connect() as conn:
            runs = conn.execute(text("select * from duly_run")).all()
            history = conn.execute(text("select * from duly_attempt")).all()
            effects = conn.execute(text("select run_id, attempt from effect")).all()
            late = text("select count(*) from duly_event where kind = 'run.late_completion'")
            self._figures.late = int(conn.execute(late).scalar() or 0)
            if left := conn.execute(text("select count(*) from duly_hand_off")).scalar():
                broken.append(f"{left} hand-offs are left")
        attempts: dict[str, list[int]] = {}
        for each in history:
            attempts.setdefault(each.run_id, []).append(each.attempt)
            self._figures.rescued += each.error_type == "WorkerLost"
        doubled = [key for key, n in Counter(map(tuple, effects)).items() if n > 1]
        broken += [f"run {key[0]}: attempt {key[1]} was executed twice" for key in doubled]
        if len(runs) != self._plan.runs:
            broken.append(f"{self._plan.runs - len(runs)} runs are lost")
        effective = {(row.run_id, row.attempt) for row in effects}
        for row in runs:
            self._figures.states[row.state] += 1
            executed = (str(row.id), row.attempt) in effective
            found = _violations(row, sorted(attempts.get(row.id, [])), executed=executed)
            broken += [f"run {row.id} {what}" for what in found]


def _violations(row: Any, history: list[int], *, executed: bool) -> Iterator[str]:
    """Yield what is wrong with a run.

    Args:
        row: its row.
        history: the attempts in its history, which are those that were not successful.
        executed: whether the attempt that ended it has left its effect.
    """
    expected = list(range(1, row.attempt + (row.state == "failed")))
    if history != expected:
        yield f"has the attempts {history} in its history, not {expected}"
    if row.occupied:
        yield "still occupies its slot"
    if row.state == "succeeded":
        if json.loads(row.result)["attempt"] != row.attempt:
            yield f"has the result of another attempt than {row.attempt}: {row.result}"
        if not executed:
            yield "succeeded without having been executed"
    elif row.state != "failed" or row.crashes < CRASH_LIMIT:
        yield f"is {row.state} ({row.error_type}: {row.error_message})"


def _work(number: int) -> None:
    """The application's task, declared with the same arguments."""


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{number} {what}" for what, number in sorted(counter.items()))

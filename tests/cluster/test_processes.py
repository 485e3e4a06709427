"""Several processes on one database: nothing is duplicated or lost, even after kill -9."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, text

from duly import Scheduler, at, every, prepare_engine
from tests.support.processes import Child, Children
from tests.support.waiting import wait_until

WORKER = Path(__file__).with_name("worker.py")
ITEMS = 1000
SEEN = 100


@pytest.fixture
def host(prepared_database_url: str) -> Iterator[Engine]:
    """The application's own tables beside Duly's."""
    engine = prepare_engine(create_engine(prepared_database_url))
    with engine.begin() as conn:
        conn.execute(text("create table item (id integer primary key, done integer not null)"))
        conn.execute(text("create table notice (item_id integer not null)"))
        conn.execute(text("create table stamp (n integer not null, pid integer not null)"))
    yield engine
    engine.dispose()


@pytest.fixture
def scheduler(prepared_database_url: str) -> Iterator[Scheduler]:
    """A scheduler that reads the database and executes nothing."""
    made = Scheduler(prepared_database_url, heartbeat="fast")
    made.task(name="notify")(lambda: None)
    made.task(name="stamp")(stamp)
    yield made
    made.store.dispose()


def stamp(n: int) -> None:
    """The workers' task, declared with the same signature."""


def start(children: Children, url: str, count: int, heartbeat: str = "fast") -> list[Child]:
    """Start worker processes; with a normal heartbeat even slow ones keep their lease."""
    made = [children.python(WORKER, url, heartbeat) for _ in range(count)]
    for child in made:
        child.wait_for("started")
    return made


def add_items(host: Engine) -> None:
    """Insert a thousand items that are due."""
    with host.begin() as conn:
        rows = [{"id": n} for n in range(ITEMS)]
        conn.execute(text("insert into item values (:id, 0)"), rows)


def notices(host: Engine) -> list[int]:
    """The ids of the noticed items, once per notice."""
    with host.connect() as conn:
        return list(conn.execute(text("select item_id from notice")).scalars())


def test_two_processes_notice_each_of_1000_items_once(
    prepared_database_url: str, host: Engine, children: Children
) -> None:
    """1,000 due items and two processes make 1,000 notices and no duplicate."""
    start(children, prepared_database_url, 2)
    add_items(host)
    wait_until(lambda: len(notices(host)) >= ITEMS)
    assert sorted(notices(host)) == list(range(ITEMS))


def test_a_process_killed_at_work_neither_loses_nor_duplicates_a_notice(
    prepared_database_url: str, host: Engine, children: Children, scheduler: Scheduler
) -> None:
    """After kill -9 of the working process the other one finishes, with 1,000 notices in all."""
    workers = start(children, prepared_database_url, 2)
    add_items(host)
    wait_until(lambda: len(notices(host)) >= SEEN)
    pids = {record.id: record.pid for record in scheduler.workers()}
    busy = [pids.get(run.worker_id or "") for run in scheduler.runs(job="notify", state="running")]
    victim = next((worker for worker in workers if worker.pid in busy), workers[0])
    victim.kill()
    wait_until(lambda: len(notices(host)) >= ITEMS)
    assert sorted(notices(host)) == list(range(ITEMS))


def test_enqueued_calls_are_executed_once_over_three_processes(
    prepared_database_url: str, host: Engine, children: Children, scheduler: Scheduler
) -> None:
    """300 calls and three processes that stay alive: each call runs exactly once."""
    start(children, prepared_database_url, 3, "normal")
    for n in range(300):
        scheduler.enqueue("stamp", n=n)
    wait_until(lambda: scheduler.status().live.get("ready", 0) == 0)
    wait_until(lambda: len(stamps(host)) >= 300)
    assert Counter(n for n, _pid in stamps(host)) == Counter(range(300))


def test_a_killed_workers_calls_run_again_elsewhere(
    prepared_database_url: str, host: Engine, children: Children, scheduler: Scheduler
) -> None:
    """After kill -9 every call is still executed, and the crash is recorded (promise 2)."""
    victim, _survivor = start(children, prepared_database_url, 2)
    for n in range(200):
        scheduler.enqueue("stamp", n=n)
    wait_until(lambda: len(stamps(host)) >= 20)
    victim.kill()
    wait_until(lambda: set(range(200)) <= {n for n, _pid in stamps(host)})
    wait_until(lambda: scheduler.status().live == {})
    assert {run.state for run in scheduler.runs(task="stamp", limit=1000)} == {"succeeded"}
    repeated = sum(count - 1 for count in Counter(n for n, _pid in stamps(host)).values())
    again = [run for run in scheduler.runs(task="stamp", limit=1000) if run.crashes]
    assert repeated <= len(again)


def stamps(host: Engine) -> list[tuple[int, int]]:
    """The calls that were executed, with the process of each."""
    with host.connect() as conn:
        return [(row.n, row.pid) for row in conn.execute(text("select n, pid from stamp"))]


def test_five_processes_decide_each_time_once(
    prepared_postgresql_url: str, children: Children
) -> None:
    """Five processes that fire the same jobs decide each nominal time once (promise 1)."""
    engine = create_engine(prepared_postgresql_url)
    with engine.begin() as conn:
        conn.execute(text("create table item (id integer primary key, done integer not null)"))
        conn.execute(text("create table notice (item_id integer not null)"))
    look = Scheduler(prepared_postgresql_url)
    look.task(name="stamp")(stamp)
    with engine.begin() as conn:
        conn.execute(text("create table stamp (n integer not null, pid integer not null)"))
    for n in range(40):
        look.add("stamp", every(seconds=1), id=f"s{n}", args={"n": n})
    start(children, prepared_postgresql_url, 5, "normal")
    wait_until(lambda: len(look.runs(job="s39", state="succeeded")) >= 3)
    for n in range(0, 40, 7):
        runs, gaps = look.runs(job=f"s{n}", limit=1000), look.missed(f"s{n}")
        nominal = {run.scheduled_for for run in runs if run.scheduled_for is not None}
        assert len(nominal) == len(runs)
        first = min([*nominal, *(gap.first for gap in gaps)])
        last = max([*nominal, *(gap.last for gap in gaps)])
        decided = len(nominal) + sum(gap.count for gap in gaps)
        assert decided == (last - first).total_seconds() + 1
    look.store.dispose()
    engine.dispose()


def test_two_hundred_jobs_due_in_the_same_second_make_two_hundred_runs(
    prepared_database_url: str, host: Engine, children: Children, scheduler: Scheduler
) -> None:
    """With five processes on a server or three on a file, each job runs exactly once."""
    count = 3 if host.dialect.name == "sqlite" else 5
    start(children, prepared_database_url, count, "normal")
    moment = scheduler.store.time.now().replace(microsecond=0) + timedelta(seconds=3)
    for n in range(200):
        scheduler.add("stamp", at(moment), id=f"once {n}", args={"n": n})
    wait_until(lambda: len(stamps(host)) >= 200)
    wait_until(lambda: scheduler.status().live == {})
    runs = scheduler.runs(task="stamp", limit=1000)
    assert Counter(run.job_id for run in runs) == Counter(f"once {n}" for n in range(200))
    assert {(run.state, run.attempt, run.scheduled_for) for run in runs} == {
        ("succeeded", 1, moment)
    }
    assert Counter(n for n, _pid in stamps(host)) == Counter(range(200))

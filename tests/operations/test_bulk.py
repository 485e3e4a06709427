"""Many jobs or calls at once: in one transaction, all or nothing, else as one by one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from duly import Event, Retry, Scheduler, VirtualClock, at, cron, every, prepare_engine, weekends
from duly.errors import (
    ArgumentsError,
    ConfigurationError,
    DependencyError,
    DuplicateJob,
    UnknownOption,
    UnknownTask,
)
from tests.operations.conftest import START, Make, after, with_tasks
from tests.store.conftest import at_once


def many(count: int, **said: Any) -> list[dict[str, Any]]:
    """Jobs ``j0``, ``j1``, … every minute."""
    trigger = every(minutes=1)
    return [
        {"task": "work", "trigger": trigger, "id": f"j{n}", "args": {"n": n}} | said
        for n in range(count)
    ]


@pytest.fixture
def host(scheduler: Scheduler) -> Iterator[Engine]:
    """The host application's own engine on the same database."""
    scheduler.prepare()
    engine = prepare_engine(create_engine(scheduler.store.url))
    yield engine
    engine.dispose()


@pytest.fixture
def statements(scheduler: Scheduler) -> list[str]:
    """What is said to the scheduler's database about Duly's tables."""
    scheduler.prepare()
    seen: list[str] = []

    @event.listens_for(scheduler.store.engine, "before_cursor_execute")
    def note(_conn: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if "duly_" in statement:
            seen.append(statement)

    return seen


# ------------------------------------------------------------------------------------ jobs


def test_many_jobs_are_stored_as_each_would_be_alone(scheduler: Scheduler) -> None:
    """Whatever add takes; ids come back in the order of the jobs."""
    said: list[dict[str, Any]] = [
        {"task": "work", "trigger": every(minutes=5), "id": "z", "args": {"n": 7}},
        {"task": "work", "trigger": cron("0 9 * * 1-5", tz="Europe/Madrid"), "id": "y",
         "misfire_grace": 60, "retry": Retry(5), "queue": "mail"},
        {"task": "fail", "trigger": at(after(3600)), "id": "x", "retry": {"attempts": 2}},
        {"task": "fail", "trigger": at(after(-3600)), "id": "w"},
        {"task": "work", "trigger": every(hours=1).excluding(weekends()), "id": "v"},
        {"task": "work", "after": ["z"], "on": "always", "id": "u"},
    ]  # fmt: skip
    said = [one | {"tags": ["b", "a", one["id"]]} for one in said]
    assert scheduler.add_many(said, actor="ana") == ["z", "y", "x", "w", "v", "u"]
    together = [scheduler.job(one["id"]) for one in said]
    assert scheduler.remove(tag="a") == len(said)
    alone = [scheduler.add(one.pop("task"), one.pop("trigger", None), **one) for one in said]
    assert [told(job) for job in together] == [told(job) for job in alone]
    assert {held.actor for held in scheduler.events(kind="job.added")} == {"ana", None}


def told(job: Any) -> dict[str, Any]:
    """All of a job that two have in common which were added alike."""
    return {name: getattr(job, name) for name in job.__slots__ if name not in ("uid", "last_run")}


def test_jobs_without_ids_get_some(scheduler: Scheduler) -> None:
    """Each its own."""
    ids = scheduler.add_many([{"task": "work", "trigger": every(hours=1)} for _ in range(3)])
    assert sorted(ids) == [job.id for job in scheduler.jobs()]
    assert len(set(ids)) == 3


def test_no_jobs_and_no_calls_are_nothing(scheduler: Scheduler) -> None:
    """An empty list is no error."""
    assert scheduler.add_many([]) == []
    assert scheduler.enqueue_many("work", []) == []
    assert (scheduler.jobs(), scheduler.runs(), scheduler.events()) == ([], [], [])


def test_added_jobs_are_recorded_and_announced(scheduler: Scheduler) -> None:
    """One event for each, as when they are added one by one."""
    heard: list[Event] = []
    scheduler.on("job.added", heard.append)
    scheduler.add_many(many(3), actor="ana")
    recorded = scheduler.events(kind="job.added")
    assert [(held.job_id, held.actor) for held in heard] == [(f"j{n}", "ana") for n in range(3)]
    assert [held.job_id for held in recorded] == ["j0", "j1", "j2"]
    assert recorded[0].detail == {"origin": "api"}


def test_many_jobs_are_few_statements(scheduler: Scheduler, statements: list[str]) -> None:
    """A thousand jobs with tags take hardly more than one job does; SQLite's have a bound."""
    scheduler.add_many(many(1, tags=["t"]))
    one = len(statements)
    scheduler.add_many([{**job, "id": f"k{n}"} for n, job in enumerate(many(1000, tags=["t"]))])
    assert len(statements) - one <= 2 * one
    assert len(scheduler.jobs(tag="t", limit=1000)) == 1000


def test_added_jobs_fire(scheduler: Scheduler, clock: VirtualClock) -> None:
    """The scheduler knows nothing of how they came."""
    scheduler.add_many(many(5))
    clock.advance(60)
    scheduler.tick()
    assert sorted(run.result for run in scheduler.runs(state="succeeded")) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({"args": {"m": 1}}, ArgumentsError, r"^jobs\[2\] \('bad'\): arguments of task 'work'"),
        ({"task": "wrok"}, UnknownTask, r"^jobs\[2\] \('bad'\): no task .* did you mean 'work'"),
        ({"prority": 1}, UnknownOption, r"^jobs\[2\] \('bad'\): .*'prority'"),
        ({"priority": "x"}, ConfigurationError, r"^jobs\[2\] \('bad'\): .*priority"),
        ({"trigger": None}, ConfigurationError, r"^jobs\[2\] \('bad'\): give a trigger"),
        ({"tags": "t"}, ConfigurationError, r"^jobs\[2\] \('bad'\): tags is the string"),
        ({"id": "\x00"}, ConfigurationError, r"^jobs\[2\] \('.x00'\): job id"),
        ({"id": "j0"}, ConfigurationError, r"^jobs\[0\] \('j0'\): jobs\[2\] has the same id"),
        ({"session": 1}, UnknownOption, r"^jobs\[2\] \('bad'\): .*'session'"),
    ],
    ids=["args", "task", "option", "value", "trigger", "tags", "id", "twice", "session"],
)  # fmt: skip
def test_one_bad_job_is_named_and_nothing_is_stored(
    scheduler: Scheduler, wrong: dict[str, Any], error: type[Exception], message: str
) -> None:
    """The error is that of add, and says first which of them it is about."""
    with pytest.raises(error, match=message) as caught:
        scheduler.add_many([*many(2), many(1)[0] | {"id": "bad"} | wrong, *many(4)[3:]])
    assert type(caught.value) is error
    assert (scheduler.jobs(), scheduler.events()) == ([], [])


@pytest.mark.parametrize("wrong", ["j0", ("work", every(hours=1)), {"trigger": every(hours=1)}])
def test_what_is_no_job_is_refused(scheduler: Scheduler, wrong: Any) -> None:
    """And the error says how a job is given."""
    with pytest.raises(ConfigurationError, match=r'jobs\[1\].*"task"'):
        scheduler.add_many([many(1)[0], wrong])


def test_a_taken_id_is_refused_and_named(scheduler: Scheduler) -> None:
    """The first one in the list; nothing is stored, and what was there stays as it was."""
    before = scheduler.add_many([many(4)[3], many(2)[1]])
    with pytest.raises(DuplicateJob, match=r"^jobs\[1\] \('j1'\): .* pass replace=True") as caught:
        scheduler.add_many(many(5, args={"n": 100}))
    assert caught.value.job_id == "j1"
    assert {job.id for job in scheduler.jobs()} == set(before)
    assert {job.args["n"] for job in scheduler.jobs()} == {1, 3}


def test_a_session_that_goes_on_after_a_refusal_keeps_nothing_of_the_list(
    scheduler: Scheduler, host: Engine
) -> None:
    """The caller catches the error and commits what else it has done."""
    with_tasks(scheduler)
    scheduler.add("work", every(minutes=1), id="j1", args={"n": 1})
    with Session(host) as session, session.begin():  # noqa: SIM117 - it goes on
        with pytest.raises(DuplicateJob, match=r"jobs\[1\] \('j1'\)"):
            scheduler.add_many(many(3, tags=["new"]), session=session)
    assert [job.id for job in scheduler.jobs()] == ["j1"]
    assert [job.id for job in scheduler.jobs(tag="new")] == []


def test_replacing_changes_what_is_there(scheduler: Scheduler, clock: VirtualClock) -> None:
    """An unchanged trigger keeps its next fire, and what does not differ is not touched."""
    scheduler.add_many(many(4))
    clock.advance(30)
    changed = [job | ({"args": {"n": 9}, "tags": ["t"]} if n % 2 else {}) for n, job in
               enumerate(many(6))]  # fmt: skip
    assert scheduler.add_many(changed, replace=True) == [f"j{n}" for n in range(6)]
    held = [scheduler.job(f"j{n}") for n in range(6)]
    assert [job.revision for job in held] == [1, 2, 1, 2, 1, 1]
    assert [job.args["n"] for job in held] == [0, 9, 2, 9, 4, 9]
    assert [job.next_fire_at for job in held] == [after(60)] * 4 + [after(90)] * 2
    assert [one.job_id for one in scheduler.events(kind="job.changed")] == ["j1", "j3"]


def test_jobs_of_one_list_may_run_after_each_other(scheduler: Scheduler) -> None:
    """In any order; a circle and an unknown parent are refused."""
    family: list[dict[str, Any]] = [
        {"task": "work", "after": ["b"], "id": "c"},
        {"task": "work", "after": ["a"], "id": "b"},
        {"task": "work", "trigger": every(minutes=1), "id": "a"},
    ]
    scheduler.add_many([*family, *many(3)])
    assert scheduler.job("c").after == ("b",)
    with pytest.raises(DependencyError, match="'d' runs after 'nobody', but no such job"):
        scheduler.add_many([{"task": "work", "after": ["nobody"], "id": "d"}, *many(9)[5:]])
    turned = {"task": "work", "after": ["c"], "id": "a"}
    with pytest.raises(DependencyError):
        scheduler.add_many([turned], replace=True)
    freed = {"task": "work", "trigger": every(minutes=1), "id": "b"}
    scheduler.add_many([freed, turned], replace=True)
    assert scheduler.job("a").after == ("c",)
    assert len(scheduler.jobs()) == 6


def test_racing_lists_are_stored_by_one(make: Make) -> None:
    """Several processes add the same jobs in different orders: none waits for ever, one wins."""
    schedulers = [with_tasks(make()) for _ in range(4)]
    schedulers[0].prepare()

    def add(number: int) -> bool:
        said = many(40)[:: 1 if number % 2 else -1]
        try:
            schedulers[number].add_many(said)
        except DuplicateJob:
            return False
        return True

    assert sorted(at_once(*(lambda n=n: add(n) for n in range(4)))) == [False] * 3 + [True]
    assert len(schedulers[0].events(kind="job.added")) == 40


# ----------------------------------------------------------------------------------- calls


def test_many_calls_are_made_in_order(scheduler: Scheduler) -> None:
    """The ids come back in the order of the calls, and rise; each run has its arguments."""
    ids = scheduler.enqueue_many("work", ({"n": n} for n in range(5)), actor="ana")
    assert ids == sorted(set(ids))
    scheduler.tick()
    found = [scheduler.run(run_id) for run_id in ids]
    assert [run.result for run in found] == [0, 1, 2, 3, 4]
    assert {(run.cause, run.actor, run.job_id) for run in found} == {("enqueue", "ana", None)}


def test_options_hold_for_all_calls(scheduler: Scheduler, clock: VirtualClock) -> None:
    """Queue, priority, concurrency key; delay and at make them wait."""
    options: dict[str, Any] = {"queue": "mail", "priority": -3, "concurrency_key": "one"}
    later = scheduler.enqueue_many("work", [{}, {}], delay=timedelta(minutes=1), **options)
    at_five = scheduler.enqueue_many("work", [{"n": 5}], at=after(300))
    held = [scheduler.run(run_id) for run_id in [*later, *at_five]]
    assert [(run.queue, run.priority) for run in held] == [("mail", -3)] * 2 + [("default", 0)]
    assert [run.due_at for run in held] == [after(60), after(60), after(300)]
    assert {run.state for run in held} == {"scheduled"}
    clock.advance(300)
    scheduler.tick()
    assert scheduler.run(at_five[0]).result == 5


def test_many_calls_are_few_statements(scheduler: Scheduler, statements: list[str]) -> None:
    """A thousand calls take hardly more than one does, with keys or without."""
    scheduler.enqueue_many("work", [{}], unique_keys=["a"])
    one = len(statements)
    scheduler.enqueue_many("work", [{"n": n} for n in range(1000)])
    assert len(statements) - one <= 2 * one
    statements.clear()
    scheduler.enqueue_many("work", [{}] * 1000, unique_keys=[f"k{n}" for n in range(1000)])
    assert len(statements) <= one + 1


@pytest.mark.parametrize(
    ("said", "error", "message"),
    [
        ({"calls": [{}, {"n": "x"}]}, ArgumentsError, r"^calls\[1\]: arguments of task 'work': n"),
        ({"calls": [{}, 7]}, ArgumentsError, r"^calls\[1\]: .* are of type int"),
        ({"unique_keys": ["k"]}, ConfigurationError, "1 unique_keys for 2 calls"),
        ({"unique_keys": ["k", ""]}, ConfigurationError, r"^unique_keys\[1\]: unique_key is ''"),
        ({"unique": "ever"}, ConfigurationError, "unique='ever'"),
        ({"delay": 1, "at": START}, ConfigurationError, "either delay= or at="),
        ({"queue": ""}, ConfigurationError, "queue is ''"),
    ],
    ids=["args", "kind", "few keys", "key", "unique", "times", "queue"],
)
def test_one_bad_call_is_named_and_nothing_is_stored(
    scheduler: Scheduler, said: dict[str, Any], error: type[Exception], message: str
) -> None:
    """All or nothing."""
    options = {"calls": [{}, {}]} | said
    with pytest.raises(error, match=message):
        scheduler.enqueue_many("work", options.pop("calls"), **options)
    assert scheduler.runs() == []


def test_unique_keys_hold_among_many(scheduler: Scheduler) -> None:
    """A key that is held, by an earlier run or by a call before it, gives that run's id."""
    first = scheduler.enqueue("work", n=100, unique_key="b")
    keys = ["c", "b", None, "a", "c", None]
    ids = scheduler.enqueue_many("work", [{"n": n} for n in range(6)], unique_keys=keys)
    assert ids[1] == first
    assert ids[4] == ids[0]
    assert len({*ids, first}) == 5
    assert len(scheduler.runs()) == 5
    assert scheduler.run(ids[0]).args == {"n": 0}
    scheduler.tick()
    again = scheduler.enqueue_many("work", [{}], unique_keys=["c"])
    assert again[0] not in ids


def test_keys_can_be_held_until_the_end(scheduler: Scheduler, clock: VirtualClock) -> None:
    """``unique="until_done"``, as in enqueue."""
    during: list[str] = []

    @scheduler.task()
    def once() -> None:
        if not during:
            during.extend(
                scheduler.enqueue_many("once", [{}], unique_keys=["k"], unique="until_done")
            )

    (first,) = scheduler.enqueue_many("once", [{}], unique_keys=["k"], unique="until_done")
    scheduler.tick()
    assert during == [first]


def test_racing_lists_make_one_run_for_each_key(make: Make) -> None:
    """Whatever order each process names the keys in."""
    schedulers = [with_tasks(make()) for _ in range(4)]
    schedulers[0].prepare()
    keys = [f"k{n}" for n in range(40)]

    def enqueue(number: int) -> dict[str, str]:
        mine = keys[:: 1 if number % 2 else -1]
        ids = schedulers[number].enqueue_many("work", [{}] * len(mine), unique_keys=mine)
        return dict(zip(mine, ids, strict=True))

    answers = at_once(*(lambda n=n: enqueue(n) for n in range(4)))
    assert all(answer == answers[0] for answer in answers)
    assert len(schedulers[0].runs()) == 40


# -------------------------------------------------------------------- the caller's session


def test_on_a_session_all_exist_only_if_it_is_committed(scheduler: Scheduler, host: Engine) -> None:
    """Jobs, runs, events, and what listeners hear."""
    heard: list[Event] = []
    scheduler.on("*", heard.append)
    with Session(host) as session:
        scheduler.add_many(many(3), session=session)
        scheduler.enqueue_many("work", [{}] * 3, session=session)
        session.rollback()
    assert (scheduler.jobs(), scheduler.runs(), scheduler.events(), heard) == ([], [], [], [])
    with Session(host) as session:
        scheduler.add_many(many(3), session=session)
        ids = scheduler.enqueue_many("work", [{}] * 3, session=session)
        assert heard == []
        session.commit()
    assert [held.kind for held in heard] == ["job.added"] * 3
    assert sorted(run.id for run in scheduler.runs()) == ids
    assert len(scheduler.jobs()) == 3


async def test_the_awaitable_twins(scheduler: Scheduler) -> None:
    """The same, without blocking the event loop."""
    await asyncio.to_thread(scheduler.prepare)
    assert await scheduler.aio.add_many(many(2)) == ["j0", "j1"]
    ids = await scheduler.aio.enqueue_many("work", [{}, {"n": 2}])
    await scheduler.aio.tick()
    assert [(await scheduler.aio.run(run_id)).result for run_id in ids] == [0, 2]


ASYNC = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg", "mysql": None}


async def test_on_an_asyncio_session(scheduler: Scheduler) -> None:
    """Drivers that speak otherwise take the same statements; commit and rollback decide."""
    url = scheduler.store.url
    driver = ASYNC[url.get_backend_name()]
    if driver is None:
        pytest.skip("no asyncio driver for MariaDB is installed")
    await asyncio.to_thread(scheduler.prepare)
    engine = create_async_engine(url.set(drivername=driver, query={}))
    prepare_engine(engine.sync_engine)
    said = [{**job, "tags": ["t"], "priority": 3} for job in many(3)]
    async with AsyncSession(engine) as session:
        await scheduler.aio.add_many(said, session=session)
        await scheduler.aio.enqueue_many("work", [{"n": 1}] * 3, session=session)
        await session.rollback()
    assert (scheduler.jobs(), scheduler.runs()) == ([], [])
    async with AsyncSession(engine) as session:
        await scheduler.aio.add_many(said, session=session)
        ids = await scheduler.aio.enqueue_many(
            "work", [{"n": n} for n in range(3)], unique_keys=["a", "b", "a"], session=session
        )
        one = await scheduler.aio.enqueue("work", n=9, session=session)
        await session.commit()
    await engine.dispose()
    assert ids[2] == ids[0]
    assert sorted({*ids, one}) == sorted(run.id for run in scheduler.runs())
    assert [job.tags for job in scheduler.jobs()] == [("t",)] * 3
    assert scheduler.job("j2").next_fire_at == after(60)

"""Wrong use of a call is answered by what was wrong, where, and what to write instead."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

import duly
from duly import Heartbeat, JobDefaults, Retry, Scheduler, VirtualClock
from duly.errors import DulyError

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER = NOW + timedelta(days=1)
d: Any = duly
"""Untyped, because type checkers refuse most of these calls; see tests/typing."""

Use = Callable[[Any, Any], object]


@pytest.fixture
def scheduler(prepared_sqlite_url: str) -> Iterator[Scheduler]:
    made = Scheduler(prepared_sqlite_url, clock=VirtualClock())
    yield made
    made.stop(grace=0)
    made.store.dispose()


@pytest.fixture
def send(scheduler: Scheduler) -> Any:
    @scheduler.task()
    def send(order: int, text: str = "") -> str:
        return f"{order} {text}"

    return send


class Row: ...


def takes_a_row(order: int, row: Row) -> None:
    """Has a parameter that cannot be stored."""


def uses(**cases: tuple[Use, str]) -> Any:
    return pytest.mark.parametrize(("use", "message"), cases.values(), ids=cases.keys())


@uses(
    job_without_parentheses=(
        lambda s, f: s.job(f),
        r"write @scheduler\.job\(…\) with a trigger, such as @scheduler\.job\(cron",
    ),
    job_of_a_text=(
        lambda s, f: s.job("0 9 * * *"), r"'0 9 \* \* \*' is not a trigger; write cron\('0 9 \* "
    ),
    job_of_an_alias=(lambda s, f: s.job("@daily"), r"write cron\('@daily'\)"),
    job_of_an_unknown_id=(
        lambda s, f: s.job("report"),
        r"no job has the id 'report'; to declare one, .*@scheduler\.job\(every\(hours=1\), id='rep",
    ),
    job_of_a_group_without_parentheses=(
        lambda s, f: d.JobGroup().job(len),
        r"^write @jobs\.job\(…\) with a trigger, such as @jobs\.job\(cron",
    ),
    misspelt_option_of_a_call=(
        lambda s, f: f.enqueue(order=7, delya=3), r"delya: .* known: .*did you mean the option 'del"
    ),
    engine_for_a_session=(
        lambda s, f: f.enqueue(order=7, session=create_async_engine("sqlite+aiosqlite://")),
        "AsyncEngine; give an SQLAlchemy Session or .*, and to scheduler.aio an AsyncSess",
    ),
    session_maker_for_a_session=(
        lambda s, f: f.enqueue(order=7, session=async_sessionmaker()), "maker; give an SQLAlchemy"
    ),
    async_session_for_a_session=(
        lambda s, f: f.enqueue(order=7, session=AsyncSession()), "AsyncSession; use the awaitable"
    ),
    object_as_a_parameter=(
        lambda s, f: s.task()(takes_a_row),
        "task 'takes_a_row': the type of parameter 'row' cannot be stored as JSON: .*; take an id,",
    ),
    task_without_parentheses=(lambda s, f: s.task(f), r"write @scheduler\.task\(\)"),
    task_of_a_number=(lambda s, f: s.task(7), "the first argument is the task's name"),
    task_of_two_texts=(lambda s, f: s.task("a", "b"), "takes only name by position"),
    edit_by_text=(lambda s, f: s.edit("a", trigger="0 9 * * *"), r"write cron\('0 9 \* \* \*'\)"),
    add_by_text=(lambda s, f: s.add(f, "0 9 * * *"), r"write cron\('0 9 \* \* \*'\)"),
    add_by_rule=(lambda s, f: s.add(f, "FREQ=DAILY"), r"write rrule\('FREQ=DAILY'\)"),
    add_by_kind=(lambda s, f: s.add(f, "cron", hour=9), r"'cron' is not a trigger; give for exam"),
    add_by_interval=(lambda s, f: s.add(f, trigger="interval", minutes=5), "is not a trigger"),
    add_by_timedelta=(lambda s, f: s.add(f, timedelta(hours=1)), r"write every\(seconds=3600\)"),
    add_by_number=(lambda s, f: s.add(f, 5), r"5 is not a trigger; write every\(seconds=5\)"),
    add_by_datetime=(lambda s, f: s.add(f, NOW), r"write at\(…\) with this datetime"),
    add_turned_round=(lambda s, f: s.add(d.every(hours=1), f), "not a function; give the"),
    add_by_position=(
        lambda s, f: s.add(f, d.every(hours=1), "id"), r"takes only task, trigger by position, as"
    ),
    add_args_by_list=(
        lambda s, f: s.add(f, d.every(hours=1), args=[7]), r"of type list; give a dict of names and"
    ),
    enqueue_a_result=(
        lambda s, f: s.enqueue(None, 7), "None is not registered, and not a function; give the fun"
    ),
    enqueue_too_much=(lambda s, f: s.enqueue(f, 7, "a", 9), "at most 2 positional, but 3 were giv"),
    enqueue_a_dict=(lambda s, f: s.enqueue(f, {"order": 7}), r"names and values as args=\{…\}"),
    enqueue_many_numbers=(lambda s, f: s.enqueue_many(f, [7]), r"calls\[0\]: .* type int; give"),
    queues_by_list=(
        lambda s, f: Scheduler("sqlite:///a.db", queues=["a"]),  # type: ignore[arg-type]
        r"queues=\['a'\] is not valid; .* queues=\{'default': 10\}",
    ),
    queues_by_text=(lambda s, f: d.Scheduler("sqlite:///a.db", queues="a"), "queues='a' is not va"),
    slots_of_true=(lambda s, f: d.Scheduler("sqlite:///a.db", queues={"a": True}), "'a': True"),
    queues_of_a_worker=(lambda s, f: s.configure_worker(queues=["a"]), r"queues=\['a'\] is not v"),
    limit_of_true=(lambda s, f: s.set_limit("a", True), "max_running is True; it must be a whole"),
    queue_by_position=(lambda s, f: s.set_queue("a", 5), "only name by position, as in max_run"),
    every_number=(lambda s, f: d.every(5), r"every\(5\) is not valid; name the unit, as in every"),
    every_timedelta=(lambda s, f: d.every(timedelta(hours=1)), "name the unit, as in every"),
    every_hour=(lambda s, f: d.every(hour=1), "unknown option 'hour' of every.*name the unit"),
    cron_with_a_zone=(
        lambda s, f: d.cron("0 8 * * *", timezone="Europe/Madrid"),
        "unknown option 'timezone' of cron.*write tz='Europe/Madrid'",
    ),
    job_by_function=(lambda s, f: s.run_now(f), "<task 'send'> is not an id or a name; give a str"),
    runs_by_function=(lambda s, f: s.runs(job=f), "is not an id or a name; give a str"),
    job_by_number=(lambda s, f: s.pause(7), "7 is not an id or a name; give a str"),
    every_months=(lambda s, f: d.every(months=1), r"write calendar\(months=…\)"),
    any_of_a_list=(
        lambda s, f: d.any_of([d.every(hours=1), d.every(hours=2)]),
        r"one by one: any_of\(a, b\), or any_of\(\*triggers\)",
    ),
    all_of_texts=(lambda s, f: d.all_of("a", "b"), r"takes triggers, such as cron\(.*, not 'a'"),
    day_by_word=(lambda s, f: d.cron(day="last"), "write day='L' for the last day of the month"),
    day_by_words=(lambda s, f: d.cron(day="last fri"), "day_of_week='friL' for its last Friday"),
    cron_number=(lambda s, f: d.cron(9), "a cron expression must be a string, not int"),
    cron_fields=(lambda s, f: d.cron("0", "9", "*", "*", "*"), r"write cron\('0 9 \* \* mon-fri'"),
    cron_weekday=(lambda s, f: d.cron(weekday="mon"), "write day_of_week='mon'"),
    cron_timezone=(lambda s, f: d.cron(hour=9, timezone="UTC"), "write tz='Europe/Madrid'"),
    cron_start=(lambda s, f: d.cron(hour=9, start_date=NOW), "give the job start="),
    calendar_number=(lambda s, f: d.calendar(5), r"name the unit, as in calendar\(months=1"),
    calendar_month=(lambda s, f: d.calendar(month=1), "of calendar.*did you mean 'months'"),
    at_text=(lambda s, f: d.at("2026-01-01"), r"takes an aware datetime, .* at\(datetime\(2026"),
    at_numbers=(lambda s, f: d.at(2026, 1, 1), r"give one aware datetime, as in at\(datetime\("),
    rrule_fields=(lambda s, f: d.rrule(freq="DAILY"), r"write rrule\('FREQ=WEEKLY"),
    frequency_fields=(lambda s, f: d.frequency(type="daily"), r"frequency\(\{'type': 'daily'"),
    blackout_of_two=(lambda s, f: d.blackout(NOW, LATER), r"as in blackout\(\(start, end\), \("),
    blackout_of_a_list=(lambda s, f: d.blackout([(NOW, LATER)]), r"as in blackout\(\(start, end\)"),
    blackout_of_names=(lambda s, f: d.blackout(start=NOW, end=LATER), r"blackout\(\(start, end\)"),
    blackout_of_texts=(lambda s, f: d.blackout(("2026-01-01", "2026-01-02")), "aware datetimes"),
    blackout_of_dates=(lambda s, f: d.blackout((date(2026, 1, 1), date(2026, 1, 2))), r"dates\("),
    closed_hours_of_one=(lambda s, f: d.closed_hours("9-17"), r"write closed_hours\('22:00'"),
    holidays_of_none=(lambda s, f: d.holidays(), r"write holidays\('ES'\)"),
    excluding_a_function=(lambda s, f: d.every(hours=1).excluding(d.weekends), r"as weekends\(\)"),
    retry_attempts=(lambda s, f: d.Retry(max_attempts=3), r"of Retry\(\); write retry=Retry\(att"),
    default_option=(lambda s, f: d.JobDefaults(max_instances=3), "write max_running="),
    heartbeat_text=(lambda s, f: d.Heartbeat("1"), r"Heartbeat\(interval=…\) is '1'; it must be"),
    limit_text=(lambda s, f: s.runs(limit="5"), "limit='5'; it must be 1 to 1000"),
    state_number=(lambda s, f: s.runs(state=5), "state=5; give one of"),
    listener_forgotten=(lambda s, f: s.on(print), "missing a required argument: 'listener'"),
    unknown_setting=(lambda s, f: d.Scheduler(timezon="UTC"), r"Scheduler\(\); did you mean"),
)  # fmt: skip
def test_U06_wrong_use_is_answered_with_the_right_one(
    scheduler: Scheduler, send: Any, use: Use, message: str
) -> None:
    """Each message names what to write; none is a bare TypeError, and nothing happens silently."""
    with pytest.raises(DulyError, match=message):
        use(scheduler, send)
    assert scheduler.jobs() == []
    assert scheduler.runs() == []


EVERY = duly.every(hours=1)


@uses(
    max_instances=(lambda s, f: s.add(f, EVERY, max_instances=3), "write max_running="),
    coalesce=(lambda s, f: s.job(EVERY, coalesce=True)(f), "write catch_up='latest'"),
    grace=(lambda s, f: s.add(f, EVERY, misfire_grace_time=3), "write misfire_grace="),
    kwargs=(lambda s, f: s.add(f, EVERY, kwargs={"order": 7}), r"write args=\{…\}"),
    replace_existing=(lambda s, f: s.add(f, EVERY, replace_existing=True), "write replace=True"),
    next_run_time=(lambda s, f: s.add(f, EVERY, next_run_time=NOW), r"write start=, or .* at\(…\)"),
    fields=(lambda s, f: s.add(f, EVERY, day_of_week="mon"), "it belongs to the trigger"),
    retries=(lambda s, f: s.task(max_retries=3)(len), r"write retry=Retry\(attempts=…"),
    time_limit=(lambda s, f: s.task(soft_time_limit=3)(len), "write timeout=, in seconds"),
    countdown=(lambda s, f: f.enqueue(order=7, countdown=5), "write delay=, in seconds"),
    eta=(lambda s, f: s.enqueue(f, order=7, eta=NOW), "write at=, an aware datetime"),
    kwargs_of_a_call=(lambda s, f: s.enqueue(f, kwargs={"order": 7}), r"write args=\{…\}"),
    countdown_of_many=(lambda s, f: s.enqueue_many(f, [], countdown=5), "write delay=, in seconds"),
    kwargs_of_run_now=(lambda s, f: s.run_now("a", kwargs={}), r"write args=\{…\}"),
    jobstores=(lambda s, f: d.Scheduler(jobstores={}), "give the database's URL to Scheduler"),
    job_defaults=(lambda s, f: d.Scheduler(job_defaults={}), r"write defaults=JobDefaults\(…\)"),
    paused=(lambda s, f: s.start(paused=True), r"write scheduler\.pause\(job_id\)"),
)  # fmt: skip
def test_U06_options_of_other_schedulers_are_answered_with_ours(
    scheduler: Scheduler, send: Any, use: Use, message: str
) -> None:
    """Names from APScheduler, Celery and others lead to the option that does the same here."""
    with pytest.raises(DulyError, match=message):
        use(scheduler, send)


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("add_job", "write scheduler.add(task, trigger, id=…, args={…})"),
        ("scheduled_job", "write @scheduler.job(trigger)"),
        ("get_jobs", "write scheduler.jobs()"),
        ("remove_job", "write scheduler.remove(job_id)"),
        ("reschedule_job", "write scheduler.edit(job_id, trigger=…)"),
        ("shutdown", "write scheduler.stop(grace=…)"),
        ("add_listener", "write scheduler.on('run.failed', function)"),
        ("send_task", "write scheduler.enqueue(task, …)"),
        ("run_pending", "write scheduler.start(), or scheduler.run_due() for a single step"),
    ],
)
def test_U06_calls_of_other_schedulers_are_answered_with_ours(
    scheduler: Scheduler, name: str, advice: str
) -> None:
    """The attribute does not exist, and its error says what does."""
    with pytest.raises(AttributeError) as error:
        getattr(scheduler, name)
    assert advice in str(error.value)
    assert not hasattr(scheduler, name)
    with pytest.raises(AttributeError, match=r"'Aio' object has no attribute .*; write"):
        getattr(scheduler.aio, name)


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("delay", "write enqueue(…)"),
        ("apply_async", "write enqueue(args={…}, delay=…)"),
        ("send_with_options", "write enqueue(args={…}, delay=…)"),
        ("starmap", "write scheduler.enqueue_many(task, […])"),
    ],
)
def test_U06_calls_of_other_tasks_are_answered_with_ours(send: Any, name: str, advice: str) -> None:
    """``send.delay(7)`` tells to write ``send.enqueue(7)``."""
    with pytest.raises(AttributeError) as error:
        getattr(send, name)
    assert f"task 'send' has no attribute {name!r}; {advice}" in str(error.value)
    with pytest.raises(AttributeError, match=r"task 'send' has no attribute 'nonsense'$"):
        _ = send.nonsense


def test_U06_a_type_error_of_the_users_own_is_not_explained_away(scheduler: Scheduler) -> None:
    """Only calls that do not fit a signature are; an error inside stays what it is."""

    def hostile() -> Iterator[Any]:
        raise TypeError("from the user's own generator")
        yield

    with pytest.raises(TypeError, match="from the user's own generator"):
        scheduler.add_many(hostile())


async def test_U06_awaitable_calls_explain_themselves_too(scheduler: Scheduler, send: Any) -> None:
    """The awaitable form of a call gives the same answer."""
    aio: Any = scheduler.aio
    with pytest.raises(DulyError, match=r"write args=\{…\}"):
        await aio.run_now("a", kwargs={})
    with pytest.raises(DulyError, match="takes only task, trigger by position"):
        await aio.add(send, EVERY, "id")


def test_U06_right_use_is_left_alone() -> None:
    """The classes and functions that explain themselves work as before."""
    assert Retry(attempts=4).attempts == 4
    assert JobDefaults(timeout=5).timeout == 5
    assert Heartbeat(1, 5, 4, 2).lease == 5
    assert duly.every(hours=1, minutes=30) == duly.every(minutes=90)

"""Every wrong input gets its own clear error, and nothing that is stored is lost."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from duly import (
    CatchUp,
    DulyError,
    Heartbeat,
    JobDefaults,
    Retry,
    Scheduler,
    SystemClock,
    VirtualClock,
    at,
    cron,
    every,
)
from duly.errors import (
    ArgumentsError,
    ConfigurationError,
    CronError,
    DatabaseUnavailable,
    DatabaseURLError,
    DependencyError,
    DuplicateTask,
    JobNotFound,
    NaiveDatetimeError,
    PayloadError,
    RunNotFound,
    SchemaTooNew,
    UnknownOption,
    UnknownTask,
)
from tests.operations.conftest import START, Make, with_tasks
from tests.support.postgresql import PostgresServer, free_port
from tests.support.session import session_folder
from tests.support.waiting import wait_until

NAIVE = datetime(2026, 1, 1)  # noqa: DTZ001
Act = Callable[[Scheduler], Any]


def refused(error: type[DulyError], match: str | None = None) -> pytest.RaisesExc[DulyError]:
    """What is inside must raise this error of Duly's."""
    return pytest.raises(error, match=match)


# ------------------------------------------------------------------------- the database URL


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("", "is not a valid database URL; give for example 'sqlite:///app.db'"),
        ("app.db", "is not a valid database URL"),
        (None, "is not a valid database URL"),
        (5, "is not a valid database URL"),
        ("oracle://ana@host/x", "'oracle' databases are not supported; Duly runs on sqlite"),
        ("mysql+nonsense://host/x", "'mysql\\+nonsense' databases are not supported"),
        ("postgresql+pg8000://host/x", "'postgresql\\+pg8000' databases are not supported"),
        ("sqlite://", "jobs in memory would be lost at exit"),
        ("sqlite:///:memory:", "jobs in memory would be lost at exit"),
        ("sqlite:///file::memory:?cache=shared&uri=true", "jobs in memory would be lost"),
        ("sqlite:///file:x?mode=memory&uri=true", "jobs in memory would be lost"),
        ("postgresql://ana@host:port/x", "is not a valid database URL"),
    ],
    ids=repr,
)
def test_an_unknown_database_url_is_refused_at_once(url: Any, message: str) -> None:
    """When the scheduler is made, before anything is contacted."""
    with pytest.raises(DatabaseURLError, match=message):
        Scheduler(url)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql:/ana:s3cr3t@host/x",
        "postgresql://ana:s3cr3t@host:port/x",
        "postgres//ana:s3cr3t@host",
        "oracle://ana:s3cr3t@host/x",
        "mysql+pymysql:ana:s3cr3t@host",
    ],
)
def test_a_password_in_a_wrong_url_is_not_repeated(url: str) -> None:
    """The error goes to a log that many may read."""
    with pytest.raises(DatabaseURLError) as error:
        Scheduler(url)
    assert "s3cr3t" not in str(error.value)


def test_urls_that_hosts_have_are_understood(tmp_path: Path) -> None:
    """Those of asyncio drivers, and Heroku's ``postgres://``; with their own TLS option."""
    for url, wanted in (
        ("postgres://ana@host/x", "postgresql+psycopg://ana@host/x"),
        ("postgresql+asyncpg://ana@host/x", "postgresql+psycopg://ana@host/x"),
        ("postgresql+asyncpg://host/x?ssl=require", "postgresql+psycopg://host/x?sslmode=require"),
        ("postgresql+psycopg2://host/x?sslmode=allow", "postgresql+psycopg://host/x?sslmode=allow"),
        (
            "postgresql+asyncpg://host/x?prepared_statement_cache_size=0",
            "postgresql+psycopg://host/x",
        ),
        (f"sqlite+aiosqlite:///{tmp_path}/x.db", f"sqlite:///{tmp_path}/x.db"),
    ):
        assert str(Scheduler(url).store.url) == wanted


# ---------------------------------------------------------------------------- the settings


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"timezone": "Europe/Madrit"}, "timezone='Europe/Madrit' is not an IANA time zone"),
        ({"timezone": ""}, "is not an IANA time zone"),
        ({"timezone": "../../etc/passwd"}, "is not an IANA time zone"),
        ({"timezone": None}, "is not an IANA time zone"),
        (
            {"heartbeat": "quick"},
            "heartbeat='quick' is not valid; give 'normal', 'fast' or a Heartbeat",
        ),
        ({"heartbeat": 5}, "heartbeat=5 is not valid; give"),
        ({"queues": {}}, "would execute nothing"),
        ({"queues": {"mail": 0}}, "'mail': 0.*at once"),
        ({"queues": {"mail": "5"}}, "'mail': '5'.*at once"),
        ({"queues": {"": 5}}, "'': 5.*give each queue's name"),
        ({"queues": {"a\x00b": 5}}, "give each queue's name"),
        ({"queues": {5: 5}}, "give each queue's name"),
        ({"start": "maybe"}, "start='maybe'; it must be 'retry' or 'required'"),
        ({"name": ""}, "name is ''; it must be 1 to 191 printable characters"),
        ({"name": "a\x00b"}, "name is .*printable"),
        ({"name": "x" * 192}, "name is .*1 to 191"),
        ({"name": 5}, "name is 5"),
        ({"grace": -1}, "grace"),
        ({"grace": "20"}, "grace"),
        ({"defaults": {"retry": 3}}, "defaults=.*JobDefaults"),
    ],
    ids=repr,
)
def test_a_wrong_setting_is_refused_when_it_is_made(
    tmp_path: Path, settings: dict[str, Any], message: str
) -> None:
    """Each with its name, its value, and what would be right."""
    with pytest.raises(ConfigurationError, match=message):
        Scheduler(f"sqlite:///{tmp_path}/x.db", **settings)


def test_an_unknown_setting_is_refused(tmp_path: Path) -> None:
    """With the setting that has the most similar name."""
    with pytest.raises(ConfigurationError, match=r"'timezon'.* did you mean 'timezone'"):
        Scheduler(f"sqlite:///{tmp_path}/x.db", timezon="UTC")  # type: ignore[call-arg]


@pytest.mark.parametrize(
    "heartbeat",
    [(0, 60, 50, 15), (10, 5, 4, 2), (10, 60, 70, 15), (10, 60, 50, 0), (50, 60, 50, 1)],
)
def test_a_heartbeat_that_cannot_work_is_refused(heartbeat: Any) -> None:
    """Beats must be shorter than the fence, and the fence than the lease."""
    with pytest.raises(ConfigurationError, match=r"0 < interval < fence < lease|more than 0 sec"):
        Heartbeat(*heartbeat)


# ------------------------------------------------------------------- functions and options


def test_an_unregistered_function_is_refused_everywhere(scheduler: Scheduler) -> None:
    """By function and by name, when adding and when enqueueing, with what to do."""

    def stranger() -> None: ...

    acts: list[Act] = [
        lambda s: s.add(stranger, every(seconds=1)),
        lambda s: s.enqueue(stranger),
    ]
    for act in acts:
        with pytest.raises(
            UnknownTask, match=r"stranger is not registered; decorate it with @scheduler\.task"
        ):
            act(scheduler)
    acts = [
        lambda s: s.add("wrok", every(seconds=1)),
        lambda s: s.enqueue("wrok"),
    ]
    for act in acts:
        with pytest.raises(UnknownTask, match=r"registered as 'wrok'; did you mean 'work'\?"):
            act(scheduler)
    assert scheduler.jobs() == []
    assert scheduler.runs() == []


def test_a_decorator_without_parentheses_says_so(scheduler: Scheduler) -> None:
    """The commonest slip with decorators."""
    with pytest.raises(ConfigurationError, match=r"write @scheduler\.task\(\), with parentheses"):

        @scheduler.task  # type: ignore[arg-type]
        def work() -> None: ...


def test_one_id_declared_twice_is_refused(scheduler: Scheduler) -> None:
    """Two different jobs of one function need two ids; one name for two functions is refused."""

    @scheduler.job(every(seconds=1))
    def often() -> None: ...

    with pytest.raises(ConfigurationError, match="job 'often' is declared twice; give one an id="):
        scheduler.job(every(seconds=2))(often)
    with pytest.raises(DuplicateTask):

        @scheduler.job(every(seconds=1), id="other")
        def fail() -> None: ...


@pytest.mark.parametrize(
    ("act", "name"),
    [
        (lambda s: s.task(timout=5)(print_it), "timout"),
        (lambda s: s.job(every(seconds=1), misfire_grase=5)(print_it), "misfire_grase"),
        (lambda s: s.add("work", every(seconds=1), overlp="skip"), "overlp"),
        (lambda s: s.edit("j", jiter=5), "jiter"),
    ],
    ids=["task", "job", "add", "edit"],
)
def test_an_unknown_option_is_refused_with_a_suggestion(
    scheduler: Scheduler, act: Act, name: str
) -> None:
    """Wherever options are given."""
    scheduler.add("work", every(seconds=60), id="j")
    before = scheduler.job("j")
    with pytest.raises(UnknownOption, match=f"unknown option '{name}' .*did you mean"):
        act(scheduler)
    assert scheduler.job("j") == before


def print_it() -> None: ...


OUT_OF_RANGE: list[Any] = [
    {"timeout": -1}, {"retry": 0}, {"overlap": "maybe"}, {"queue": ""}, {"expires": 1e300},
    {"misfire_grace": "1h"}, {"catch_up": "some"}, {"max_running": 0}, {"priority": 10**6},
]  # fmt: skip


def test_an_option_out_of_range_stores_nothing(scheduler: Scheduler) -> None:
    """When adding, editing, replacing, and setting defaults."""
    scheduler.add("work", every(seconds=60), id="j")
    before = scheduler.job("j")
    for options in OUT_OF_RANGE:
        with refused(ConfigurationError):
            scheduler.add("work", every(seconds=1), id="new", **options)
        with refused(ConfigurationError):
            scheduler.edit("j", **options)
        with refused(ConfigurationError):
            scheduler.add("work", every(seconds=1), id="j", replace=True, **options)
        with refused(ConfigurationError):
            JobDefaults(**options)
    assert scheduler.jobs() == [before]


# ------------------------------------------------------------------------------- arguments


WRONG_ARGUMENTS: list[Any] = [{"n": "7"}, {"m": 7}, {"n": None}, [7], {"n": object()}, {1: 2}]


def test_arguments_that_do_not_fit_are_refused_when_they_are_given(scheduler: Scheduler) -> None:
    """At add, edit, enqueue, run_now, and in a declaration: not when the run fails at night."""
    scheduler.add("work", every(seconds=60), id="j", args={"n": 1})
    before = scheduler.job("j")
    function = scheduler.registry.get("work").function
    for args in WRONG_ARGUMENTS:
        with refused(ArgumentsError, "arguments of task 'work'"):
            scheduler.add("work", every(seconds=1), id="new", args=args)
        with refused(ArgumentsError, "arguments of task 'work'"):
            scheduler.edit("j", args=args)
        with refused(ArgumentsError, "arguments of task 'work'"):
            scheduler.enqueue("work", args=args)
        with refused(ArgumentsError, "arguments of task 'work'"):
            scheduler.run_now("j", args=args)
        with refused(ArgumentsError, "arguments of task 'work'"):
            scheduler.job(every(seconds=1), id="k", args=args)(function)
    assert scheduler.jobs() == [before]
    assert scheduler.runs() == []


def test_arguments_too_large_are_refused(scheduler: Scheduler) -> None:
    """A megabyte does not belong into a job's row."""

    @scheduler.task()
    def store(blob: str) -> None: ...

    with pytest.raises(PayloadError, match=r"arguments of 'store': \d+ bytes .* pass its id"):
        scheduler.enqueue(store, blob="x" * 1_000_000)
    assert scheduler.runs() == []


def test_either_args_or_keywords(scheduler: Scheduler) -> None:
    """Both at once would be a riddle; so would two times."""
    with pytest.raises(ConfigurationError, match="either as args="):
        scheduler.enqueue("work", args={"n": 1}, n=2)
    with pytest.raises(ConfigurationError, match="either delay= or at="):
        scheduler.enqueue("work", delay=1, at=START)
    with pytest.raises(ConfigurationError, match="unique='sometimes'; it must be one of"):
        scheduler.enqueue("work", unique_key="k", unique="sometimes")


WRONG_CALLS: list[Any] = [
        {"delay": "5"}, {"delay": float("nan")}, {"delay": 1e300}, {"delay": -1e300},
        {"delay": [5]}, {"delay": -5}, {"at": "tomorrow"}, {"at": 5}, {"at": START.date()},
        {"priority": "high"}, {"priority": 10**9}, {"queue": ""}, {"queue": "a\x00b"}, {"queue": 5},
        {"unique_key": ""}, {"unique_key": 5}, {"unique_key": "a\x00b"}, {"unique_key": "x" * 192},
    ]  # fmt: skip


def test_a_wrong_option_of_enqueue_is_refused(scheduler: Scheduler) -> None:
    """Each is Duly's own error, the same on every database, and nothing is stored."""
    for options in WRONG_CALLS:
        (name,) = options
        with refused(ConfigurationError, name):
            scheduler.enqueue("work", **options)
    assert scheduler.runs() == []


# ------------------------------------------------------------------------ instants, triggers


def test_naive_datetimes_are_refused_at_every_border(scheduler: Scheduler) -> None:
    """They name no instant: the error says which one it was and how to repair it."""
    scheduler.add("work", every(seconds=60), id="j")
    acts: list[Act] = [
        lambda s: s.add("work", at(NAIVE)),
        lambda s: s.add("work", every(seconds=1, anchor=NAIVE)),
        lambda s: s.add("work", every(seconds=1), start=NAIVE),
        lambda s: s.edit("j", end=NAIVE),
        lambda s: s.enqueue("work", at=NAIVE),
        lambda s: s.runs(since=NAIVE),
        lambda s: s.runs(until=NAIVE),
        lambda _s: cron("* * * * *").next_after(NAIVE),
        lambda _s: VirtualClock(NAIVE),
    ]
    for act in acts:
        with pytest.raises(NaiveDatetimeError, match=r"naive datetime .*attach a time zone"):
            act(scheduler)
    assert len(scheduler.jobs()) == 1


def test_a_cron_error_knows_its_place(scheduler: Scheduler) -> None:
    """The field, the offending part, and where it is."""
    with pytest.raises(CronError, match="minute") as error:
        scheduler.add("work", cron("61 9 * * *"))
    assert (error.value.field, error.value.text, error.value.position) == ("minute", "61", 0)
    with pytest.raises(CronError):
        scheduler.add("work", cron("every day at nine"))
    assert scheduler.jobs() == []


NO_TRIGGERS: list[Any] = ["0 9 * * *", 5, {"kind": "every"}, every]  # fmt: skip


def test_what_is_no_trigger_is_refused(scheduler: Scheduler) -> None:
    """With what would be one."""
    for trigger in NO_TRIGGERS:
        with refused(ConfigurationError, r"is not a trigger; (write|give for example) "):
            scheduler.add("work", trigger)
    with refused(ConfigurationError, r"give a trigger, such as every\(hours=1\), or after="):
        scheduler.add("work", None)


WRONG_IDS: list[Any] = ["", "x" * 192, "a\x00b", "a\nb", "\ud800", 5]  # fmt: skip


def test_an_id_that_cannot_be_stored_is_refused(scheduler: Scheduler) -> None:
    """1 to 191 printable characters."""
    for job_id in WRONG_IDS:
        with refused(ConfigurationError, "1 to 191 printable characters"):
            scheduler.add("work", every(seconds=1), id=job_id)
    assert scheduler.jobs() == []


def test_an_id_that_no_address_can_hold_is_refused(scheduler: Scheduler) -> None:
    """Browsers and proxies take a dot and two dots for a way up, also when they are encoded."""
    declared = scheduler.task()(print_it)
    for job_id in (".", ".."):
        with refused(ConfigurationError, "cannot be part of a URL"):
            scheduler.add("work", every(seconds=1), id=job_id)
        with refused(ConfigurationError, "cannot be part of a URL"):
            scheduler.job(every(seconds=1), id=job_id)(declared)
    for job_id in ("...", "a.", "./."):
        scheduler.add("work", every(seconds=1), id=job_id)


WRONG_TAGS: list[Any] = ["vip", ["a", 5], [["a"]], 5, ["x" * 192], ["a\x00b"], [""], [None]]


def test_tags_that_cannot_be_stored_are_refused(scheduler: Scheduler) -> None:
    """A text instead of a list, mixed types, control characters."""
    scheduler.add("work", every(seconds=1), id="j", tags=["kept"])
    for tags in WRONG_TAGS:
        with refused(ConfigurationError, "tag"):
            scheduler.add("work", every(seconds=1), tags=tags)
        with refused(ConfigurationError, "tag"):
            scheduler.edit("j", tags=tags)
    assert [job.tags for job in scheduler.jobs()] == [("kept",)]


def test_instants_at_the_ends_of_the_calendar_poison_nobody(
    scheduler: Scheduler, clock: VirtualClock
) -> None:
    """PostgreSQL stores year 9999 and cannot always give it back: such a job stops no other."""
    first, last = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
    scheduler.add("work", every(seconds=60), id="j", start=first, end=last)
    scheduler.add("work", at(first + timedelta(days=1)), id="first")
    scheduler.add("work", at(last), id="last")
    scheduler.add("work", every(days=365_000), id="rare")
    waiting = scheduler.enqueue("work", at=last)
    done = scheduler.enqueue("work", at=first.replace(tzinfo=timezone(timedelta(hours=12))))
    for _ in range(3):
        clock.advance(60)
        scheduler.tick()
    assert len(scheduler.runs(job="j", state="succeeded")) == 3
    assert len(scheduler.runs(job="first", state="succeeded")) == 1
    assert scheduler.run(waiting).state == "scheduled"
    assert scheduler.run(done).state == "succeeded"
    assert [job.id for job in scheduler.jobs(state="finished")] == ["first", "last"]
    scheduler.next_fires("rare")
    scheduler.next_fires("j")
    scheduler.status()


def test_an_actor_of_any_kind_is_kept_as_text(scheduler: Scheduler) -> None:
    """A name from a header or a token may hold anything; it must not break the action."""
    for number, actor in enumerate(("a\x00b", "x" * 500, "\ud800", 5)):
        scheduler.add("work", every(seconds=60), id=f"j{number}", actor=actor)  # type: ignore[arg-type]
    actors = [event.actor or "" for event in scheduler.events()]
    assert actors[0] == "a␀b"
    assert actors[3] == "5"
    assert all(0 < len(actor) <= 191 for actor in actors)


# ---------------------------------------------------------------------------- asking wrongly


NO_JOBS: list[Any] = ["", "nothing", "a\x00b", "x" * 5000, "%", "\ud800"]  # fmt: skip


def test_a_job_that_is_not_there_is_not_found(scheduler: Scheduler) -> None:
    """Whatever text is asked for, on every database."""
    acts: list[Callable[[str], Any]] = [
        scheduler.job, scheduler.pause, scheduler.resume, scheduler.remove, scheduler.run_now,
        scheduler.edit, scheduler.reset, scheduler.next_fires,
    ]  # fmt: skip
    for job_id in NO_JOBS:
        for act in acts:
            with refused(JobNotFound, "no job has the id"):
                act(job_id)


def test_a_misspelt_job_is_answered_with_the_one_that_is_meant(scheduler: Scheduler) -> None:
    """Whatever is done with it, wherever the typing error is, and among many jobs."""
    ids = [*(f"job-{number}" for number in range(250)), "nightly-report"]
    scheduler.add_many(
        [{"task": "work", "trigger": every(seconds=60), "id": job_id} for job_id in ids]
    )
    meant = r"; did you mean 'nightly-report'\?"
    for typed in ("nightly_report", "nigtly-report", "nightly-reprt"):
        with refused(JobNotFound, f"no job has the id '{typed}'{meant}"):
            scheduler.run_now(typed)
    with refused(JobNotFound, meant):
        scheduler.job("nightly-reports")
    with refused(DependencyError, f"no such job is stored{meant}"):
        scheduler.add("work", after=["nightly-reports"])
    with refused(JobNotFound, "no job has the id 'other'$"):
        scheduler.pause("other")


NO_RUNS: list[Any] = ["", "nothing", "x" * 36, "a\x00b" * 12, "0" * 36, "\ud800" * 36, "ü" * 36,
     "00000000-0000-0000-0000-000000000000", "{00000000-0000-0000-0000-00000000000}"]  # fmt: skip


def test_a_run_that_is_not_there_is_not_found(scheduler: Scheduler) -> None:
    """Also what is no UUID at all, and what only looks like one."""
    for run_id in NO_RUNS:
        for act in (scheduler.run, scheduler.cancel, scheduler.retry):
            with refused(RunNotFound, "no run has the id"):
                act(run_id)
        with refused(RunNotFound, "no run has the id"):
            scheduler.discard(run_id, reason="x")
        assert scheduler.run_log(run_id) == []
        assert scheduler.attempts(run_id) == []


SENSELESS: list[Any] = [
        lambda s: s.runs(state="faild"),
        lambda s: s.runs(state=["failed", "nothing"]),
        lambda s: s.jobs(state="activ"),
        lambda s: s.jobs(limit=0),
        lambda s: s.jobs(limit=1001),
        lambda s: s.runs(limit=-1),
        lambda s: s.events(limit=10**9),
        lambda s: s.next_fires("j", 0),
        lambda s: s.runs(after="no id"),
        lambda s: s.events(kind="job.aded"),
        lambda s: s.on("job.aded", print),
        lambda s: s.pause(),
        lambda s: s.pause("j", tag="t"),
        lambda s: s.remove(),
    ]  # fmt: skip


def test_a_question_that_makes_no_sense_is_refused(scheduler: Scheduler) -> None:
    """Unknown states and kinds, page sizes out of range, neither or both of two choices."""
    scheduler.add("work", every(seconds=60), id="j")
    for act in SENSELESS:
        with refused(ConfigurationError):
            act(scheduler)
    assert scheduler.job("j").state == "active"


ODD_TEXTS: list[Any] = ["a\x00b", "\ud800", "%", "_", "\\", "'; drop table duly_job; --"]


def test_any_text_may_be_searched_for(scheduler: Scheduler) -> None:
    """Odd characters find nothing; they are no error and no pattern."""
    scheduler.add("work", every(seconds=60), id="j", tags=["t"])
    scheduler.enqueue("work")
    for odd in ODD_TEXTS:
        for name in ("text", "tag", "task", "queue"):
            assert scheduler.jobs(**{name: odd}) == []
        for name in ("text", "job", "task", "queue", "tag"):
            assert scheduler.runs(**{name: odd}) == []
        assert scheduler.events(job=odd) == []
        assert scheduler.missed(odd) == []
        assert scheduler.pause(tag=odd) == scheduler.resume(tag=odd) == 0
        assert scheduler.remove(tag=odd) == 0
    assert len(scheduler.jobs()) == 1


def test_numbers_beyond_every_id_find_nothing(scheduler: Scheduler) -> None:
    """A cursor from a broken client is no error of the database."""
    scheduler.add("work", every(seconds=60), id="j")
    assert scheduler.events(after=2**80) == []
    assert len(scheduler.events(after=-(2**80))) == 1
    assert scheduler.runs(since=datetime.min.replace(tzinfo=UTC)) == []
    assert scheduler.runs(until=datetime.max.replace(tzinfo=UTC)) == []


ODD_REASONS: list[Any] = ["a\x00b", "\ud800", "x" * 100_000]  # fmt: skip


def test_reasons_are_stored_as_text_that_every_database_takes(scheduler: Scheduler) -> None:
    """A reason typed into a form may hold anything; it must not break the action."""
    scheduler.add("work", every(seconds=60), id="j")
    for reason in ODD_REASONS:
        scheduler.pause("j", reason=reason)
        job = scheduler.job("j")
        assert job.state == "paused"
        assert job.paused_reason
        assert len(job.paused_reason) <= 4000
        scheduler.resume("j")
        run_id = scheduler.enqueue("fail")
        scheduler.tick()
        scheduler.discard(run_id, reason=reason)
        assert scheduler.run(run_id).state == "discarded"
        scheduler.pause_queue("mail", reason=reason)
        scheduler.resume_queue("mail")
        scheduler.stop_all(reason=reason)
        scheduler.start_all()
    scheduler.events()


# ---------------------------------------------------------------- a database that is not there


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_database_that_is_away_does_not_stop_the_host(
    kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Start returns, health is honest, and the scheduler works as soon as the database is there."""
    folder = tmp_path / "mounted later"
    if kind == "sqlite":
        url, away = f"sqlite:///{folder}/app.db", "does not exist; create it"
    else:
        url = f"postgresql+psycopg://postgres@127.0.0.1:{free_port()}/x"
        away = "does not answer"
    scheduler = with_tasks(Scheduler(url, clock=SystemClock()))
    with caplog.at_level(logging.ERROR):
        scheduler.start()
    try:
        health = scheduler.health()
        assert (health.ok, health.database, health.engine) == (False, "unreachable", "starting")
        assert health.detail
        assert away in health.detail
        assert any("tries again until it answers" in message for message in caplog.messages)
        with pytest.raises(DatabaseUnavailable, match=away):
            scheduler.enqueue("work")
        if kind == "sqlite":
            folder.mkdir()
            wait_until(lambda: scheduler.health().ok, what="recovery")
            run_id = scheduler.enqueue("work", n=5)
            wait_until(lambda: scheduler.run(run_id).result == 5, what="the run")
    finally:
        scheduler.stop(grace=1)
    assert scheduler.health().engine == "stopped"


def test_required_means_that_start_raises(tmp_path: Path) -> None:
    """A host that prefers not to run without its jobs says so; nothing is left running."""
    scheduler = Scheduler(f"sqlite:///{tmp_path}/missing/x.db", start="required")
    with pytest.raises(DatabaseUnavailable, match="does not exist; create it"):
        scheduler.start()
    assert scheduler.health().engine == "stopped"
    (tmp_path / "missing").mkdir()
    with scheduler.running():
        wait_until(lambda: scheduler.health().ok, what="a healthy scheduler")


def test_health_never_raises(tmp_path: Path, make: Make) -> None:
    """Stopped, away, newer, or fine: an answer each time."""
    assert not Scheduler(f"sqlite:///{tmp_path}/missing/x.db").health().ok
    scheduler = make()
    assert (scheduler.health().ok, scheduler.health().database) == (False, "ok")
    with scheduler.store.engine.begin() as conn:
        conn.execute(text("update duly_version set version_num = '9999'"))
    newer = make().health()
    assert not newer.ok
    assert newer.detail
    assert "a newer one wrote them" in newer.detail
    assert newer.database != "ok"


def test_a_database_of_a_newer_duly_is_refused_by_everything(make: Make) -> None:
    """Start, tick, add, ask: each says the same, and nothing was changed."""
    first = with_tasks(make())
    first.add("work", every(seconds=60), id="j")
    with first.store.engine.begin() as conn:
        conn.execute(text("update duly_version set version_num = '9999'"))
        before = conn.execute(text("select * from duly_job")).all()
    acts: list[Act] = [
        lambda s: s.start(),
        lambda s: s.tick(),
        lambda s: s.add("work", every(seconds=1)),
        lambda s: s.enqueue("work"),
        lambda s: s.jobs(),
    ]
    for act in acts:
        scheduler = with_tasks(make())
        with pytest.raises(SchemaTooNew, match=r"Nothing was changed; upgrade the package duly"):
            act(scheduler)
        assert scheduler.health().engine == "stopped"
    with first.store.engine.connect() as conn:
        assert conn.execute(text("select * from duly_job")).all() == before


@pytest.mark.server
def test_a_server_that_goes_away_and_comes_back_loses_nothing(tmp_path: Path) -> None:
    """Jobs and runs that were acknowledged are there after a restart of the server."""
    server = PostgresServer.create(session_folder() / f"own-{tmp_path.name}")
    try:
        scheduler = with_tasks(Scheduler(server.url(), clock=VirtualClock(START)))
        scheduler.add("work", every(seconds=60), id="j", retry=Retry(2), catch_up=CatchUp("all"))
        run_id = scheduler.enqueue("work", n=3)
        server.stop()
        with pytest.raises(DatabaseUnavailable):
            scheduler.job("j")
        assert scheduler.health().database == "unreachable"
        server.start()
        assert scheduler.job("j").options.retry == Retry(2)
        scheduler.tick()
        assert scheduler.run(run_id).result == 3
        scheduler.stop(grace=0)
    finally:
        server.stop()

"""A transactional run: what the function does and the run's completion are one commit."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.orm import Session

from duly import Discard, Event, Retry, RetryAfter, Run, Snooze, every
from duly.errors import ConfigurationError, LifecycleError
from tests.support.waiting import wait_until
from tests.worker.conftest import World, step
from tests.worker.internals import write_back
from tests.worker.transactions import ADD, Ledger


@pytest.fixture
def ledger(world: World) -> Ledger:
    """A world with a table for effects."""
    return Ledger(world)


def test_the_effect_and_the_completion_are_one_commit(ledger: Ledger) -> None:
    """Before the commit neither is visible; after it both are, with the result and the log."""
    seen: list[tuple[list[int], str]] = []

    @ledger.scheduler.task(transactional=True)
    def charge(n: int, session: Session, run: Run) -> dict[str, int]:
        session.execute(ADD, {"n": n})
        run.log.warning("charged")
        run.progress(1, 2)
        run.count(charged=1)
        assert run.session() is session
        seen.append((ledger.effects(), ledger.scheduler.run(run.id).state))
        return {"charged": n}

    run = ledger.run("charge", n=7)
    assert seen == [([], "running")]
    assert ledger.effects() == [7]
    assert (run.state, run.result, run.attempt) == ("succeeded", {"charged": 7}, 1)
    assert [line.message for line in ledger.scheduler.run_log(run.id)] == ["charged"]
    assert (run.counters, run.progress.done if run.progress else None) == ({"charged": 1}, 1)
    assert run.worker_id == ledger.scheduler.worker_id


def test_one_transaction_holds_both(ledger: Ledger) -> None:
    """The transaction that adds the effect is the one that ends the run."""
    statements: list[str] = []
    ledger.task(lambda _session: None)
    run_id = ledger.scheduler.enqueue("work")
    engine = ledger.scheduler.store.engine

    @event.listens_for(engine, "before_cursor_execute")
    def note(_conn: Any, _cursor: Any, statement: str, *_: Any) -> None:
        statements.append(statement)

    event.listen(engine, "commit", lambda _conn: statements.append("COMMIT"))
    ledger.scheduler.tick()
    began = next(n for n, held in enumerate(statements) if "into effect" in held)
    whole = statements[began : statements.index("COMMIT", began)]
    assert len([held for held in whole if "UPDATE duly_run" in held]) == 1
    later = statements[statements.index("COMMIT", began) :]
    assert not [held for held in later if held.startswith("UPDATE duly_run")]
    assert ledger.scheduler.run(run_id).state == "succeeded"


def test_an_error_rolls_everything_back_and_is_retried(ledger: Ledger) -> None:
    """The failed attempt leaves only its own record."""

    def body(_session: Session) -> None:
        if len(ledger.scheduler.attempts(ledger.scheduler.runs()[0].id)) < 1:
            raise ValueError("no")

    ledger.task(body, retry=Retry(attempts=2, wait=10, jitter=0))
    run = ledger.run("work")
    assert (run.state, ledger.effects()) == ("scheduled", [])
    ledger.world.forward(ledger.scheduler, 10)
    run = ledger.scheduler.run(run.id)
    assert (run.state, run.attempt, ledger.effects()) == ("succeeded", 2, [1])
    assert [a.error_type for a in ledger.scheduler.attempts(run.id)] == ["ValueError"]


@pytest.mark.parametrize(
    ("signal", "state"),
    [
        (Snooze(seconds=60), "scheduled"),
        (RetryAfter(60), "scheduled"),
        (Discard("no use"), "discarded"),
    ],
    ids=["snooze", "retry_after", "discard"],
)
def test_signals_roll_back_and_decide_the_outcome(ledger: Ledger, signal: Any, state: str) -> None:
    """Snooze, RetryAfter and Discard work as in any task, and the effect is rolled back."""

    def body(_session: Session) -> None:
        raise signal

    ledger.task(body, retry=Retry(attempts=2))
    run = ledger.run("work")
    assert (run.state, ledger.effects()) == (state, [])
    if state == "scheduled":
        assert run.due_at == ledger.world.clock.now() + timedelta(seconds=60)


def test_a_call_enqueued_inside_exists_if_the_commit_does(ledger: Ledger) -> None:
    """``session=session`` joins the function's transaction; a rollback leaves no such run."""
    ledger.scheduler.task(name="mail")(lambda: None)

    @ledger.scheduler.task(transactional=True)
    def work(fail: bool, session: Session) -> None:
        ledger.scheduler.enqueue("mail", session=session)
        if fail:
            raise ValueError("no")

    ledger.run("work", fail=True)
    assert ledger.scheduler.runs(task="mail") == []
    ledger.run("work", fail=False)
    assert [run.state for run in ledger.scheduler.runs(task="mail")] == ["succeeded"]


def test_a_failing_item_leaves_the_others_done(ledger: Ledger) -> None:
    """With a savepoint for each item of `run.track`, what a failing one did is undone.

    That includes statements that the database refuses. The others are committed with the run.
    """

    @ledger.scheduler.task(transactional=True)
    def import_all(session: Session, run: Run) -> None:
        for item in run.track([1, 2, 3, 4]):
            with item as n, session.begin_nested():
                session.execute(ADD, {"n": n * 10})
                session.execute(ADD, {"n": None if n == 2 else n})
                if n == 3:
                    raise ValueError("no")

    run = ledger.run("import_all")
    assert (run.state, run.counters) == ("succeeded", {"ok": 2, "failed": 2})
    assert ledger.effects() == [1, 4, 10, 40]
    lines = [line.message for line in ledger.scheduler.run_log(run.id)]
    assert len(lines) == 2
    assert lines[1].startswith("item 3 failed: no")


def test_savepoints_are_the_functions_own(ledger: Ledger) -> None:
    """``begin_nested`` undoes a part, whether it is left by an error or by a rollback."""

    def body(session: Session) -> None:
        with pytest.raises(ZeroDivisionError), session.begin_nested():
            _ = session.execute(ADD, {"n": 2}), 1 / 0
        with session.begin_nested():
            session.execute(ADD, {"n": 3})
        session.begin_nested()
        session.execute(ADD, {"n": 4})
        savepoint = session.get_nested_transaction()
        assert savepoint is not None
        savepoint.rollback()

    ledger.task(body)
    assert (ledger.run("work").state, ledger.effects()) == ("succeeded", [1, 3])


def test_a_savepoint_left_open_is_committed_with_the_rest(ledger: Ledger) -> None:
    """A commit of the session releases its savepoints."""

    def body(session: Session) -> None:
        session.begin_nested()
        session.execute(ADD, {"n": 2})

    ledger.task(body)
    assert (ledger.run("work").state, ledger.effects()) == ("succeeded", [1, 2])


def test_a_success_ends_the_failures_in_a_row_of_its_job(ledger: Ledger) -> None:
    """The job's failure counter changes in the same transaction."""
    answers = [ValueError("no"), None]

    def body(_session: Session) -> None:
        if error := answers.pop(0):
            raise error

    ledger.task(body)
    ledger.scheduler.add("work", every(seconds=60), id="j")
    ledger.scheduler.tick()
    ledger.world.forward(ledger.scheduler, 60)
    assert ledger.scheduler.job("j").consecutive_failures == 1
    ledger.world.forward(ledger.scheduler, 60)
    assert ledger.scheduler.job("j").consecutive_failures == 0
    assert ledger.effects() == [1]


def test_listeners_are_called_after_the_commit(ledger: Ledger) -> None:
    """They are called once, and not for an attempt that was rolled back."""
    heard: list[tuple[str, list[int]]] = []

    def hear(fact: Event) -> None:
        heard.append((fact.kind, ledger.effects()))

    for kind in ("run.succeeded", "run.failed"):
        ledger.scheduler.on(kind, hear)
    ledger.task(lambda _session: None)
    ledger.run("work")
    assert heard == [("run.succeeded", [1])]


# --------------------------------------------------------------------- lost, cancelled, late


def test_a_worker_that_lost_the_run_commits_nothing(ledger: Ledger) -> None:
    """The fence is checked last, so the effect of a lost run is rolled back and reported."""
    first, entered, leave = ledger.scheduler, threading.Event(), threading.Event()
    second = ledger.world.scheduler()

    @first.task(name="work", transactional=True)
    def slow(session: Session) -> str:
        entered.set()
        assert leave.wait(240)
        session.execute(ADD, {"n": 1})
        return "first"

    @second.task(name="work", transactional=True)
    def quick(session: Session) -> str:
        session.execute(ADD, {"n": 2})
        return "second"

    if first.store.dialect.session_limit is not None:
        pytest.skip("on SQLite nobody else can take a run while a writer holds the database")
    run_id = first.enqueue("work")
    step(first)
    assert entered.wait(240)
    with second.store.write() as tx:
        from duly.store import workers

        workers.remove(tx, first.worker_id or "", None)
    for _ in range(9):
        ledger.world.clock.advance(9)
        second.tick()
    leave.set()
    wait_until(lambda: not first.in_flight())
    write_back(first)
    assert ledger.effects() == [2]
    run = second.run(run_id)
    assert (run.state, run.result, run.crashes) == ("succeeded", "second", 1)
    assert len(second.events(kind="run.late_completion")) == 1


def test_a_cancellation_before_the_commit_wins(ledger: Ledger) -> None:
    """If a cancellation is requested while the function runs, its effect is rolled back."""
    if ledger.scheduler.store.dialect.session_limit is not None:
        pytest.skip("on SQLite a cancellation waits for the end of the function")

    @ledger.scheduler.task(transactional=True)
    def work(session: Session, run: Run) -> None:
        session.execute(ADD, {"n": 1})
        ledger.scheduler.cancel(run.id)

    run = ledger.run("work")
    assert (run.state, ledger.effects()) == ("cancelled", [])


def test_a_timeout_before_the_commit_wins(ledger: Ledger) -> None:
    """The run has failed; what the function does afterwards is rolled back."""
    entered, leave = threading.Event(), threading.Event()

    def body(_session: Session) -> None:
        entered.set()
        assert leave.wait(240)

    ledger.task(body, timeout=3)
    run_id = ledger.scheduler.enqueue("work")
    step(ledger.scheduler)
    assert entered.wait(240)
    ledger.world.clock.advance(3)
    wait_until(lambda: ended(ledger, run_id))
    assert ledger.scheduler.run(run_id).error_type == "TimedOut"
    leave.set()
    wait_until(lambda: not ledger.scheduler.in_flight())
    ledger.scheduler.tick()
    assert (ledger.scheduler.run(run_id).state, ledger.effects()) == ("failed", [])


def ended(ledger: Ledger, run_id: str) -> bool:
    """Take one more step and return whether a run has failed."""
    step(ledger.scheduler)
    return ledger.scheduler.run(run_id).state == "failed"


def test_a_deadlock_calls_the_function_again_at_once(ledger: Ledger) -> None:
    """A call that a deadlock rolled back is repeated; the third deadlock fails the attempt."""
    calls: list[int] = []

    @ledger.scheduler.task(transactional=True)
    def work(fails: int, rows: list[int], session: Session, run: Run) -> list[int]:
        rows.append(len(rows))
        run.count(calls=1)
        session.execute(ADD, {"n": 1})
        calls.append(1)
        if len(calls) <= fails:
            raise_conflict(session)
        return rows

    run = ledger.run("work", fails=2, rows=[])
    assert (run.state, run.result, run.counters, run.attempt) == ("succeeded", [0], {"calls": 1}, 1)
    assert (ledger.effects(), len(calls)) == ([1], 3)
    calls.clear()
    assert ledger.run("work", fails=9, rows=[]).state == "failed"
    assert (ledger.effects(), len(calls)) == ([1], 3)


def raise_conflict(session: Session) -> None:
    """Make the database itself report a conflict with another transaction."""
    if session.connection().dialect.name == "sqlite":
        from sqlite3 import OperationalError as Locked

        from sqlalchemy.exc import OperationalError

        raise OperationalError("", {}, Locked("database is locked"))
    if session.connection().dialect.name == "postgresql":
        session.execute(text("do $$ begin raise sqlstate '40001'; end $$"))
    session.execute(text("signal sqlstate '40001' set mysql_errno = 1213"))


# ------------------------------------------------------------------------------ declarations


def test_a_session_is_for_transactional_functions_only(ledger: Ledger) -> None:
    """Each misuse is refused at the declaration, with what to do."""

    def plain(session: Session) -> None: ...

    def two(a: Session, b: Session) -> None: ...

    def none(n: int) -> None: ...

    async def coroutine(session: Session) -> None: ...

    def only_run(run: Run) -> None: ...

    task = ledger.scheduler.task
    with pytest.raises(ConfigurationError, match="declare the task with transactional=True"):
        task()(plain)
    for function, words in (
        (two, "a and b are sessions"),
        (none, "the function has no session parameter"),
        (coroutine, "receives an AsyncSession"),
    ):
        with pytest.raises(ConfigurationError, match=words):
            task(transactional=True)(function)
    with pytest.raises(ConfigurationError, match="give True, or a factory of sessions"):
        task(transactional="yes")(plain)  # type: ignore[arg-type]
    task(transactional=True)(only_run)
    job = ledger.scheduler.job
    with pytest.raises(ConfigurationError, match="is a task already"):
        job(every(seconds=5), transactional=True)(task(name="t")(none))


def test_a_session_is_not_an_argument(ledger: Ledger) -> None:
    """It is not stored, not required, not in the schema, and cannot be passed."""

    @ledger.scheduler.job(every(seconds=60), args={"n": 5}, transactional=True)
    def charge(n: int, session: Session) -> None:
        session.execute(ADD, {"n": n})

    assert list(charge.task.signature.schema()["properties"]) == ["n"]
    ledger.scheduler.tick()
    ledger.world.forward(ledger.scheduler, 60)
    assert ledger.effects() == [5]


def test_only_a_transactional_run_has_a_session(ledger: Ledger) -> None:
    """In other runs ``run.session()`` raises an error that says what to declare."""

    @ledger.scheduler.task()
    def plain(run: Run) -> str:
        with pytest.raises(LifecycleError, match="transactional=True"):
            run.session()
        return "refused"

    assert ledger.run("plain").result == "refused"

"""Which session a transactional run uses, and what its function must not do with it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker

from duly import Run, Scheduler, prepare_engine
from duly.errors import LifecycleError
from tests.support.waiting import wait_until
from tests.worker.conftest import World, step
from tests.worker.transactions import ADD, Ledger, driver_of

Made = Callable[[], Any]


class Base(DeclarativeBase):
    pass


class Other(Base):
    __tablename__ = "other"
    id: Mapped[int] = mapped_column(primary_key=True)


@pytest.fixture
def ledger(world: World) -> Ledger:
    """A world with a table for effects."""
    return Ledger(world)


@pytest.fixture
def host(ledger: Ledger) -> Iterator[Engine]:
    """The host application's own engine on the same database, with its own settings."""
    engine = create_engine(ledger.scheduler.store.url)
    yield engine
    engine.dispose()


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Engine]:
    """Another scheduler's database."""
    other = Scheduler(f"sqlite:///{tmp_path / 'elsewhere.db'}")
    other.prepare()
    yield other.store.engine
    other.store.dispose()


# ----------------------------------------------------------------- what the function may not do


def _commit_inside_savepoint(session: Session) -> None:
    session.begin_nested()
    session.commit()


ENDINGS: dict[str, tuple[Callable[[Session], Any], str]] = {
    "commit": (lambda s: s.commit(), "committed by the function"),
    "commit_inside_savepoint": (_commit_inside_savepoint, "committed by the function"),
    "rollback": (lambda s: s.rollback(), "rolled back"),
    "close": (lambda s: s.close(), "rolled back, or its session closed"),
    "reset": (lambda s: s.reset(), "rolled back, or its session closed"),
    "invalidate": (lambda s: s.invalidate(), "rolled back, or its session closed"),
    "connection": (lambda s: s.connection().commit(), "on its connection"),
    "statement": (lambda s: s.execute(text(" commit")), "ended by 'commit'"),
    "rollback_statement": (lambda s: s.execute(text("ROLLBACK")), "ended by 'ROLLBACK'"),
    "driver_rollback": (lambda s: driver_of(s.connection()).rollback(), "behind the session's"),
}


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("quietly", [False, True], ids=["raises", "swallowed"])
def test_rule_26_the_function_cannot_end_the_transaction(
    ledger: Ledger, ending: str, quietly: bool
) -> None:
    """Every way to end it is refused, even if the error is caught; the error says what to do."""
    act, words = ENDINGS[ending]

    def body(session: Session) -> None:
        if not quietly:
            act(session)
            return
        with suppress(Exception):
            act(session)
        with suppress(Exception):
            session.execute(ADD, {"n": 2})

    ledger.task(body)
    run = ledger.run("work")
    assert (run.state, run.error_type, ledger.effects()) == ("failed", "TransactionError", [])
    assert words in (run.error_message or "")
    assert "session.begin_nested()" in (run.error_message or "")


def test_rule_26_a_commit_behind_the_sessions_back_is_found(ledger: Ledger) -> None:
    """A commit on the raw driver connection cannot be prevented, but it fails the run."""

    def body(session: Session) -> None:
        driver_of(session.connection()).commit()

    ledger.task(body)
    run = ledger.run("work")
    assert (run.state, run.error_type, ledger.effects()) == ("failed", "TransactionError", [1])
    assert "behind the session's back" in (run.error_message or "")


def test_rule_26_a_failed_flush_needs_a_savepoint(ledger: Ledger) -> None:
    """Without one the transaction is lost; with one only that part is rolled back."""
    Base.metadata.create_all(ledger.scheduler.store.engine)

    def body(session: Session) -> None:
        session.add(Other(id=1))
        session.flush()
        with pytest.raises(Exception, match=r"(?i)unique|duplicate"), session.begin_nested():
            session.execute(text("insert into other values (1)"))

    ledger.task(body)
    assert (ledger.run("work").state, ledger.effects()) == ("succeeded", [1])

    @ledger.scheduler.task(transactional=True)
    def careless(session: Session) -> None:
        session.execute(ADD, {"n": 2})
        session.add(Other(id=1))
        with suppress(Exception):
            session.flush()
        with suppress(Exception):
            session.rollback()
        session.execute(ADD, {"n": 3})

    run = ledger.run("careless")
    assert (run.state, run.error_type, ledger.effects()) == ("failed", "TransactionError", [1])


# ------------------------------------------------------------------------- the host's sessions


def test_a_session_of_the_hosts_own_engine(ledger: Ledger, host: Engine) -> None:
    """Its objects are flushed, and its effects and the run's end are one commit."""
    Base.metadata.create_all(host)
    ledger.task(lambda session: session.add(Other(id=5)), transactional=sessionmaker(host))
    run = ledger.run("work")
    assert (run.state, ledger.effects()) == ("succeeded", [1])
    with Session(host) as session:
        assert session.get(Other, 5) is not None

    def fail(session: Session) -> None:
        session.add(Other(id=6))
        raise ValueError("no")

    ledger.scheduler.task(name="fail", transactional=sessionmaker(host))(_named(fail))
    assert ledger.run("fail").state == "failed"
    with Session(host) as session:
        assert session.get(Other, 6) is None


def _named(body: Callable[[Session], Any]) -> Callable[..., Any]:
    def fail(session: Session) -> None:
        body(session)

    return fail


def test_rule_26_another_database_is_refused(ledger: Ledger, elsewhere: Engine) -> None:
    """The session must lead to Duly's database, which is recognised by its stored identity."""
    with elsewhere.begin() as conn:
        conn.execute(text("create table effect (n integer)"))
    ledger.task(lambda _session: None, transactional=sessionmaker(elsewhere))
    run = ledger.run("work")
    assert (run.state, run.error_type) == ("failed", "SchemaError")
    assert "not the database of this scheduler" in (run.error_message or "")


def test_rule_26_a_second_bind_is_refused(ledger: Ledger, host: Engine, elsewhere: Engine) -> None:
    """A session that uses a second engine would commit in two steps."""
    Base.metadata.create_all(elsewhere)
    maker = sessionmaker(host, binds={Other: elsewhere})
    ledger.task(lambda session: session.get(Other, 1), transactional=maker)
    run = ledger.run("work")
    assert (run.state, run.error_type, ledger.effects()) == ("failed", "TransactionError", [])
    assert "second connection" in (run.error_message or "")


class _Joined(Session):
    """A session that also closes the connection that it was given."""

    def close(self) -> None:
        super().close()
        assert isinstance(self.bind, Connection)
        self.bind.close()


def _joined(engine: Engine) -> Made:
    def make() -> Session:
        conn = engine.connect()
        conn.begin()
        return _Joined(conn)

    return make


def _begun(engine: Engine) -> Made:
    def make() -> Session:
        session = Session(engine)
        session.connection()
        return session

    return make


REFUSED: dict[str, tuple[Callable[[Engine], Made], str]] = {
    "two_phase": (lambda engine: sessionmaker(engine, twophase=True), "two-phase"),
    "joined": (_joined, "which Duly did not begin"),
    "begun": (_begun, "which Duly did not begin"),
    "no_session": (lambda _engine: object, "not a builtins.object"),
    "autocommit": (
        lambda engine: sessionmaker(engine.execution_options(isolation_level="AUTOCOMMIT")),
        "AUTOCOMMIT",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_rule_26_sessions_that_cannot_be_guarded(ledger: Ledger, host: Engine, kind: str) -> None:
    """Such sessions are refused before the function is called, with the reason."""
    make, words = REFUSED[kind]
    ledger.task(lambda _session: None, transactional=make(host))
    run = ledger.run("work")
    assert (run.state, ledger.effects()) == ("failed", [])
    assert words in (run.error_message or "")


def test_rule_26_progress_does_not_touch_the_run_while_it_runs(ledger: Ledger) -> None:
    """Under REPEATABLE READ the completion would fail if its row had been changed meanwhile."""
    if ledger.scheduler.store.dialect.session_limit is not None:
        pytest.skip("SQLite has no such isolation level")
    entered, leave = threading.Event(), threading.Event()
    engine = create_engine(ledger.scheduler.store.url, isolation_level="REPEATABLE READ")

    @ledger.scheduler.task(transactional=sessionmaker(engine))
    def work(session: Session, run: Run) -> None:
        session.execute(ADD, {"n": 1})
        run.progress(1, 2)
        run.log.warning("half")
        entered.set()
        assert leave.wait(240)

    run_id = ledger.scheduler.enqueue("work")
    step(ledger.scheduler)
    assert entered.wait(240)
    for _ in range(3):
        ledger.world.clock.advance(2)
        step(ledger.scheduler)
    assert ledger.scheduler.run(run_id).progress is None
    leave.set()
    wait_until(lambda: not ledger.scheduler.in_flight())
    run = ledger.scheduler.run(run_id)
    assert (run.state, run.attempt, ledger.effects()) == ("succeeded", 1, [1])
    assert run.progress is not None
    engine.dispose()


# ------------------------------------------------------------------------------------- SQLite


@pytest.fixture
def one_writer(prepared_sqlite_url: str) -> Iterator[Ledger]:
    """A ledger on SQLite."""
    world = World(prepared_sqlite_url)
    yield Ledger(world)
    world.close()


@pytest.mark.parametrize("prepared", [False, True], ids=["plain", "prepared"])
def test_rule_26_on_sqlite_the_function_starts_as_a_writer(
    one_writer: Ledger, prepared: bool
) -> None:
    """Otherwise a function that reads first and writes later could fail at once."""
    engine = create_engine(one_writer.scheduler.store.url, connect_args={"timeout": 0})
    host = prepare_engine(engine) if prepared else engine
    seen: list[str] = []

    def body(session: Session) -> None:
        session.execute(text("select * from effect"))
        with create_engine(engine.url, connect_args={"timeout": 0}).connect() as rival:
            with pytest.raises(Exception, match="locked"):
                rival.exec_driver_sql("BEGIN IMMEDIATE")
            seen.append("locked")

    ledger = one_writer
    ledger.scheduler.task(name="reads", transactional=sessionmaker(host))(_named(body))
    assert ledger.run("reads").state == "succeeded"
    assert seen == ["locked"]
    engine.dispose()


def test_rule_26_on_sqlite_a_call_beside_the_transaction_is_refused_at_once(
    one_writer: Ledger,
) -> None:
    """Without ``session=`` it would wait for a lock that the function itself holds."""

    def body(_session: Session) -> None:
        with pytest.raises(LifecycleError, match="session=session"):
            one_writer.scheduler.enqueue("work")

    one_writer.task(body)
    assert one_writer.run("work").state == "succeeded"


@pytest.mark.parametrize("sql_after", [False, True], ids=["hangs", "goes_on"])
def test_rule_26_on_sqlite_the_function_has_a_time_limit(
    one_writer: Ledger, sql_after: bool
) -> None:
    """After 5 s the transaction is rolled back, so that other writers can continue."""
    entered, leave = threading.Event(), threading.Event()

    def body(session: Session) -> None:
        entered.set()
        assert leave.wait(240)
        if sql_after:
            session.execute(ADD, {"n": 2})

    one_writer.task(body)
    run_id = one_writer.scheduler.enqueue("work")
    step(one_writer.scheduler)
    assert entered.wait(240)
    one_writer.world.clock.advance(5)
    other = one_writer.scheduler.enqueue("work")  # waits for the lock that the cut gives back
    one_writer.scheduler.cancel(other)
    leave.set()
    wait_until(lambda: not one_writer.scheduler.in_flight())
    one_writer.scheduler.tick()
    run = one_writer.scheduler.run(run_id)
    assert (run.state, run.error_type, one_writer.effects()) == ("failed", "TransactionError", [])
    assert "only write lock for 5 s" in (run.error_message or "")


def test_rule_26_a_longer_timeout_lengthens_the_limit(one_writer: Ledger) -> None:
    """A task's ``timeout=`` replaces the default limit."""
    entered, leave = threading.Event(), threading.Event()

    def body(_session: Session) -> None:
        entered.set()
        assert leave.wait(240)

    one_writer.task(body, timeout=60)
    run_id = one_writer.scheduler.enqueue("work")
    step(one_writer.scheduler)
    assert entered.wait(240)
    one_writer.world.clock.advance(30)
    leave.set()
    wait_until(lambda: not one_writer.scheduler.in_flight())
    assert one_writer.scheduler.run(run_id).state == "succeeded"


def test_a_connection_whose_commit_failed_is_not_used_again(ledger: Ledger) -> None:
    """SQLite stays inside a transaction whose commit failed, so the next run uses another."""
    store = ledger.scheduler.store
    if store.dialect.name != "sqlite":
        pytest.skip("a server ends the transaction that it refuses to commit")
    refused = [True]

    def checked(driver: Any, _record: Any) -> None:
        driver.execute("PRAGMA foreign_keys = ON")

    event.listen(store.engine, "connect", checked)
    store.engine.dispose()
    with store.engine.begin() as conn:
        conn.execute(text("create table owner (id integer primary key)"))
        conn.execute(
            text("create table pet (owner int references owner deferrable initially deferred)")
        )

    def body(session: Session) -> None:
        if refused and refused.pop():
            session.execute(text("insert into pet values (1)"))

    ledger.task(body)
    run = ledger.run("work")
    assert (run.state, ledger.effects()) == ("failed", [])
    assert "FOREIGN KEY" in (run.error_message or "")
    assert ledger.run("work").state == "succeeded"
    assert ledger.effects() == [1]

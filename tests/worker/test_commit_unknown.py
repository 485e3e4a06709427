"""Engine rule 3: when a commit's acknowledgement is lost, the run's row shows what happened."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Engine, event
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session, sessionmaker

from duly import Retry
from tests.worker.conftest import World
from tests.worker.internals import unwritten, write_back
from tests.worker.transactions import Ledger


@pytest.fixture
def ledger(world: World) -> Ledger:
    """A world with a table for effects."""
    return Ledger(world)


class Cut(Exception):
    """What a driver raises when the connection is gone."""


@contextmanager
def cut_at_commit(engine: Engine, *, before: bool) -> Iterator[list[str]]:
    """Lose the connection at the commit after an effect, before or after it takes place."""
    commit, seen = engine.dialect.do_commit, list[str]()
    wrote: set[int] = set()

    @event.listens_for(engine, "before_cursor_execute")
    def note(conn: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "into effect" in statement:
            wrote.add(id(conn.connection.driver_connection))

    def lost(connection: Any) -> None:
        driver = id(connection.driver_connection)
        if driver not in wrote:
            commit(connection)
            return
        wrote.discard(driver)
        seen.append("cut")
        if before:
            engine.dialect.do_rollback(connection)
        else:
            commit(connection)
        raise OperationalError("COMMIT", {}, Cut("server closed the connection"))

    engine.dialect.do_commit = lost  # type: ignore[method-assign, assignment]
    try:
        yield seen
    finally:
        engine.dialect.do_commit = commit  # type: ignore[method-assign]
        event.remove(engine, "before_cursor_execute", note)


def test_rule_03_a_commit_that_happened_although_it_raised(ledger: Ledger) -> None:
    """The acknowledgement was lost after the commit: the run has succeeded and is not retried."""
    ledger.task(lambda _session: "done", retry=Retry(attempts=3, wait=1))
    with cut_at_commit(ledger.scheduler.store.engine, before=False) as cuts:
        run = ledger.run("work")
    ledger.world.forward(ledger.scheduler, 60)
    run = ledger.scheduler.run(run.id)
    assert (cuts, run.state, run.result, run.attempt) == (["cut"], "succeeded", "done", 1)
    assert ledger.effects() == [1]
    assert ledger.scheduler.attempts(run.id) == []


def test_rule_03_a_commit_that_did_not_happen(ledger: Ledger) -> None:
    """The connection was lost before the commit: no effect is stored, and the run is retried."""
    ledger.task(lambda _session: "done", retry=Retry(attempts=3, wait=1, jitter=0))
    with cut_at_commit(ledger.scheduler.store.engine, before=True) as cuts:
        run = ledger.run("work")
    assert (cuts, run.state, ledger.effects()) == (["cut"], "scheduled", [])
    ledger.world.forward(ledger.scheduler, 60)
    run = ledger.scheduler.run(run.id)
    assert (run.state, run.attempt, ledger.effects()) == ("succeeded", 2, [1])


def test_rule_03_nothing_is_decided_while_the_outcome_is_unknown(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the database is unavailable the outcome waits; then the run's row decides it."""
    ledger.task(lambda _session: "done", retry=Retry(attempts=3, wait=1))
    store, away = ledger.scheduler.store, list[int]()
    begin = store.dialect.begin_write

    def unavailable(conn: Any) -> None:
        if away:
            raise OperationalError("", {}, Cut("unable to open"))
        begin(conn)

    monkeypatch.setattr(store.dialect, "begin_write", unavailable)
    monkeypatch.setattr(store.dialect, "is_unavailable", lambda _error: True)
    run_id = ledger.scheduler.enqueue("work")
    with cut_at_commit(store.engine, before=False) as cuts:
        event.listen(store.engine, "commit", lambda _conn: away.append(1) if cuts else None)
        with pytest.raises(Exception, match="does not answer"):
            _until_cut(ledger, cuts, away)
    assert unwritten(ledger.scheduler) == 1
    away.clear()
    ledger.scheduler.tick()
    run = ledger.scheduler.run(run_id)
    assert (run.state, run.attempt, ledger.effects()) == ("succeeded", 1, [1])


def _until_cut(ledger: Ledger, cuts: list[str], away: list[int]) -> None:
    from tests.support.waiting import wait_until
    from tests.worker.conftest import step

    step(ledger.scheduler)
    wait_until(lambda: cuts and not ledger.scheduler.in_flight())
    away.append(1)
    write_back(ledger.scheduler)


@pytest.mark.parametrize("own", [True, False], ids=["engine_listens", "session_listens"])
def test_rule_03_an_error_after_the_commit_changes_nothing(ledger: Ledger, own: bool) -> None:
    """A host's listener that raises after the commit cannot turn a success into a failure."""

    def broken(_session: Any) -> None:
        raise ValueError("the host's own fault")

    maker = sessionmaker(ledger.scheduler.store.engine)
    factory: Callable[[], Session] = maker
    if own:
        event.listen(maker, "after_commit", broken)
    else:

        def break_at_the_end(session: Session, transaction: Any) -> None:
            if transaction.parent is None:
                broken(session)

        def make() -> Session:
            session = maker()
            event.listen(session, "after_transaction_end", break_at_the_end)
            return session

        factory = make
    ledger.task(lambda _session: "done", transactional=factory, retry=Retry(attempts=3, wait=1))
    run = ledger.run("work")
    ledger.world.forward(ledger.scheduler, 60)
    run = ledger.scheduler.run(run.id)
    assert (run.state, run.result, run.attempt, ledger.effects()) == ("succeeded", "done", 1, [1])

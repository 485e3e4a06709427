"""A command that another transaction is in the way of is made again; the caller's own never is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from duly import Scheduler, VirtualClock, every, prepare_engine, weekends
from duly.errors import DatabaseBusy
from tests.operations.conftest import START

COMMANDS: dict[str, Callable[[Scheduler, str], Any]] = {
    "add": lambda s, _run: s.add("work", every(hours=1), id="other"),
    "add_many": lambda s, _run: s.add_many(
        {"task": "work", "trigger": every(hours=n)} for n in [9]
    ),
    "backfill": lambda s, _run: s.backfill("j", START - timedelta(hours=2), START),
    "cancel": lambda s, run: s.cancel(run),
    "edit": lambda s, _run: s.edit("j", overlap="allow"),
    "enqueue": lambda s, _run: s.enqueue("work"),
    "enqueue_many": lambda s, _run: s.enqueue_many("work", ({"n": n} for n in range(2))),
    "pause": lambda s, _run: s.pause("j"),
    "pause_queue": lambda s, _run: s.pause_queue("default"),
    "remove": lambda s, _run: s.remove("j"),
    "run_now": lambda s, _run: s.run_now("j"),
    "set_calendar": lambda s, _run: s.set_calendar("bank", weekends()),
    "set_limit": lambda s, _run: s.set_limit("key", 2),
    "stop_all": lambda s, _run: s.stop_all(),
}


@pytest.fixture
def held_up(scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The next two transactions are in the way of others; says how many have been."""
    write, tries = scheduler.store.write, []

    @contextmanager
    def busy(actor: str | None = None, **_said: Any) -> Iterator[Any]:
        tries.append(1)
        with write(actor) as tx:
            yield tx
            if len(tries) < 3:
                raise DatabaseBusy("another transaction was in the way")

    monkeypatch.setattr(scheduler.store, "write", busy)
    return tries


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_is_made_again(
    scheduler: Scheduler, request: pytest.FixtureRequest, clock: VirtualClock, command: str
) -> None:
    """What its first tries did is rolled back; the third one is the only one that counts."""
    scheduler.add("work", every(hours=1, anchor=START), id="j")
    run_id = scheduler.enqueue("work")
    before = len(scheduler.events(limit=100))
    tries: list[int] = request.getfixturevalue("held_up")
    COMMANDS[command](scheduler, run_id)
    assert len(tries) == 3
    assert len(scheduler.events(limit=100)) - before <= 2
    assert len(scheduler.runs()) <= 3


def test_on_the_callers_session_it_is_not(
    scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the caller can begin its transaction anew."""
    scheduler.prepare()
    engine = prepare_engine(create_engine(scheduler.store.url))
    joined: list[int] = []

    @contextmanager
    def busy(*_args: Any) -> Iterator[Any]:
        joined.append(1)
        raise DatabaseBusy("another transaction was in the way")
        yield

    monkeypatch.setattr(scheduler.store, "join", busy)
    with Session(engine) as session, pytest.raises(DatabaseBusy):
        scheduler.enqueue("work", session=session)
    assert joined == [1]
    engine.dispose()

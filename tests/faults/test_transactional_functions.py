"""What a transactional function does with its transaction, and what becomes of its effects."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from functools import partial
from typing import Any

import pytest
from sqlalchemy import create_engine, event, text
from sqlalchemy.orm import Session, sessionmaker

from tests.worker.conftest import World
from tests.worker.transactions import ADD, Ledger, driver_of


@pytest.fixture
def ledger(prepared_database_url: str) -> Iterator[Ledger]:
    """A scheduler with a table for effects."""
    world = World(prepared_database_url)
    yield Ledger(world)
    world.close()


def _mark_of(statements: list[str]) -> str:
    """The name of the savepoint that the worker sets before it calls the function."""
    return next(text.split()[-1] for text in statements if text.startswith("SAVEPOINT duly_"))


def _by_text(session: Session, *statements: str) -> None:
    for statement in statements:
        session.execute(text(statement))


def _by_driver(session: Session, *statements: str) -> None:
    cursor = driver_of(session.connection()).cursor()
    for statement in statements:
        cursor.execute(statement)
    cursor.close()


ESCAPES: dict[str, tuple[Callable[..., None], list[str]]] = {
    "release": (_by_text, ["RELEASE SAVEPOINT {mark}"]),
    "release_and_set": (_by_text, ["RELEASE SAVEPOINT {mark}", "SAVEPOINT {mark}"]),
    "driver_release": (_by_driver, ["RELEASE SAVEPOINT {mark}"]),
    "fixed_name": (_by_driver, ["COMMIT", "BEGIN", "SAVEPOINT duly_run"]),
}


@pytest.mark.parametrize("swallowed", [False, True], ids=["raises", "swallowed"])
@pytest.mark.parametrize("way", ESCAPES)
def test_E15_a_function_that_releases_the_workers_savepoint_fails(
    ledger: Ledger, way: str, swallowed: bool
) -> None:
    """It cannot go on as if nothing had happened: its run fails, and no effect of it stays.

    A commit on the driver's own connection cannot be undone, but neither can it be hidden.
    """
    seen: list[str] = []
    engine = create_engine(ledger.scheduler.store.url)
    event.listen(
        engine, "before_cursor_execute", lambda _c, _cursor, statement, *_: seen.append(statement)
    )
    act, statements = ESCAPES[way]
    swallow: Callable[[], Any] = partial(suppress, Exception) if swallowed else nullcontext

    def body(session: Session) -> None:
        with swallow():
            act(session, *(text.format(mark=_mark_of(seen)) for text in statements))
        with swallow():
            session.execute(ADD, {"n": 2})

    ledger.task(body, transactional=sessionmaker(engine))
    run = ledger.run("work")
    engine.dispose()
    assert (run.state, run.error_type) == ("failed", "TransactionError")
    assert ledger.effects() == ([1] if way == "fixed_name" else [])

"""Transactional runs: what the function does and its run's completion are one commit."""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy.orm import Session

from duly.errors import TransactionError
from duly.executors.base import CallResult, refuse_unfinished, result_text
from duly.executors.event_loop import awaited
from duly.registry import Task
from duly.run_log import run_fields
from duly.store.host.sessions import AsyncSessionLike, Sessions
from duly.store.store import Store
from duly.worker.attempt import Attempt, Phase
from duly.worker.completion import complete
from duly.worker.session_guard import SessionGuard

log = logging.getLogger("duly.worker")
_UNCLOSED = "The session of run %s could not be closed."
TRIES = 3
"""The maximum number of calls of a function whose transaction is rolled back by conflicts."""


class Transactions:
    """Wraps transactional functions.

    Args:
        store: the database.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._sessions = Sessions(store)

    def wrap(self, attempt: Attempt, task: Task) -> Callable[..., Any]:
        """Return a function that calls the task's in a transaction which also ends its run.

        It is a coroutine function if the task's is one. When it returns, the run has ended in the
        database too (`Phase.COMMITTED`). If it raises, nothing is committed, unless the
        acknowledgement of the commit was lost; the run's row then shows what happened.
        """
        attempt.transactional = True
        call = TransactionalCall(self._store, self._sessions, attempt, task)
        return call.run_async if task.is_async else call.run


class TransactionalCall:
    """The call of a transactional function for one attempt.

    Args:
        store: the database.
        sessions: opens its session.
        attempt: the attempt.
        task: the task.
    """

    def __init__(self, store: Store, sessions: Sessions, attempt: Attempt, task: Task) -> None:
        self._store = store
        self._sessions = sessions
        self._attempt = attempt
        self._task = task
        limit = store.dialect.session_limit
        self._limit = None if limit is None else attempt.claim.policy.timeout or limit

    def run(self, **arguments: Any) -> None:
        """Call a plain function; what it returns is stored with the completion of its run."""
        tries = 1
        while True:
            try:
                self._try(arguments)
                return
            except Exception as error:
                if tries == TRIES or not self._may_repeat(error):
                    raise
            arguments |= self._start_over()
            tries += 1

    async def run_async(self, **arguments: Any) -> None:
        """Call a coroutine function; what it returns is stored with the completion of its run."""
        tries = 1
        while True:
            try:
                await self._try_async(arguments)
                return
            except Exception as error:
                if tries == TRIES or not self._may_repeat(error):
                    raise
            arguments |= self._start_over()
            tries += 1

    def _try(self, arguments: dict[str, Any]) -> None:
        session = self._sessions.open(self._task.transactional)
        guard = SessionGuard(session, self._store)
        try:
            guard.begin()
            self._attempt.run.given_connection = guard.connection
            with self._time_limit(guard):
                value = self._task.function(**arguments, **self._given(session))
                _refuse_awaitable(value)
                text = result_text(value, self._attempt.run)
            self._commit(guard, text)
        finally:
            self._close(guard, session)

    async def _try_async(self, arguments: dict[str, Any]) -> None:
        session = self._sessions.open_async(self._task.transactional)
        guard = SessionGuard(session.sync_session, self._store)
        try:
            await session.run_sync(lambda _session: guard.begin())
            text = await self._call_in_time(arguments | self._given(session))
            await _await_shielded(session.run_sync(lambda _session: self._commit(guard, text)))
        finally:
            await _await_shielded(self._close_async(guard, session))

    def _given(self, session: Session | AsyncSessionLike) -> dict[str, Any]:
        self._attempt.run.given_session = session
        return dict.fromkeys(self._task.signature.sessions, session)

    def _commit(self, guard: SessionGuard, text: str | None) -> None:
        attempt = self._attempt
        try:
            guard.commit(lambda tx: complete(tx, attempt, CallResult(text)))
        except Exception:
            if not guard.committed:
                raise
            log.exception(
                "Run %s is committed; an error followed the commit.", attempt.claim.id,
                extra=run_fields(attempt.claim),
            )  # fmt: skip
        attempt.unsent.clear()
        attempt.advance(Phase.COMMITTED)

    def _close(self, guard: SessionGuard, session: Session) -> None:
        try:
            guard.end()
            self._sessions.close(self._task.transactional, session)
        except Exception:  # the run's outcome is already decided
            claim = self._attempt.claim
            log.exception(_UNCLOSED, claim.id, extra=run_fields(claim))

    async def _close_async(self, guard: SessionGuard, session: AsyncSessionLike) -> None:
        try:
            await session.run_sync(lambda _session: guard.end())
            await self._sessions.close_async(self._task.transactional, session)
        except Exception:  # the run's outcome is already decided
            claim = self._attempt.claim
            log.exception(_UNCLOSED, claim.id, extra=run_fields(claim))

    def _may_repeat(self, error: Exception) -> bool:
        """Return whether the database rolled the transaction back because of a conflict."""
        attempt = self._attempt
        stopped = attempt.phase > Phase.RUNNING or attempt.run.cancelled
        return not stopped and self._store.is_conflict(error)

    def _start_over(self) -> dict[str, Any]:
        """Reset what the failed try reported, and return fresh arguments."""
        claim = self._attempt.claim
        log.info(
            "Run %s conflicted with another transaction; retrying.", claim.id,
            extra=run_fields(claim),
        )  # fmt: skip
        self._attempt.run.start_over()
        return self._task.signature.decode(claim.args, self._attempt.run.resolve_secret)

    @contextmanager
    def _time_limit(self, guard: SessionGuard) -> Iterator[None]:
        if self._limit is None:
            yield
            return
        ended = threading.Event()
        watch = threading.Thread(
            target=self._watch, args=(guard, ended), name="duly-limit", daemon=True
        )
        watch.start()
        try:
            yield
        finally:
            ended.set()

    def _watch(self, guard: SessionGuard, ended: threading.Event) -> None:
        if not self._store.clock.wait(ended, self._limit or 0):
            guard.cut(self._limit_message)

    async def _call_in_time(self, arguments: dict[str, Any]) -> str | None:
        limit = asyncio.timeout(self._limit)
        try:
            async with limit:
                value = await awaited(self._task.function(**arguments))
                text = result_text(value, self._attempt.run)
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise TransactionError(self._limit_message) from error
        if limit.expired():
            raise TransactionError(self._limit_message)
        return text

    @property
    def _limit_message(self) -> str:
        return (
            f"the function held the database's only write lock for {self._limit:g} s, while all "
            "other writers waited, and was rolled back; do the slow part in a task that is not "
            "transactional, or give this one a longer timeout="
        )


def _refuse_awaitable(value: Any) -> None:
    """Roll back when a plain function returns a coroutine: its transaction is a synchronous one.

    Raises:
        TransactionError: the value is awaitable.
    """
    if inspect.isawaitable(value):
        if inspect.iscoroutine(value):
            value.close()
        raise TransactionError(
            f"the function returned {type(value).__name__!r}, which nothing awaits; declare it "
            "with async def and ask for an AsyncSession, or await in the function"
        )
    refuse_unfinished(value)


async def _await_shielded(work: Coroutine[Any, Any, None]) -> None:
    """Await a coroutine to its end even if this task is cancelled: a commit must not be cut off."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        task.result()

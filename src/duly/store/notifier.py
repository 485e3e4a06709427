"""Wake other processes after a commit, as a hint that work is due.

Correctness depends on polling alone. A notice only makes another process poll earlier, so that a
call which one process enqueues starts in another within milliseconds. It is sent on a connection of
Duly's own and never in the caller's transaction, where it would forbid two-phase commit and
serialize all commits of the server.
"""

from __future__ import annotations

import logging
import threading
from typing import Any, Protocol

from sqlalchemy import Engine

from duly.errors import LifecycleError
from duly.model.identity import new_id

log = logging.getLogger("duly.store")
PAUSE = 0.005
"""Seconds between two notices, so that a loop of calls does not send one for each call."""

LINGER = 5.0
"""Seconds for which the sending thread waits for another notice before it ends."""


class Subscription(Protocol):
    """A connection that receives notices."""

    def wait(self) -> bool:
        """Wait for a notice; return ``False`` when `stop` was called."""

    def stop(self) -> None:
        """End the wait; callable from any thread."""

    def close(self) -> None:
        """Close the connection."""


class NoticeDialect(Protocol):
    """The part of a dialect whose database can send notices."""

    def send_notice(self, engine: Engine, sender: str) -> None:
        """Send a notice with the name of its sender."""

    def subscribe(self, engine: Engine, sender: str) -> Subscription:
        """Subscribe to the notices of all other senders."""


class Notifier:
    """Sends and receives the notices of one process.

    Args:
        engine: the engine that sends them.
        listener_engine: the engine that receives them: the same, or one that bypasses a pooler;
            ``None``: they are not received.
        dialect: ``None``: the database cannot send notices, so other processes only poll.
    """

    def __init__(
        self, engine: Engine, listener_engine: Engine | None, dialect: NoticeDialect | None
    ) -> None:
        self._engine = engine
        self._listener_engine = listener_engine
        self._dialect = dialect
        self._name = new_id()
        self._changed = threading.Condition()
        self._wanted = False
        self._sending = False
        self._resting = False
        self._sender: threading.Thread | None = None

    @property
    def can_subscribe(self) -> bool:
        """Whether this process can receive notices."""
        return self._dialect is not None and self._listener_engine is not None

    def send(self) -> None:
        """Wake the other processes soon; many calls in a row become few notices."""
        if self._dialect is None:
            return
        with self._changed:
            self._wanted = True
            if not self._resting:  # waking the sender early would cost more than the call
                self._changed.notify_all()
            if self._sender is None:
                self._start_sender(self._dialect)

    def _start_sender(self, dialect: NoticeDialect) -> None:
        """Start the sending thread; if the system refuses one, the next notice tries again."""
        sender = threading.Thread(
            target=self._serve, args=(dialect,), name="duly-notices", daemon=True
        )
        try:
            sender.start()
        except (RuntimeError, MemoryError) as error:  # what is announced has been committed
            self._wanted = False
            log.warning("A notice was not sent (%s); other processes find the work later.", error)
        else:
            self._sender = sender

    def settle(self) -> None:
        """Wait until no notice is being sent, for at most `LINGER` seconds.

        Call it before the engine is disposed, which does not close a connection in use.
        """
        with self._changed:
            self._changed.wait_for(lambda: not (self._wanted or self._sending), LINGER)

    def subscribe(self) -> Subscription:
        """Subscribe to the notices of other processes.

        Raises:
            LifecycleError: this process cannot receive notices.
            SQLAlchemyError: the database does not answer.
        """
        if self._dialect is None or self._listener_engine is None:
            raise LifecycleError("this process cannot receive notices")
        return self._dialect.subscribe(self._listener_engine, self._name)

    def _serve(self, dialect: NoticeDialect) -> None:
        while self._is_wanted():
            try:
                dialect.send_notice(self._engine, self._name)
            except Exception as error:  # noqa: BLE001 - the next one may be sent
                log.debug(
                    "A notice was not sent (%s); other processes find the work by polling.", error
                )
            self._rest()

    def _rest(self) -> None:
        with self._changed:
            self._resting = True
            self._changed.wait(PAUSE)
            self._resting = False

    def _is_wanted(self) -> bool:
        with self._changed:
            self._sending = False
            self._changed.notify_all()
            wanted: Any = self._changed.wait_for(lambda: self._wanted, LINGER)
            self._wanted, self._sending = False, bool(wanted)
            if not wanted:
                self._sender = None
            return self._sending

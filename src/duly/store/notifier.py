"""Notifier between processes: "there is something to do", sent after a commit, never relied upon.

Polling stays the truth. A notice only makes another process look earlier, so that a call which
one process enqueues starts in another within milliseconds. It goes out on a connection of Duly's
own, never in the caller's transaction: there it would forbid two-phase commit and put all commits
of the server in one queue.
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
"""Seconds after a notice before the next one: a loop of calls must not send one for each."""

LINGER = 5.0
"""Seconds that the sending thread waits for something more to send before it ends."""


class Subscription(Protocol):
    """A connection that hears notices."""

    def wait(self) -> bool:
        """Wait for a notice; ``False`` when `stop` was called."""

    def stop(self) -> None:
        """End the wait; callable from any thread."""

    def close(self) -> None:
        """Close the connection."""


class NoticeDialect(Protocol):
    """What a dialect does whose database carries notices."""

    def send_notice(self, engine: Engine, sender: str) -> None:
        """Send one, signed."""

    def subscribe(self, engine: Engine, sender: str) -> Subscription:
        """Begin to listen to all senders but this one."""


class Notifier:
    """One process's notices.

    Args:
        engine: where they are sent.
        ear: where they are heard: the same, or what reaches the server without a pooler between;
            ``None``: nowhere.
        dialect: ``None``: this database carries none, and others find out by looking.
    """

    def __init__(self, engine: Engine, ear: Engine | None, dialect: NoticeDialect | None) -> None:
        self._engine = engine
        self._listener = ear
        self._dialect = dialect
        self._name = new_id()
        self._changed = threading.Condition()
        self._wanted = False
        self._sending = False
        self._resting = False
        self._sender: threading.Thread | None = None

    @property
    def can_subscribe(self) -> bool:
        """Whether this process can hear notices."""
        return self._dialect is not None and self._listener is not None

    def send(self) -> None:
        """Tell the others soon; many calls one after the other become few notices."""
        if self._dialect is None:
            return
        with self._changed:
            self._wanted = True
            if not self._resting:  # waking the sender for nothing costs more than the call
                self._changed.notify_all()
            if self._sender is None:
                self._sender = threading.Thread(
                    target=self._serve, args=(self._dialect,), name="duly-notices", daemon=True
                )
                self._sender.start()

    def settle(self) -> None:
        """Wait until nothing is being sent, for five seconds at most.

        Whoever closes the engine's connections would miss the one that is in use.
        """
        with self._changed:
            self._changed.wait_for(lambda: not (self._wanted or self._sending), LINGER)

    def subscribe(self) -> Subscription:
        """Begin to listen.

        Raises:
            LifecycleError: nothing can be heard here.
            SQLAlchemyError: the database does not answer.
        """
        if self._dialect is None or self._listener is None:
            raise LifecycleError("this process cannot hear notices")
        return self._dialect.subscribe(self._listener, self._name)

    def _serve(self, dialect: NoticeDialect) -> None:
        while self._is_wanted():
            try:
                dialect.send_notice(self._engine, self._name)
            except Exception as error:  # noqa: BLE001 - the next one may be sent
                log.debug("a notice was not sent (%s); the others look by themselves", error)
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

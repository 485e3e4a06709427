"""Notices between processes by NOTIFY and LISTEN."""

from __future__ import annotations

import selectors
import socket
from typing import Any

from sqlalchemy import Engine

CHANNEL = "duly"


class PostgreSQLNotifier:
    """See `NoticeDialect`."""

    def send_notice(self, engine: Engine, sender: str) -> None:
        """See `NoticeDialect.send_notice`."""
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
            conn.exec_driver_sql(f"notify {CHANNEL}, '{sender}'")

    def subscribe(self, engine: Engine, sender: str) -> Listener:
        """See `NoticeDialect.subscribe`."""
        return Listener(engine.raw_connection(), sender)


class Listener:
    """See `Subscription`.

    Args:
        pooled: a connection, which is detached from its pool.
        own_name: the name of this process, whose notices are ignored.
    """

    def __init__(self, pooled: Any, own_name: str) -> None:
        self._own_name = own_name.encode()
        self._connection = pooled.driver_connection
        pooled.detach()
        self._pooled = pooled  # garbage collection would close the connection
        self._connection.autocommit = True
        self._connection.execute(f"listen {CHANNEL}")
        self._awake, self._stop = socket.socketpair()
        self._selector = selectors.DefaultSelector()  # select() refuses descriptors above 1,023
        self._selector.register(self._connection, selectors.EVENT_READ)
        self._selector.register(self._awake, selectors.EVENT_READ)

    def wait(self) -> bool:
        """See `Subscription.wait`."""
        while True:
            ready = {key.fileobj for key, _events in self._selector.select()}
            if self._awake in ready:
                return False
            self._connection.pgconn.consume_input()
            found = False
            while (notice := self._connection.pgconn.notifies()) is not None:
                found |= notice.extra != self._own_name
            if found:
                return True

    def stop(self) -> None:
        """See `Subscription.stop`."""
        self._stop.send(b".")

    def close(self) -> None:
        """See `Subscription.close`."""
        self._selector.close()
        self._connection.close()
        self._pooled.invalidate()  # SQLAlchemy would log that it cannot be reset if it is broken
        self._awake.close()
        self._stop.close()

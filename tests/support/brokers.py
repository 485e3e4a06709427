"""Message brokers for tests: RabbitMQ and Redis, where they can be reached."""

from __future__ import annotations

import os
import socket
import uuid
from contextlib import suppress
from urllib.parse import urlsplit

from kombu.connection import Connection

URLS = {
    "redis": os.environ.get("DULY_TEST_REDIS", "redis://127.0.0.1:6379/9"),
    "rabbitmq": os.environ.get("DULY_TEST_RABBITMQ", "amqp://guest:guest@127.0.0.1:5672//"),
}
PORTS = {"redis": 6379, "rabbitmq": 5672}


class Broker:
    """A broker with a queue of its own, which `close` deletes.

    Args:
        kind: ``redis`` or ``rabbitmq``.

    Attributes:
        url: its URL.
        queue: the name of the queue, which also begins the names of all keys in Redis.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.url = URLS[kind]
        self.queue = f"duly-test-{uuid.uuid4().hex[:12]}"

    @property
    def address(self) -> tuple[str, int]:
        """Its host and port."""
        parts = urlsplit(self.url)
        return parts.hostname or "127.0.0.1", parts.port or PORTS[self.kind]

    def through(self, port: int) -> str:
        """Return its URL through a proxy on a local port."""
        parts = urlsplit(self.url)
        login = f"{parts.username}:{parts.password}@" if parts.username else ""
        return parts._replace(netloc=f"{login}127.0.0.1:{port}").geturl()

    @property
    def env(self) -> dict[str, str]:
        """The environment of a process that uses it."""
        return {"BROKER": self.url, "BROKER_QUEUE": self.queue}

    def depth(self) -> int:
        """Return the number of messages in the queue."""
        with Connection(self.url) as connection, connection.channel() as channel:
            try:
                return int(channel.queue_declare(self.queue, passive=True).message_count)
            except connection.channel_errors:  # there is no such queue yet
                return 0

    def close(self) -> None:
        """Delete everything that the test has left in it."""
        if self.kind == "redis":
            from redis import Redis

            client = Redis.from_url(self.url)
            for key in client.scan_iter(f"{self.queue}*", count=1000):
                client.delete(key)
            client.close()
            return
        with Connection(self.url) as connection, connection.channel() as channel:
            channel.queue_delete(self.queue)
            with suppress(Exception):
                channel.exchange_delete(self.queue)


def why_not(kind: str) -> str | None:
    """Return why a broker cannot be used here; ``None``: it can."""
    broker = Broker(kind)
    try:
        socket.create_connection(broker.address, timeout=2).close()
    except OSError as error:
        host, port = broker.address
        return f"no {kind} at {host}:{port} ({error}); set DULY_TEST_{kind.upper()} to its URL"
    return None

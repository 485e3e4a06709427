"""Find slow work that an application does while one of its transactions is open.

On SQLite all other writers wait for an open transaction; on other databases a connection of the
pool is missing meanwhile, and rows stay locked.
"""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import smtplib
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import argon2
import httpx
import httpx2
import jinja2
import pytest
from sqlalchemy import Connection, Engine, event
from starlette.websockets import WebSocket

SLOW: tuple[tuple[Any, str], ...] = (
    (argon2.PasswordHasher, "hash"),
    (argon2.PasswordHasher, "verify"),
    (hashlib, "pbkdf2_hmac"),
    (time, "sleep"),
    (asyncio, "sleep"),
    (asyncio, "to_thread"),
    (asyncio.BaseEventLoop, "run_in_executor"),
    (jinja2.Template, "render"),
    (httpx.Client, "send"),
    (httpx.AsyncClient, "send"),
    (httpx2.Client, "send"),
    (http.client.HTTPConnection, "request"),
    (urllib.request, "urlopen"),
    (smtplib.SMTP, "__init__"),
    (subprocess.Popen, "__init__"),
    (WebSocket, "send"),
)
"""What takes long or waits for others: hashing, sleeping, threads, rendering, sending."""


class SlowWork:
    """The slow work that was done within transactions.

    Attributes:
        found: a description of each, which names the line in the application.
    """

    def __init__(self) -> None:
        self.found: list[str] = []
        self._open: Counter[object] = Counter()

    @contextmanager
    def watched(self) -> Iterator[SlowWork]:
        """Watch all engines and tasks or threads of this process."""
        listeners = (("begin", self._begin), ("commit", self._end), ("rollback", self._end))
        with pytest.MonkeyPatch.context() as patch:
            for owner, name in SLOW:
                patch.setattr(owner, name, self._noting(owner, name))
            for moment, listener in listeners:
                event.listen(Engine, moment, listener)
            try:
                yield self
            finally:
                for moment, listener in listeners:
                    event.remove(Engine, moment, listener)

    def _begin(self, conn: Connection) -> None:
        actor = _actor()
        conn.info[self] = actor
        self._open[actor] += 1

    def _end(self, conn: Connection) -> None:
        actor = conn.info.pop(self, None)
        if actor is not None:
            self._open[actor] -= 1

    def _noting(self, owner: Any, name: str) -> Any:
        real = getattr(owner, name)

        def called(*args: Any, **kwargs: Any) -> Any:
            briefly = name == "sleep" and args and not args[0]
            if self._open[_actor()] > 0 and not briefly:
                self.found.append(f"{owner.__name__}.{name} {_line()}")
            return real(*args, **kwargs)

        return called


def _actor() -> object:
    """Return the task that is running, or the thread outside of tasks."""
    try:
        return asyncio.current_task() or threading.current_thread()
    except RuntimeError:
        return threading.current_thread()


def _line() -> str:
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        if "/apps/" in frame.f_code.co_filename:
            return f"at {frame.f_code.co_filename}:{frame.f_lineno}"
        frame = frame.f_back
    return "at an unknown line"

"""Report which transaction held SQLite's only write lock for long.

A transaction becomes a few microseconds longer: the stack is read where it begins, and the line is
formatted only for a report.
"""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from sqlalchemy import Connection, Engine, event

from duly.clock import Clock, SystemClock

log = logging.getLogger("duly.store")
WARN_AFTER_S = 5.0
"""Seconds after which an open write transaction is reported: half of the busy timeout."""

READ_ONLY = "duly_read_only"
"""The execution option of connections that only read."""

CLOCK: Clock = SystemClock()
_OPEN = "duly_open_write"
_PLUMBING = ("sqlalchemy.", "duly.store.", "contextlib", "greenlet", "asyncio.", "threading")


@dataclass(frozen=True, slots=True)
class OpenWrite:
    """A write transaction that is open.

    Attributes:
        since: the reading of the steady clock when it began.
        code: the function that began it.
        line: the line in that function's file.
    """

    since: float
    code: CodeType
    line: int


def report_long_writes(engine: Engine, warn_after: float) -> None:
    """Log one warning for each write transaction of an engine that stays open for long.

    Args:
        engine: an engine whose transactions begin as writers.
        warn_after: seconds after which a transaction is reported, when it ends.
    """

    def on_begin(conn: Connection) -> None:
        if _is_writing(conn) and not conn.get_execution_options().get(READ_ONLY, False):
            conn.info[_OPEN] = OpenWrite(CLOCK.monotonic(), *_beginning())

    def on_end(conn: Connection) -> None:
        if conn.invalidated:  # its info went with it, and asking for it would raise
            return
        opened: OpenWrite | None = conn.info.pop(_OPEN, None)
        if opened is None:
            return
        seconds = CLOCK.monotonic() - opened.since
        if seconds > warn_after and _is_writing(conn):
            log.warning(
                "A write transaction on %s was open for %.1f s while all other writers waited. It "
                "began at %s:%d, in %s. Do slow work, such as hashing a password or calling a "
                "service, outside it.",
                Path(engine.url.database or "memory").name, seconds, opened.code.co_filename,
                opened.line, opened.code.co_qualname,
            )  # fmt: skip

    event.listen(engine, "begin", on_begin)
    event.listen(engine, "commit", on_end)
    event.listen(engine, "rollback", on_end)


def _is_writing(conn: Connection) -> bool:
    """Return whether the transaction has not been ended behind SQLAlchemy's back."""
    driver: Any = conn.connection.driver_connection
    return bool(driver.in_transaction)


def _beginning() -> tuple[CodeType, int]:
    """Return the line of the user's code that is executing; without any, the line of Duly's."""
    frame: FrameType | None = sys._getframe(2)
    own: FrameType | None = None
    awaited = False
    while frame is not None:
        module = frame.f_globals.get("__name__") or ""
        if not module.startswith(_PLUMBING):
            if not module.startswith("duly."):
                return frame.f_code, frame.f_lineno
            own = own or frame
        frame = frame.f_back
        if frame is None and not awaited:
            awaited, frame = True, _awaiting()
    return (_beginning.__code__, 0) if own is None else (own.f_code, own.f_lineno)


def _awaiting() -> FrameType | None:
    """Return the frame that awaits an asyncio session, whose work runs in a greenlet."""
    greenlet = sys.modules.get("greenlet")
    parent: Any = None if greenlet is None else greenlet.getcurrent().parent
    suspended: FrameType | None = None if parent is None else parent.gr_frame
    return suspended

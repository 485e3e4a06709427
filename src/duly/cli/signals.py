"""SIGTERM and SIGINT: the first shuts down gracefully, the second at once, the third kills."""

from __future__ import annotations

import os
import selectors
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGTERM, signal.SIGINT)
POLL_INTERVAL_S = 1.0


class Interrupted(BaseException):
    """The first signal arrived during work that only an exception can end."""


class StopSignals:
    """Counts the signals that ask this process to stop; previous handlers are called as well.

    The handler does very little, because it may interrupt code that holds a lock. Nor can it run
    while the main thread is in a call that the signal did not end, so the interpreter itself writes
    to a pipe, which `wait` watches.

    Args:
        skip_grace: called at the second signal; the third one ends the process immediately.

    Attributes:
        received: the names of the signals so far.
        reader: a descriptor that is readable when a signal has arrived, until `clear` is called.
    """

    def __init__(self, skip_grace: Callable[[], None]) -> None:
        self._skip_grace = skip_grace
        self._previous: dict[int, Any] = {}
        self._raises = False
        self.reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)
        self._previous_fd = -1
        self.received: list[str] = []

    def __enter__(self) -> StopSignals:
        self._previous_fd = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        for number in SIGNALS:
            previous = signal.getsignal(number)
            if previous is not signal.SIG_IGN:  # which shells set for background processes
                self._previous[number] = previous
                signal.signal(number, self._handle)
        return self

    def __exit__(self, *_error: object) -> None:
        for number, previous in self._previous.items():
            signal.signal(number, previous)
        signal.set_wakeup_fd(self._previous_fd)
        os.close(self.reader)
        os.close(self._writer)

    def wait(self) -> None:
        """Wait for the first signal."""
        with selectors.DefaultSelector() as selector:  # select() refuses descriptors above 1,023
            selector.register(self.reader, selectors.EVENT_READ)
            while not self.received:
                if selector.select(POLL_INTERVAL_S):
                    self.clear()

    def clear(self) -> None:
        """Read what has made `reader` readable."""
        os.read(self.reader, 1)

    @contextmanager
    def interrupting(self) -> Iterator[None]:
        """End the block of this context manager at the first signal."""
        self._raises = True
        try:
            if not self.received:
                yield
        except Interrupted:
            pass
        finally:
            self._raises = False

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if len(self.received) == 2:
            os._exit(128 + number)
        self.received.append(signal.Signals(number).name)
        if len(self.received) == 2:
            self._skip_grace()
        previous = self._previous[number]
        if callable(previous) and previous is not signal.default_int_handler:
            previous(number, frame)
        if self._raises:
            self._raises = False
            raise Interrupted

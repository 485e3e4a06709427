"""SIGTERM and SIGINT as a command obeys them: end in order, then at once, then whatever happens."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGTERM, signal.SIGINT)
LOOK_EVERY = 1.0


class Interrupted(BaseException):
    """The first signal came while something was done that nothing else ends."""


class StopSignals:
    """Counts the signals that ask this process to end; handlers set before are called as well.

    A handler does next to nothing: it may have interrupted anything, also a lock that it would
    wait for. And it cannot run while the main thread is inside a call that the signal did not end.
    So the interpreter itself writes to a pipe, which `wait` watches.

    Args:
        skip_grace: called at the second signal; at the third the process ends on the spot.
    """

    def __init__(self, skip_grace: Callable[[], None]) -> None:
        self._skip_grace = skip_grace
        self._before: dict[int, Any] = {}
        self._raises = False
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)
        self._woke_before = -1
        self.taken: list[str] = []

    def __enter__(self) -> StopSignals:
        self._woke_before = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        for number in SIGNALS:
            before = signal.getsignal(number)
            if before is not signal.SIG_IGN:  # as for what a shell starts in the background
                self._before[number] = before
                signal.signal(number, self._take)
        return self

    def __exit__(self, *_error: object) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)
        signal.set_wakeup_fd(self._woke_before)
        os.close(self._reader)
        os.close(self._writer)

    def wait(self) -> None:
        """Wait for the first signal."""
        while not self.taken:
            if select.select([self._reader], [], [], LOOK_EVERY)[0]:
                os.read(self._reader, 1)

    @contextmanager
    def interrupting(self) -> Iterator[None]:
        """The first signal ends what is done inside the ``with``."""
        self._raises = True
        try:
            if not self.taken:
                yield
        except Interrupted:
            pass
        finally:
            self._raises = False

    def _take(self, number: int, frame: FrameType | None) -> None:
        if len(self.taken) == 2:
            os._exit(128 + number)
        self.taken.append(signal.Signals(number).name)
        if len(self.taken) == 2:
            self._skip_grace()
        before = self._before[number]
        if callable(before) and before is not signal.default_int_handler:
            before(number, frame)
        if self._raises:
            self._raises = False
            raise Interrupted

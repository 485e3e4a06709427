"""The loop: steps a worker on a thread of its own, and waits between the steps."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Literal

from duly.errors import DatabaseUnavailable, DulyError
from duly.model.text import safe_str
from duly.store.outage import Outage
from duly.worker.notice_listener import NoticeListener
from duly.worker.wakeup import Wake, Wakeup

log = logging.getLogger("duly.worker")
State = Literal["stopped", "starting", "running", "stopping"]
FIRST_BACKOFF = 0.5
MAX_BACKOFF = 30.0
OUTAGE_BACKOFF = 5.0
"""The longest pause in seconds during an outage, if no other thread notices its end."""

REMIND_AFTER = 60.0
"""Seconds after which the same error of each step is logged again."""

JOIN_SECONDS = 0.5
STANDING_AFTER = 120.0
"""Seconds in one step after which the loop counts as standing, and its worker is fenced."""


class Loop:
    """One worker's loop.

    Args:
        step: takes a step of the worker; returns when the next one is due.
        on_start: called after the first step that succeeds.
        wakeup: ends the wait for the next step early.
        listener: wakes the loop when another process has sent a notice.
        outage: whether the database answers; the store logs when it does not.

    Attributes:
        state: the worker's current state.
        thread: ``None`` while the worker is not started, or is stepped by its caller.
    """

    def __init__(
        self,
        step: Callable[[], Wake],
        on_start: Callable[[], None],
        wakeup: Wakeup,
        listener: NoticeListener,
        outage: Outage,
    ) -> None:
        self._step = step
        self._on_start = on_start
        self._wakeup = wakeup
        self._listener = listener
        self._outage = outage
        self._halt = threading.Event()
        self._retry = threading.Event()
        self._logged: tuple[str, float] | None = None
        outage.at_end(self._retry.set)
        self.state: State = "stopped"
        self._started_at: float | None = None
        self.thread: threading.Thread | None = None
        self._trouble: str | None = None
        self._step_began: float | None = None

    @property
    def threaded(self) -> bool:
        """Whether the loop has a thread."""
        return self.thread is not None

    @property
    def starting_for(self) -> float | None:
        """Seconds since `start`, until the first step has succeeded."""
        if self.state != "starting" or self._started_at is None:
            return None
        return self._wakeup.clock.monotonic() - self._started_at

    @property
    def is_current_thread(self) -> bool:
        """Whether the caller runs on the loop's thread."""
        return threading.current_thread() is self.thread

    @property
    def trouble(self) -> str | None:
        """What is wrong: the last error until a step succeeds again, or a loop that stands."""
        if self._has_died:
            return "the loop's thread has ended"
        return self._standing or self._trouble

    def supervise(self) -> str | None:
        """Restart a loop whose thread has ended; called by the heartbeat.

        Returns:
            Why the worker must be fenced: its loop stands, so that others must take its runs.
        """
        if self._has_died and not self._halt.is_set():
            log.error("The loop's thread has ended; starting another one.")
            self._step_began = None
            self.thread = self._new_thread()
            self.thread.start()
        return self._standing

    @property
    def _has_died(self) -> bool:
        thread = self.thread
        return thread is not None and thread.ident is not None and not thread.is_alive()

    @property
    def _standing(self) -> str | None:
        began = self._step_began
        taken = 0.0 if began is None else self._wakeup.clock.monotonic() - began
        return f"a step has not ended for {taken:.0f} s" if taken > STANDING_AFTER else None

    def wake(self) -> None:
        """Take the next step now; callable from any thread."""
        self._wakeup.set()

    def start(self) -> None:
        """Start the thread."""
        self.state = "starting"
        self._started_at = self._wakeup.clock.monotonic()
        self._halt.clear()
        self.thread = self._new_thread()
        self.thread.start()
        self._listener.start()

    def stop(self) -> threading.Thread | None:
        """Take no further step; return the thread, which may still be in its last one."""
        thread, self.thread = self.thread, None
        self.state = "stopping"
        self._halt.set()
        self._retry.set()
        self._wakeup.set()
        self._listener.stop()
        if thread is not None:
            thread.join(timeout=JOIN_SECONDS)
        return thread

    def close(self) -> None:
        """Close the wake-up and mark the worker as stopped."""
        self._wakeup.close()
        self.state = "stopped"

    def _new_thread(self) -> threading.Thread:
        return threading.Thread(target=self._serve, name="duly-worker", daemon=True)

    def _serve(self) -> None:
        failures = 0
        while not self._halt.is_set():
            try:
                self._retry.clear()
                wake = self._timed_step()
                self._trouble = self._logged = None
                if self.state == "starting":
                    self._on_start()
                    self.state = "running"
                failures = 0
                if not wake.at_once:
                    self._wakeup.wait(wake.at)
            except BaseException as error:  # noqa: BLE001 - the loop must survive every error
                failures += 1
                self._back_off(error, failures)

    def _timed_step(self) -> Wake:
        self._step_began = self._wakeup.clock.monotonic()
        try:
            return self._step()
        finally:
            self._step_began = None

    def _back_off(self, error: BaseException, failures: int) -> None:
        self._trouble = f"{type(error).__name__}: {safe_str(error, 1_000)}"
        outage = self._outage.is_on and isinstance(error, DatabaseUnavailable)
        pause = min(OUTAGE_BACKOFF if outage else MAX_BACKOFF, FIRST_BACKOFF * 2 ** (failures - 1))
        if not outage:
            self._log(error, self._trouble, pause)
        if not self._halt.is_set():
            self._wakeup.clock.wait(self._retry, pause)

    def _log(self, error: BaseException, trouble: str, pause: float) -> None:
        """Log an error of a step, but one that repeats itself only once a minute."""
        now = self._wakeup.clock.monotonic()
        text = " ".join(trouble.split())
        if self._logged is not None:
            logged, at = self._logged
            if logged == text and now - at < REMIND_AFTER:
                return
        self._logged = text, now
        expected = isinstance(error, DulyError)
        log.error(
            "A step of the worker failed (%s); retrying in %.1f s.", text, pause,
            exc_info=not expected,
        )  # fmt: skip

"""A call that another thread of a process makes while the process stops."""

from __future__ import annotations

import threading
from collections.abc import Callable


class LateCall:
    """A call on a thread of its own that is held before its first write, and continues later.

    Only one of the two threads runs at any time, so that the same seed gives the same world.

    Args:
        actor: the number of the process that makes the call.
        call: the call.

    Attributes:
        actor: the number of the process that makes the call.
        pending: whether it is held.
        error: what it has raised.
    """

    def __init__(self, actor: int, call: Callable[[], object]) -> None:
        self.actor = actor
        self.pending = True
        self.error: BaseException | None = None
        self._call = call
        self._held, self._continue = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="late-call", daemon=True)

    @property
    def is_current(self) -> bool:
        """Whether the caller runs on this call's thread."""
        return threading.current_thread() is self._thread

    def start(self) -> None:
        """Make the call up to its first write."""
        self._thread.start()
        self._held.wait()

    def hold(self) -> None:
        """Wait, on this call's thread, until `finish` is called."""
        self._held.set()
        self._continue.wait()

    def finish(self) -> None:
        """Let the call continue, and wait until it has ended."""
        self.pending = False
        self._continue.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            self._call()
        except BaseException as error:  # noqa: BLE001 - the world looks at it
            self.error = error
        finally:
            self._held.set()

"""Calling an address after each success: somebody else notices when everything here is dead."""

from __future__ import annotations

import logging
import queue
import threading

from duly.model.event import Event

log = logging.getLogger("duly")
TIMEOUT_S = 10
LINGER_S = 5.0
"""How long the calling thread waits for something more to call before it ends."""

MOST_WAITING = 1_000


class Pings:
    """Calls made one after the other on a thread of their own; a lost one is only logged."""

    def __init__(self) -> None:
        self._waiting: queue.Queue[str] = queue.Queue(MOST_WAITING)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def tell(self, facts: list[Event]) -> None:
        """Call what successful runs want called."""
        for fact in facts:
            address = fact.detail.get("ping")
            if fact.kind == "run.succeeded" and address is not None:
                self._call_soon(address)

    def _call_soon(self, address: str) -> None:
        with self._lock:
            try:
                self._waiting.put_nowait(address)
            except queue.Full:
                log.warning("more pings than can be made; one is left out")
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name="duly-ping", daemon=True)
                self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                address = self._waiting.get(timeout=LINGER_S)
            except queue.Empty:
                with self._lock:
                    if self._waiting.empty():
                        self._thread = None
                        return
                continue
            _call(address)


def _call(address: str) -> None:
    from urllib.request import Request, urlopen  # noqa: PLC0415 - 20 ms that few hosts need

    request = Request(address, headers={"User-Agent": "duly"})  # noqa: S310 - checked as an option
    try:
        with urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
            answer.read(1_000)
    except (OSError, ValueError) as error:
        log.warning("the ping of a successful run did not get through: %s", type(error).__name__)

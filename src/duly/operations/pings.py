"""Pings: requests to an outside monitor after each success, which notices when they stop."""

from __future__ import annotations

import logging
import queue
import threading

from duly.model.event import Event

log = logging.getLogger("duly")
TIMEOUT_S = 10
LINGER_S = 5.0
"""How long the thread waits for another address before it ends."""

MAX_WAITING = 1_000


class Pings:
    """Requests sent one after the other from a thread of their own; a failed one is only logged."""

    def __init__(self) -> None:
        self._waiting: queue.Queue[str] = queue.Queue(MAX_WAITING)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def send_for(self, events: list[Event]) -> None:
        """Send the pings of the runs that succeeded."""
        for event in events:
            address = event.detail.get("ping")
            if event.kind == "run.succeeded" and address is not None:
                self._send_soon(address)

    def _send_soon(self, address: str) -> None:
        with self._lock:
            try:
                self._waiting.put_nowait(address)
            except queue.Full:
                log.warning("Ping queue is full; dropping a ping.")
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
            _send(address)


def _send(address: str) -> None:
    from urllib.request import Request, urlopen  # noqa: PLC0415 - 20 ms that few hosts need

    request = Request(address, headers={"User-Agent": "duly"})  # noqa: S310 - checked as an option
    try:
        with urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
            answer.read(1_000)
    except (OSError, ValueError) as error:
        log.warning(
            "Ping after a successful run failed (%s); it is not retried.", type(error).__name__
        )

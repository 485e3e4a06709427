"""Pings: requests after each success to an outside monitor, which raises an alarm if they stop."""

from __future__ import annotations

import logging
import queue
import threading

from duly.model.event import Event

log = logging.getLogger("duly")
TIMEOUT_S = 10
LINGER_S = 5.0
"""The number of seconds that the thread waits for another address before it ends."""

MAX_WAITING = 1_000


class Pings:
    """A queue of pings, sent one by one from a thread of its own; a failed ping is only logged."""

    def __init__(self) -> None:
        self._waiting: queue.Queue[str] = queue.Queue(MAX_WAITING)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def send_for(self, events: list[Event]) -> None:
        """Queue the pings of the runs that succeeded."""
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
                thread = threading.Thread(target=self._serve, name="duly-ping", daemon=True)
                try:
                    thread.start()
                except (RuntimeError, MemoryError) as error:  # the success has been committed
                    log.warning("Pings wait until a thread can be started (%s).", error)
                else:
                    self._thread = thread

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
    from urllib.request import Request, urlopen  # noqa: PLC0415 - costs 20 ms; few hosts need it

    request = Request(address, headers={"User-Agent": "duly"})  # noqa: S310 - checked as an option
    try:
        with urlopen(request, timeout=TIMEOUT_S) as response:  # noqa: S310
            response.read(1_000)
    except (OSError, ValueError) as error:
        log.warning(
            "Ping after a successful run failed (%s); it is not retried.", type(error).__name__
        )

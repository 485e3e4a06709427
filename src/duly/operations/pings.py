"""Pings: requests after each success to an outside monitor, which raises an alarm if they stop."""

from __future__ import annotations

import logging

from duly.model.event import Event
from duly.operations.background import BackgroundQueue

log = logging.getLogger("duly")
TIMEOUT_S = 10
MAX_WAITING = 1_000


class Pings:
    """A queue of pings, sent one by one from a thread of its own; a failed ping is only logged."""

    def __init__(self) -> None:
        self._addresses = BackgroundQueue("duly-ping", MAX_WAITING, _send)

    def send_for(self, events: list[Event]) -> None:
        """Queue the pings of the runs that succeeded."""
        for event in events:
            address = event.detail.get("ping")
            if event.kind == "run.succeeded" and address is not None:
                self._addresses.put(address)


def _send(address: str) -> None:
    from urllib.request import Request, urlopen  # noqa: PLC0415 - costs 20 ms; few hosts need it

    request = Request(address, headers={"User-Agent": "duly"})  # noqa: S310 - checked as an option
    try:
        with urlopen(request, timeout=TIMEOUT_S) as response:  # noqa: S310
            response.read(1_000)
    except Exception as error:  # noqa: BLE001 - a malformed answer may raise anything
        log.warning(
            "Ping after a successful run failed (%s); it is not retried.", type(error).__name__
        )

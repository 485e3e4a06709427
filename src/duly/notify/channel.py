"""A channel: sends notices to recipients that code has configured."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from duly.model.notice import Notice

SEND_LIMIT_S = 30.0
"""Seconds after which a channel must have sent a notice, or have failed."""


@runtime_checkable
class Channel(Protocol):
    """The interface of a channel.

    A class of the application may implement it.
    """

    @property
    def name(self) -> str:
        """Its name, by which rules refer to it and which the outbox stores.

        Two different channels of one scheduler have different names.
        """

    def send(self, notice: Notice) -> None:
        """Send a notice; called from a thread that does nothing else.

        Raises:
            NotDelivered: it could not be sent.
        """

"""A mail server for tests of applications."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from apps.mail import Mail, Mailer
from duly.errors import NotDelivered


@dataclass(frozen=True, slots=True)
class Sent:
    """A mail that the postbox has accepted."""

    mail: Mail
    key: str

    @property
    def to(self) -> str:
        return self.mail.to


class Postbox(Mailer):
    """Keeps mails in memory, one for each key, as Resend does.

    Attributes:
        sent: what it has accepted.
        requests: how often it was asked, by address.
        down: whether the whole service fails to respond.
        refused: addresses that are refused for good.
        crash_after: the number of mails after whose acceptance the sender crashes.
    """

    def __init__(self) -> None:
        self.sent: list[Sent] = []
        self.requests: list[str] = []
        self.down = False
        self.refused: set[str] = set()
        self.crash_after = 0
        self._lock = threading.Lock()

    def send(self, mail: Mail, key: str) -> None:
        with self._lock:
            self.requests.append(mail.to)
            if self.down:
                raise NotDelivered("the mail server does not respond", away=True)
            if mail.to in self.refused:
                raise NotDelivered("the mail server refused the recipients ([550])", final=True)
            if all(sent.key != key for sent in self.sent):
                self.sent.append(Sent(mail, key))
            if self.crash_after:
                self.crash_after -= 1
                raise ConnectionResetError("the answer was lost")

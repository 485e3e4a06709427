"""The mails in a folder, as `apps.mail.FolderMailer` writes them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

_SHOWN = 50
_URL = re.compile(r"https?://[^\s<>\"']+[^\s<>\"'.,;:!?)]")


@dataclass(frozen=True, slots=True)
class CaughtMail:
    """A mail.

    Attributes:
        id: its file's name, without the suffix.
        to: the address of its recipient.
        subject: its subject.
        at: when it was written.
        text: its plain text.
        html: the same as HTML.
    """

    id: str
    to: str
    subject: str
    at: datetime
    text: str
    html: str

    @property
    def parts(self) -> list[tuple[str, bool]]:
        """The text in pieces, with whether each is an address that a browser can open."""
        pieces, start = list[tuple[str, bool]](), 0
        for found in _URL.finditer(self.text):
            pieces += [(self.text[start : found.start()], False), (found[0], True)]
            start = found.end()
        return [*pieces, (self.text[start:], False)]


def newest(folder: Path) -> list[CaughtMail]:
    """Return the newest mails, the newest of all first."""
    files = sorted(folder.glob("*.eml"), key=lambda file: file.stat().st_mtime_ns, reverse=True)
    return [_read(file) for file in files[:_SHOWN]]


def find(folder: Path, id: str) -> CaughtMail | None:
    """Return the mail with this id, if there is one."""
    file = folder / f"{id}.eml"
    return _read(file) if id.isalnum() and file.exists() else None


def _read(file: Path) -> CaughtMail:
    message = message_from_bytes(file.read_bytes(), _class=EmailMessage, policy=policy.default)
    return CaughtMail(
        id=file.stem,
        to=str(message["To"]),
        subject=str(message["Subject"]),
        at=datetime.fromtimestamp(file.stat().st_mtime, UTC),
        text=_body(message, "plain"),
        html=_body(message, "html"),
    )


def _body(message: EmailMessage, kind: str) -> str:
    body = message.get_body((kind,))
    return str(body.get_content()) if body else ""

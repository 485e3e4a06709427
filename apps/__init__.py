"""Applications built on Duly, which use only its public API, as any user would."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

from starlette.types import ASGIApp

from duly import Scheduler


@dataclass(frozen=True, slots=True)
class Demo:
    """An application that `apps.demo` serves.

    Attributes:
        name: the path segment under which it is mounted, for example ``expireeye``.
        title: its display name.
        about: a description in one sentence.
        app: the ASGI application to mount.
        scheduler: its scheduler, for the dashboard.
        running: returns a context manager that starts it, adds sample data and stops it.
        accounts: the accounts for signing in: address, password and role.
        hints: suggestions of what to try.
        mails: the folder into which it writes its mails, for the mail catcher.
    """

    name: str
    title: str
    about: str
    app: ASGIApp
    scheduler: Scheduler
    running: Callable[[], AbstractAsyncContextManager[None]]
    accounts: Sequence[tuple[str, str, str]] = ()
    hints: Sequence[str] = ()
    mails: Path | None = None


def listening() -> tuple[str, int]:
    """Return the host and the port of `apps.demo`, which ``HOST`` and ``PORT`` set."""
    return os.environ.get("HOST", "127.0.0.1"), int(os.environ.get("PORT", "8000"))


def demo_address() -> str:
    """Return the address of `apps.demo`."""
    host, port = listening()
    return f"http://{host}:{port}"


def kept_secret(file: Path) -> str:
    """Return a persistent key, so that a restart does not sign users out."""
    if not file.exists():
        file.touch(mode=0o600)
        file.write_text(secrets.token_urlsafe(32))
    return file.read_text()

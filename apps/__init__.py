"""Applications built on Duly: they use its public door only, as any user would."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from starlette.types import ASGIApp

from duly import Scheduler


@dataclass(frozen=True, slots=True)
class Demo:
    """One application as `apps.demo` shows it.

    Attributes:
        name: its place in the address, for example ``expireeye``.
        title: its name for people.
        about: one sentence.
        app: the application object, to be mounted.
        scheduler: its scheduler, for the dashboard.
        running: what must surround the serving of ``app``: start, sample data, end.
        accounts: who may sign in: address, password, role.
        hints: what to try.
    """

    name: str
    title: str
    about: str
    app: ASGIApp
    scheduler: Scheduler
    running: Callable[[], AbstractAsyncContextManager[None]]
    accounts: Sequence[tuple[str, str, str]] = ()
    hints: Sequence[str] = ()

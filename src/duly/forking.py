"""What a fork leaves to the child: the declarations, and nothing that works for the parent."""

from __future__ import annotations

import os
import sys
import weakref
from typing import Protocol


class Forkable(Protocol):
    """What must know that its process is forked."""

    def before_fork(self) -> None:
        """Called in the parent, before the fork."""

    def after_fork_in_parent(self) -> None:
        """Called in the parent, after the fork."""

    def after_fork(self) -> None:
        """Called in the child, before anything else runs there."""


def remember(part: Forkable) -> None:
    """Tell ``part`` of every fork while it exists: in the parent, and in the child."""
    _all.add(part)


def patched_by() -> str | None:
    """Return the library that has replaced this process's threads by greenlets, if one has."""
    gevent = sys.modules.get("gevent.monkey")
    if gevent is not None and gevent.is_module_patched("threading"):
        return "gevent"
    eventlet = sys.modules.get("eventlet.patcher")
    if eventlet is not None and eventlet.is_monkey_patched("thread"):
        return "eventlet"
    return None


def renew() -> None:
    """Give all parts new locks and threads, as a fork does, since those classes were replaced.

    A greenlet that waits for a lock from before would stop the whole process.
    """
    _after_fork()


def _before_fork() -> None:
    for part in list(_all):
        part.before_fork()


def _after_fork_in_parent() -> None:
    for part in list(_all):
        part.after_fork_in_parent()


def _after_fork() -> None:
    for part in list(_all):
        part.after_fork()


_all: weakref.WeakSet[Forkable] = weakref.WeakSet()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork_in_parent,
        after_in_child=_after_fork,
    )

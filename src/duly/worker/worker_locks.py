"""Proof of life for the workers of one machine: an OS file lock that the kernel frees at death.

On SQLite a heartbeat row proves little: one long write transaction of the host blocks it. A file
lock cannot be late, survives every pause, and is released however the process ends.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO

try:
    import fcntl
except ImportError:  # this system has no such locks, so that leases decide
    fcntl = None  # type: ignore[assignment]


class WorkerLocks:
    """The lock files of all workers of one database file.

    Args:
        database: the path of the database file.
    """

    def __init__(self, database: str) -> None:
        self._folder = Path(f"{database}-workers")
        self._own: dict[str, IO[str]] = {}

    @property
    def available(self) -> bool:
        """Whether this system has such locks."""
        return fcntl is not None

    def take(self, worker_id: str) -> None:
        """Lock a worker's own file for as long as this process lives."""
        self._folder.mkdir(exist_ok=True)
        file = self._path(worker_id).open("w")
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        file.write(str(os.getpid()))
        file.flush()
        self._own[worker_id] = file

    def release(self, worker_id: str) -> None:
        """Release a worker's own lock and delete its file."""
        file = self._own.pop(worker_id, None)
        if file is not None:
            self._path(worker_id).unlink(missing_ok=True)
            file.close()

    def close_inherited(self) -> None:
        """In a forked child, close the copies of the parent's lock files.

        The parent keeps its locks. An open copy would still hold them when the parent has died.
        """
        for file in self._own.values():
            file.close()
        self._own.clear()

    def is_dead(self, worker_id: str) -> bool:
        """Return whether no process holds a worker's lock; delete the file of a dead worker."""
        if worker_id in self._own or fcntl is None:
            return False
        try:
            file = self._path(worker_id).open("r+")
        except FileNotFoundError:
            return True
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                return False
            self._path(worker_id).unlink(missing_ok=True)
        return True

    def _path(self, worker_id: str) -> Path:
        return self._folder / f"{worker_id}.lock"

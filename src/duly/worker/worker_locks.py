"""Proof of life for the workers of one machine: an OS file lock that the kernel frees at death.

On SQLite a heartbeat row proves little: one long write transaction of the host blocks it. A file
lock cannot be late, survives every pause, and is released however the process ends.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Set
from contextlib import suppress
from pathlib import Path
from typing import IO

from duly.errors import StoreError
from duly.model.identity import is_id

try:
    import fcntl
except ImportError:  # this system has no such locks, so that leases decide
    fcntl = None  # type: ignore[assignment]

log = logging.getLogger("duly.worker")
_BITS = 0o666
"""The permissions to read and write, of the owner, the group and all others."""


class WorkerLocks:
    """The lock files of all workers of one database file.

    The folder and the files have the permissions of the database file, so that every system user
    who may use the database may start a worker on it.

    Args:
        database: the database file.
    """

    def __init__(self, database: Path) -> None:
        self._database = database
        self._folder = database.with_name(f"{database.name}-workers")
        self._own: dict[str, IO[str]] = {}
        self._restorable = True

    @property
    def available(self) -> bool:
        """Whether this system has such locks."""
        return fcntl is not None

    def take(self, worker_id: str) -> None:
        """Lock a worker's own file for as long as this process lives.

        Raises:
            StoreError: the file cannot be created.
        """
        try:
            self._own[worker_id] = self._create(worker_id)
        except OSError as error:
            raise StoreError(
                f"this worker cannot create its lock file in {self._folder}: {error}; allow this "
                "system user to write to that folder, as the owner of the database file "
                "may, or delete the folder while no worker is running"
            ) from error

    def keep(self, worker_id: str) -> None:
        """Restore a worker's own file if it was deleted; a failure is only logged."""
        former = self._own.get(worker_id)
        if former is None or self._is_in_place(worker_id, former):
            return
        try:
            self.take(worker_id)
        except StoreError as error:
            if self._restorable:
                log.warning("The lock file of worker %s was deleted; %s", worker_id, error)
            self._restorable = False
            return
        former.close()
        self._restorable = True
        log.warning(
            "The lock file of worker %s was deleted and has been restored; exclude %s from "
            "whatever tidies files.", worker_id, self._folder,
        )  # fmt: skip

    def release(self, worker_id: str) -> None:
        """Release a worker's own lock and delete its file, once its row is gone."""
        file = self._own.pop(worker_id, None)
        if file is not None:
            with suppress(OSError):
                self._path(worker_id).unlink(missing_ok=True)
            file.close()

    def abandon(self, worker_id: str) -> None:
        """Release a worker's own lock but leave its file, which then proves that it is dead."""
        file = self._own.pop(worker_id, None)
        if file is not None:
            file.close()

    def close_inherited(self) -> None:
        """In a forked child, close the copies of the parent's lock files.

        The parent keeps its locks. An open copy would still hold them when the parent has died.
        """
        for file in self._own.values():
            file.close()
        self._own.clear()

    def is_locked(self, worker_id: str) -> bool | None:
        """Return whether a living process holds a worker's lock.

        Returns:
            ``None`` if that is unknown: the file is missing, which proves nothing, because a file
            may have been deleted under its worker; this user may not read it; or the id is not
            one that Duly has made, so that it does not name a file.
        """
        if worker_id in self._own:
            return True
        if not is_id(worker_id):
            return None
        try:
            descriptor = os.open(self._path(worker_id), os.O_RDONLY | os.O_NOFOLLOW)
        except OSError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return None
        else:
            return False
        finally:
            os.close(descriptor)

    def tidy(self, known: Set[str]) -> None:
        """Delete the files of dead workers that have no row any more.

        Args:
            known: the ids of the workers that have a row; the file of a dead one is still needed.
        """
        with suppress(OSError):
            for path in list(self._folder.glob("*.lock")):
                if path.stem not in known and self.is_locked(path.stem) is False:
                    path.unlink(missing_ok=True)

    def _create(self, worker_id: str) -> IO[str]:
        """Create a file that is locked before others can find it by its name."""
        self._folder.mkdir(exist_ok=True)
        bits = self._share(self._folder)
        draft = self._path(worker_id).with_suffix(".new")
        draft.unlink(missing_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, bits)
        file = os.fdopen(descriptor, "w", encoding="utf-8")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            file.write(str(os.getpid()))
            file.flush()
            self._share(draft)
            draft.replace(self._path(worker_id))
        except BaseException:
            file.close()
            raise
        return file

    def _share(self, path: Path) -> int:
        """Give a file or folder the permissions and the group of the database file."""
        try:
            database, status = self._database.stat(), path.stat()
        except FileNotFoundError:
            return 0o600
        bits = database.st_mode & _BITS
        if status.st_uid in (os.geteuid(), database.st_uid) or os.geteuid() == 0:
            with suppress(OSError):
                if (status.st_uid, status.st_gid) != (database.st_uid, database.st_gid):
                    own = database.st_uid if os.geteuid() == 0 else -1
                    os.chown(path, own, database.st_gid)
            with suppress(OSError):
                path.chmod(bits | (bits >> 2 & 0o111) if path.is_dir() else bits)
        return bits

    def _is_in_place(self, worker_id: str, file: IO[str]) -> bool:
        try:
            return os.path.samestat(self._path(worker_id).stat(), os.fstat(file.fileno()))
        except OSError:
            return False

    def _path(self, worker_id: str) -> Path:
        return self._folder / f"{worker_id}.lock"

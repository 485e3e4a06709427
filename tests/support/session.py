"""One folder for a whole test session, shared by all of its worker processes.

The first process creates it, the others find it through their environment, and the first one
removes it at the end. Other users may enter it, unlike pytest's own folders, because a server that
runs as another user keeps its data there.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

VARIABLE = "DULY_TEST_SESSION"


def open_session() -> Path:
    """Create the folder, and put its path into the environment that worker processes inherit."""
    folder = Path(tempfile.mkdtemp(prefix=f"duly-tests-{os.getpid()}-"))
    folder.chmod(0o755)
    os.environ[VARIABLE] = str(folder)
    return folder


def session_folder() -> Path:
    """Return the folder of the session that this process belongs to."""
    return Path(os.environ[VARIABLE])


def close_session() -> None:
    """Remove the folder."""
    shutil.rmtree(os.environ.pop(VARIABLE), ignore_errors=True)


@contextmanager
def only_one(name: str) -> Iterator[None]:
    """Admit one process of the session at a time to a block."""
    with (session_folder() / f"{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield

"""One folder for a whole test session, seen by every worker process.

The process that was started first makes it, the others find it in their environment, and the first
one removes it at the end. Others may enter it (pytest's own folders are closed to them): a server
that runs as another user keeps its data there.
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
    """Make the folder and name it in the environment that worker processes inherit."""
    folder = Path(tempfile.mkdtemp(prefix=f"duly-tests-{os.getpid()}-"))
    folder.chmod(0o755)
    os.environ[VARIABLE] = str(folder)
    return folder


def session_folder() -> Path:
    """The folder of the session that this process takes part in."""
    return Path(os.environ[VARIABLE])


def close_session() -> None:
    """Remove the folder."""
    shutil.rmtree(os.environ.pop(VARIABLE), ignore_errors=True)


@contextmanager
def only_one(name: str) -> Iterator[None]:
    """Let one process of the session at a time into this block."""
    with (session_folder() / f"{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield

"""Processes that a function has forked: they must not go on as a worker."""

from __future__ import annotations

import os
import sys
import traceback
from contextlib import suppress


def leave_if_forked(pid: int, error: BaseException | None = None) -> None:
    """End this process if the function has forked it, and returned or raised in both processes.

    It ends as a program does: `SystemExit` gives the exit code, and any other error is printed.
    What follows the call belongs to the worker: reporting the outcome, and executing the next run.

    Args:
        pid: the id of the process that called the function.
        error: what the function raised.
    """
    if os.getpid() == pid:
        return
    code: object = 0
    try:
        if isinstance(error, SystemExit):
            code = 0 if error.code is None else error.code
        elif error is not None:
            traceback.print_exception(error)
            code = 1
        if not isinstance(code, int):
            print(code, file=sys.stderr)  # noqa: T201 - as Python does
            code = 1
        for stream in (sys.stdout, sys.stderr):
            with suppress(Exception):
                stream.flush()
    finally:
        os._exit(code & 0xFF if isinstance(code, int) else 1)

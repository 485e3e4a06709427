"""The log lines about runs that fail: what happens next decides the level.

They are written after the commit, so that nothing is reported that was rolled back.
"""

from __future__ import annotations

import logging
from typing import Any

from duly.model.transition import ErrorFacts, Transition
from duly.run_log import Stamped, stamp

log = logging.getLogger("duly.worker")


class ReportedError(Exception):
    """A function's error, as it was recorded where the function ran.

    It stands for the exception in ``exc_info`` of a log record, as a subclass that has the name of
    the original type.
    """


def log_failure(run: Stamped, transition: Transition) -> None:
    """Log an attempt that failed: a warning if the run is retried, an error if it has failed.

    The record has the fields of the run; that of an error has ``exc_info``, and ``exc_text`` is the
    traceback.
    """
    error = transition.error
    if error is None:
        return
    final = transition.to == "failed"
    values = (
        run.id, run.job_id or run.task, run.attempt, error[0], _one_line(error[1]),
        _what_follows(transition),
    )  # fmt: skip
    _emit(
        logging.ERROR if final else logging.WARNING,
        "Run %s of %s, attempt %d: %s: %s; %s.", values, run, error if final else None,
    )  # fmt: skip


def _what_follows(transition: Transition) -> str:
    if transition.due_at is not None:
        return f"the next attempt is due at {transition.due_at:%H:%M:%S} UTC"
    if transition.to == "failed":
        crashed = transition.release == "crashed"
        return "it is not started again" if crashed else "no attempts are left"
    return "the next attempt may start at once"


def _emit(
    level: int, message: str, values: tuple[Any, ...], run: Stamped, error: ErrorFacts | None
) -> None:
    if not log.isEnabledFor(level):
        return
    exc_info = None if error is None else _exc_info(error)
    record = log.makeRecord(log.name, level, __file__, 0, message, values, exc_info, "log_failure")
    if error is not None:
        record.exc_text = error[2]
    stamp(record, run)
    log.handle(record)


def _exc_info(error: ErrorFacts) -> tuple[type[BaseException], BaseException, None]:
    kind = type(error[0], (ReportedError,), {"__module__": "builtins"})  # printed without a module
    return kind, kind(error[1]), None


def _one_line(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text[:300]).split())

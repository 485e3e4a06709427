"""The error classes: one root, drawn at the head of their module, and messages that help."""

from __future__ import annotations

import builtins
import inspect
import pickle
import re
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from duly import errors
from duly.errors import (
    Conflict,
    CronError,
    Discard,
    DulyError,
    DuplicateJob,
    Fail,
    JobNotFound,
    NaiveDatetimeError,
    NotFound,
    RetryAfter,
    RevisionConflict,
    RunNotFound,
    RunSignal,
    Snooze,
    UnknownOption,
    did_you_mean,
)

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
CLASSES = [
    kind
    for _name, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, Exception) and kind.__module__ == errors.__name__
]


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_the_tree_has_one_root(kind: type[BaseException]) -> None:
    """``except DulyError`` catches every error of Duly; signals have a root of their own."""
    assert issubclass(kind, DulyError) != issubclass(kind, RunSignal)
    assert issubclass(kind, Exception)
    assert kind.__doc__


def test_the_drawing_at_the_head_is_the_tree() -> None:
    """Every class has the parent and the builtin base that the drawing shows."""
    drawing = (errors.__doc__ or "").splitlines()
    seen: dict[str, str | None] = {}
    path: list[tuple[int, str]] = []
    for line in drawing:
        found = re.match(r"^( {4}[│├└─ ]*)(\w+)( .*)?$", line)
        if not found or found[2] not in dir(errors):
            continue
        depth, name, note = len(found[1]), found[2], found[3] or ""
        path = [entry for entry in path if entry[0] < depth]
        seen[name] = path[-1][1] if path else None
        path.append((depth, name))
        for builtin in re.findall(r"also (\w+)", note):
            assert issubclass(getattr(errors, name), getattr(builtins, builtin))
    assert set(seen) == {kind.__name__ for kind in CLASSES}
    for name, parent in seen.items():
        bases = {base.__name__ for base in getattr(errors, name).__bases__}
        assert parent is None or parent in bases


def test_errors_can_be_caught_as_builtin_exceptions() -> None:
    """Code that does not know Duly catches ValueError, LookupError or ConnectionError."""
    assert issubclass(errors.ConfigurationError, ValueError)
    assert issubclass(errors.ArgumentsError, ValueError)
    assert issubclass(errors.NaiveDatetimeError, ValueError)
    assert issubclass(errors.UnknownTask, LookupError)
    assert issubclass(errors.JobNotFound, LookupError)
    assert issubclass(errors.DatabaseUnavailable, ConnectionError)
    assert issubclass(errors.LifecycleError, RuntimeError)


def test_messages_say_what_where_and_what_to_do() -> None:
    """Messages that are composed are compared word for word."""
    assert str(JobNotFound("x")) == "no job has the id 'x'"
    assert str(RunNotFound("x")) == "no run has the id 'x'"
    assert str(DuplicateJob("x")) == (
        "a job with the id 'x' already exists; pass replace=True to change it"
    )
    assert str(RevisionConflict("x", 3, 5)) == (
        "job 'x' is at revision 5, not 3: it was changed after it was read; "
        "read it again and repeat the change"
    )
    assert str(UnknownOption("corn", ["cron", "every"], "here")) == (
        "unknown option 'corn' here; did you mean 'cron'?"
    )
    cron = CronError(
        "61 is too large", expression="61 * * * *", text="61", position=0, field="minute"
    )
    assert str(cron) == (
        "invalid cron expression '61 * * * *': 61 is too large (minute field, position 0: '61')"
    )
    assert JobNotFound("x").job_id == "x"
    assert isinstance(JobNotFound("x"), NotFound)
    assert isinstance(RevisionConflict("x", 3, 5), Conflict)


def test_an_unknown_name_comes_with_a_suggestion() -> None:
    """A suggestion names the closest match, or all names, or nothing."""
    assert did_you_mean("retrys", ["retry", "queue"]) == "; did you mean 'retry'?"
    assert did_you_mean("zzz", ["b", "a"]) == "; known: a, b"
    assert did_you_mean("zzz", []) == ""


def test_a_long_cron_text_is_cut_in_the_message() -> None:
    """A megabyte of input does not fill the log."""
    text = "9" * 1_000_000
    error = CronError("bad", expression=text, text=text, position=0)
    assert len(str(error)) < 250
    assert error.expression == text


def test_naive_errors_name_the_value() -> None:
    """The message also says how to repair the value."""
    error = NaiveDatetimeError(NOON.replace(tzinfo=None), "end=")
    assert str(error).startswith("end= is the naive datetime '2026-05-04T12:00:00'")


@pytest.mark.parametrize(
    "error",
    [
        JobNotFound("x"),
        DuplicateJob("x"),
        RevisionConflict("x", 1, 2),
        UnknownOption("a", ["b"], "here"),
        CronError("bad", expression="x", text="x", position=0),
        NaiveDatetimeError(NOON.replace(tzinfo=None), "end="),
        Snooze(NOON),
        RetryAfter(5),
        Discard("why"),
        Fail("why"),
        errors.StoreError("x"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_survive_a_process_border(error: Exception) -> None:
    """Process pools and test runners pickle exceptions, which keep their message."""
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert vars(again) == vars(error)


# ---------------------------------------------------------------------------------- signals


def test_retry_after_takes_seconds_or_a_timedelta() -> None:
    """Both forms mean the same."""
    assert RetryAfter(90).delay == RetryAfter(timedelta(seconds=90)).delay
    assert str(RetryAfter(90)) == "try again in 0:01:30"


def test_snooze_takes_exactly_one_of_two() -> None:
    """It takes an instant or a delay, and rejects naive instants."""
    assert Snooze(NOON).until == NOON
    assert Snooze(seconds=5).delay == timedelta(seconds=5)
    for wrong in ({}, {"until": NOON, "seconds": 5}):
        with pytest.raises(TypeError, match="exactly one of until= and seconds="):
            Snooze(**cast("Any", wrong))
    with pytest.raises(NaiveDatetimeError, match=r"Snooze\(until=…\)"):
        Snooze(NOON.replace(tzinfo=None))


def test_signals_are_not_swallowed_with_duly_s_errors() -> None:
    """``except DulyError`` in a task does not catch the signals that it raises."""
    for signal in (RetryAfter(1), Snooze(seconds=1), Fail("x"), Discard("x")):
        assert not isinstance(signal, DulyError)
        assert isinstance(signal, RunSignal)

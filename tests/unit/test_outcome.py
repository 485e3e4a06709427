"""The outcome of an attempt: there always is one, whatever the function did."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duly import Discard, Fail, Retry, RetryAfter, Snooze
from duly.errors import ArgumentsError, UnknownTask
from duly.executors.base import CallResult
from duly.executors.failure import CallError
from duly.model.checks import LATEST
from duly.model.payload import encode_result
from duly.model.policy import RunPolicy
from duly.model.text import safe_repr, safe_str, storable_text
from duly.model.transition import Transition, succeed
from duly.worker.claims.claim import Claim
from duly.worker.outcome import StopReason, decide_outcome

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
RETRYING = RunPolicy(retry=Retry(attempts=3, wait=30, factor=2, jitter=0))


def claim(policy: RunPolicy = RunPolicy(), **values: Any) -> Claim:  # noqa: B008 - frozen
    made = Claim(
        id="r", job_id=None, task="t", args="{}", scheduled_for=None, due_at=NOON, cause="enqueue",
        queue="default", attempt=1, max_attempts=policy.max_attempts, crashes=0, quarantined=False,
        started_at=NOON, token=1, claim_id="c", unique_key=None, retaken_key=None, policy=policy,
    )  # fmt: skip
    return replace(made, **values)


def ended(
    claimed: Claim,
    *,
    value: Any = None,
    error: BaseException | None = None,
    stop_reason: Any = None,
) -> Transition:
    failure = None if error is None else CallError.of(error)
    return decide_outcome(claimed, CallResult(encode_result(value), failure), stop_reason, NOON)


# ------------------------------------------------------------------------------ the rules


def test_returning_is_success() -> None:
    """The result is stored as JSON, or as nothing."""
    assert ended(claim()) == succeed()
    assert (
        ended(claim(), value={"b": 1, "a": [NOON]}).result == '{"a":["2026-05-04T12:00:00Z"],"b":1}'
    )


def test_a_failure_for_good_is_not_retried() -> None:
    """``raise Fail from error`` ends a run that has attempts left, with the facts of the error."""
    outcome = ended(claim(RETRYING), error=Fail("no such account"))
    assert (outcome.to, outcome.due_at) == ("failed", None)
    assert outcome.error is not None
    assert outcome.error[:2] == ("Fail", "no such account")
    signal = Fail()
    signal.__cause__ = ValueError("bad")
    caused = ended(claim(RETRYING), error=signal)
    assert caused.to == "failed"
    assert caused.error is not None
    assert caused.error[:2] == ("ValueError", "bad")


def test_raising_without_a_retry_is_failure() -> None:
    """The error's type, message and traceback are stored."""
    outcome = ended(claim(), error=ValueError("bad"))
    assert (outcome.to, outcome.event, outcome.due_at) == ("failed", "run.failed", None)
    assert outcome.error is not None
    assert outcome.error[:2] == ("ValueError", "bad")


def test_attempts_are_counted_one_by_one() -> None:
    """It is retried after 30 s and 60 s, and then fails."""
    for attempt, wait in ((1, 30), (2, 60)):
        outcome = ended(claim(RETRYING, attempt=attempt), error=ValueError())
        assert (outcome.to, outcome.event) == ("scheduled", "run.retried")
        assert outcome.due_at == NOON + timedelta(seconds=wait)
        assert not outcome.uncounted
    assert ended(claim(RETRYING, attempt=3), error=ValueError()).to == "failed"


def test_a_crash_of_the_worker_uses_no_attempt() -> None:
    """Crashes are counted separately: after one crash all three tries remain."""
    assert ended(claim(RETRYING, attempt=3, crashes=1), error=ValueError()).to == "scheduled"
    assert ended(claim(RETRYING, attempt=4, crashes=1), error=ValueError()).to == "failed"


@pytest.mark.parametrize("error", [ArgumentsError("x")], ids=["arguments"])
def test_a_permanent_error_is_not_retried(error: Exception) -> None:
    """Arguments that do not match the function will not match it in 30 s either."""
    assert ended(claim(RETRYING), error=error).to == "failed"


def test_the_signals() -> None:
    """RetryAfter uses an attempt, Snooze does not, and Discard ends the run."""
    later = ended(claim(RETRYING), error=RetryAfter(5))
    assert (later.to, later.due_at, later.uncounted) == (
        "scheduled", NOON + timedelta(seconds=5), False,
    )  # fmt: skip
    assert ended(claim(), error=RetryAfter(5)).to == "failed"
    slept = ended(claim(), error=Snooze(seconds=5))
    assert (slept.to, slept.due_at, slept.uncounted) == (
        "scheduled", NOON + timedelta(seconds=5), True,
    )  # fmt: skip
    assert ended(claim(), error=Snooze(NOON + timedelta(days=1))).due_at == NOON + timedelta(days=1)
    given_up = ended(claim(RETRYING), error=Discard("why"))
    assert (given_up.to, given_up.reason, given_up.error) == ("discarded", "why", None)


def test_the_engine_s_verdict_wins() -> None:
    """A function that returns after its timeout or its cancellation has not succeeded."""
    assert ended(claim(), value=1, stop_reason="cancelled").to == "cancelled"
    late = ended(claim(RunPolicy(timeout=5)), value=1, stop_reason="timeout")
    assert (late.to, late.error) == ("failed", ("TimedOut", "took longer than its 5 s", None))
    again = ended(claim(replace(RETRYING, timeout=5)), value=1, stop_reason="timeout")
    assert (again.to, again.due_at) == ("scheduled", NOON + timedelta(seconds=30))


def test_a_run_interrupted_by_a_stopping_worker_is_given_back() -> None:
    """The attempt is not counted, but a function that returned all the same has succeeded."""
    for outcome in (
        ended(claim(), error=asyncio.CancelledError(), stop_reason="given_back"),
        ended(claim(), error=RuntimeError("interrupted"), stop_reason="given_back"),
    ):
        assert (outcome.to, outcome.uncounted, outcome.due_at) == ("ready", True, None)
    assert ended(claim(), value=1, stop_reason="given_back").to == "succeeded"


def test_a_coroutine_that_cancels_itself_has_failed() -> None:
    """If the worker did not ask for it, it is an error like any other."""
    assert ended(claim(), error=asyncio.CancelledError()).to == "failed"


# ------------------------------------------------------------- always an answer, storable


class Mute(Exception):
    """An error whose ``__str__`` fails."""

    def __str__(self) -> str:
        raise RuntimeError("no str")


class Wrong(Exception):
    """An error whose ``__str__`` returns no text."""

    def __str__(self) -> str:
        return 5  # type: ignore[return-value]  # noqa: PLE0307 - that is the point


class Deep(BaseException):
    """An error that is not an Exception."""


def chained() -> Exception:
    """An error with a chain of a thousand causes."""
    error = Exception("first")
    for number in range(1000):
        following = Exception(str(number))
        following.__cause__, error = error, following
    return error


def recursive() -> Exception:
    def dive() -> None:
        dive()

    try:
        dive()
    except RecursionError as error:
        return error
    raise AssertionError


def with_attributes(error: Exception, **values: Any) -> Exception:
    vars(error).update(values)
    return error


LONG_NAME = type("E" * 5000, (Exception,), {})
ERRORS: list[BaseException] = [
    Mute(), Wrong(), Deep("x"), SystemExit(3), KeyboardInterrupt(), GeneratorExit(),
    ValueError("NUL \x00 and \ud800 and 😀"), ValueError("x" * 1_000_000), LONG_NAME("x"),
    chained(), recursive(), StopIteration(5),
    ExceptionGroup("several", [ValueError("a"), KeyError("b")]),
    UnicodeDecodeError("u", b"", 0, 1, "x"),
    SyntaxError("bad", ("file", 1, 1, "text")), UnknownTask("x"), MemoryError(),
    Discard(5),  # type: ignore[arg-type]
    Discard(None),  # type: ignore[arg-type]
    Discard("x\x00" * 1_000_000),
    RetryAfter(timedelta.max), RetryAfter(timedelta.min), RetryAfter(-5),
    with_attributes(RetryAfter(1), delay="soon"), with_attributes(RetryAfter(1), delay=None),
    Snooze(seconds=-5), Snooze(datetime.max.replace(tzinfo=UTC)),
    Snooze(datetime.max.replace(tzinfo=timezone(-timedelta(hours=12)))),
    Snooze(datetime.min.replace(tzinfo=timezone(timedelta(hours=12)))),
    with_attributes(Snooze(seconds=1), delay=timedelta.max),
    with_attributes(Snooze(seconds=1), delay=None, until=datetime(2026, 1, 1)),  # noqa: DTZ001
    with_attributes(Snooze(seconds=1), until="tomorrow"),
]  # fmt: skip


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__[:20])
@pytest.mark.parametrize("stop_reason", [None, "timeout", "cancelled", "given_back"])
@pytest.mark.parametrize("policy", [RunPolicy(), RETRYING], ids=["once", "retrying"])
def test_whatever_a_function_raises_has_an_outcome(
    error: BaseException, stop_reason: StopReason | None, policy: RunPolicy
) -> None:
    """No error of one function may stop the batch that writes back the results of others."""
    check_storable(ended(claim(policy), error=error, stop_reason=stop_reason))


def values() -> list[Any]:
    circle: list[Any] = []
    circle.append(circle)
    deep: Any = 1
    for _ in range(50_000):
        deep = [deep]

    def broken() -> Iterator[int]:
        yield 1
        raise KeyError("inside")

    class Hostile(dict[str, Any]):
        def items(self) -> Any:
            raise RuntimeError("no items")

        def __iter__(self) -> Any:
            raise RuntimeError("no iter")

        def __repr__(self) -> str:
            raise RuntimeError("no repr")

    class Model:
        def __repr__(self) -> str:
            raise RuntimeError("no repr")

    return [
        float("nan"), {"a": [float("inf")]}, object(), Model(), circle, deep, broken(),
        Hostile(a=1), "x" * 1_000_000, "\x00", "\ud800", b"\xff", {1: 2, None: 3, (1, 2): 4},
        {1, 2}, 10**5000, -(10**40),
        lambda: 1, open, Exception("returned"), range(10**6), [0] * 100_000, NOON, timedelta.max,
        {"\ud800": 1}, asyncio.CancelledError(),
    ]  # fmt: skip


@pytest.mark.parametrize("index", range(25))
def test_whatever_a_function_returns_has_an_outcome(index: int) -> None:
    """The run succeeds, and its result is JSON or a note that it could not be stored."""
    outcome = ended(claim(), value=values()[index])
    assert outcome.to == "succeeded"
    check_storable(outcome)
    if outcome.result is not None:
        json.loads(outcome.result)


def test_there_are_as_many_values_as_the_test_counts() -> None:
    """The number in the parametrization is right."""
    assert len(values()) == 25


def check_storable(outcome: Transition) -> None:
    """Every database accepts it, and its state is one that a running run can reach."""
    assert outcome.to in ("succeeded", "failed", "scheduled", "ready", "discarded", "cancelled")
    assert (outcome.due_at is not None) == (outcome.to == "scheduled")
    if outcome.due_at is not None:
        assert outcome.due_at.utcoffset() is not None
        assert NOON <= outcome.due_at <= LATEST
    for text, longest in (
        (outcome.reason, 4000),
        (outcome.result, 65_536),
        *zip(outcome.error or (), (191, 4000, 32_000), strict=False),
    ):
        if text is not None:
            assert isinstance(text, str)
            assert "\x00" not in text
            assert len(text) <= longest
            text.encode()


# ------------------------------------------------------------------------------------ text


@given(st.text(), st.integers(1, 300))
def test_clean_text_is_text_that_every_database_takes(text: str, limit: int) -> None:
    """It has no NUL, no lone surrogate and a limited length; text that complies is unchanged."""
    cleaned = storable_text(text, limit)
    assert len(cleaned) <= max(limit, 0)
    assert "\x00" not in cleaned
    cleaned.encode()
    if len(text) <= limit and "\x00" not in text and text.isprintable():
        assert cleaned == text


def test_a_long_text_keeps_both_ends() -> None:
    """The beginning of an error says where it happened, and the end says why."""
    cleaned = storable_text("begin " + "x" * 1000 + " end", 100)
    assert cleaned.startswith("begin ")
    assert cleaned.endswith(" end")
    assert "… cut …" in cleaned


def test_showing_never_fails() -> None:
    """A user's ``__repr__`` or ``__str__`` may raise, or return anything."""
    assert safe_repr("x", 100) == "'x'"
    assert safe_str(ValueError("x"), 100) == "x"
    assert safe_str(Mute(), 100) == "<message not available: str() raised RuntimeError>"
    assert "TypeError" in safe_str(Wrong(), 100)
    assert "RuntimeError" in safe_repr(values()[3], 100)

"""From how a call ended to what becomes of its run: the rules, without any database."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from duly.clock import aware_utc
from duly.errors import ArgumentsError, Discard, RetryAfter, Snooze
from duly.executors.base import CallResult
from duly.executors.failure import MAX_MESSAGE, describe
from duly.model.checks import LATEST
from duly.model.payload import encode_result
from duly.model.text import safe_str
from duly.worker.claims.claim import Claim

StopReason = Literal["timeout", "cancelled", "given_back"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What becomes of a run after one attempt.

    Attributes:
        state: its next state.
        kind: the event that says so.
        due_at: when it may start again, if it will.
        uncounted: whether the attempt is given back.
        error: type, message and traceback of an unsuccessful attempt.
    """

    state: str
    kind: str
    due_at: datetime | None = None
    uncounted: bool = False
    reason: str | None = None
    result: str | None = None
    error: tuple[str, str, str | None] | None = None


SUCCESS = Outcome("succeeded", "run.succeeded")
"""Of a function that returned nothing: most do."""


def decide_outcome(
    claim: Claim, result: CallResult, stop_reason: StopReason | None, now: datetime
) -> Outcome:
    """Decide what becomes of a run.

    Args:
        claim: the attempt that ended.
        result: how the call ended.
        stop_reason: what the engine had decided before it ended, which then wins.
        now: the present.
    """
    if stop_reason == "cancelled":
        return Outcome("cancelled", "run.cancelled", reason="cancelled by request")
    if stop_reason == "timeout":
        limit = claim.policy.timeout or 0
        return failed(claim, ("TimedOut", f"took longer than its {limit:g} s", None), now)
    error = result.error
    if error is None and result.value is None:
        return SUCCESS
    if error is None:
        return Outcome("succeeded", "run.succeeded", result=encode_result(result.value))
    if stop_reason == "given_back":
        return Outcome("ready", "run.given_back", now, uncounted=True, reason="not started here")
    try:
        return _decide_error(claim, error, now)
    except Exception as problem:  # noqa: BLE001 - one odd error must not hold up a whole batch
        return failed(claim, describe(problem), now, final=True)


def failed(
    claim: Claim, error: tuple[str, str, str | None], now: datetime, *, final: bool = False
) -> Outcome:
    """A further attempt while there are any left, else the dead-letter queue."""
    retry = claim.policy.retry
    if final or retry is None or claim.tries >= claim.max_attempts:
        return Outcome("failed", "run.failed", error=error)
    wait = retry.delay(claim.tries_in_a_row, claim.id)
    return Outcome("scheduled", "run.retried", _later(now, wait), error=error)


def cancelled_if(asked: bool, outcome: Outcome) -> Outcome:
    """A run that somebody asked to cancel is not tried again; what is over stays as it ended."""
    if asked and outcome.state in ("ready", "scheduled"):
        return Outcome("cancelled", "run.cancelled", reason="cancelled by request")
    return outcome


def _decide_error(claim: Claim, error: BaseException, now: datetime) -> Outcome:
    if isinstance(error, Discard):
        return Outcome("discarded", "run.discarded", reason=safe_str(error, MAX_MESSAGE))
    if isinstance(error, Snooze):
        until = _later(now, error.until or error.delay or timedelta())
        return Outcome("scheduled", "run.snoozed", until, uncounted=True, reason="snoozed")
    facts = describe(error)
    if isinstance(error, RetryAfter):
        if claim.tries >= claim.max_attempts:
            return Outcome("failed", "run.failed", error=facts)
        return Outcome("scheduled", "run.retried", _later(now, error.delay), error=facts)
    return failed(claim, facts, now, final=isinstance(error, ArgumentsError))


def _later(now: datetime, wanted: datetime | timedelta) -> datetime:
    """An instant that is not over yet and that a calendar holds."""
    try:
        moment = now + wanted if isinstance(wanted, timedelta) else aware_utc(wanted, "until=")
    except OverflowError:
        past = wanted.days < 0 if isinstance(wanted, timedelta) else wanted.year < now.year
        return now if past else LATEST
    return min(max(moment, now), LATEST)

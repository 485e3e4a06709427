"""Decide what becomes of a run when its function has ended: rules over values, no database."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Literal

from duly.clock import aware_utc
from duly.errors import ArgumentsError, Discard, RetryAfter, Snooze
from duly.executors.base import CallResult
from duly.executors.failure import MAX_MESSAGE, describe
from duly.model.checks import LATEST
from duly.model.payload import encode_result
from duly.model.run import LIVE
from duly.model.text import safe_str
from duly.model.transition import (
    SUCCESS,
    ErrorFacts,
    Transition,
    cancel,
    discard,
    fail,
    give_back,
    retry_at,
    snooze,
    succeed,
)
from duly.worker.claims.claim import Claim

StopReason = Literal["timeout", "cancelled", "given_back", "not_started"]
"""Why an attempt must stop; ``not_started``: it is given back before its function is called."""


def decide_outcome(
    claim: Claim, result: CallResult, stop_reason: StopReason | None, now: datetime
) -> Transition:
    """Decide what becomes of a run.

    Args:
        claim: the claim whose attempt ended.
        result: what its function returned or raised.
        stop_reason: why the function was asked to stop, if it was; a cancellation and a timeout
            take precedence over whatever the function did afterwards.
        now: the present.
    """
    if stop_reason == "cancelled":
        return cancel("cancelled by request")
    if stop_reason == "timeout":
        limit = claim.policy.timeout or 0
        return failed(claim, ("TimedOut", f"took longer than its {limit:g} s", None), now)
    if stop_reason == "not_started":
        return give_back("not started here", unstarted=True)
    error = result.error
    if error is None:
        return SUCCESS if result.value is None else succeed(encode_result(result.value))
    if stop_reason == "given_back":
        return give_back("its worker stopped")
    try:
        return _decide_error(claim, error, now)
    except Exception as problem:  # noqa: BLE001 - one malformed error must not block a batch
        return fail(describe(problem))


def failed(claim: Claim, error: ErrorFacts, now: datetime) -> Transition:
    """Decide between another attempt and failure, depending on the attempts that are left."""
    retry = claim.policy.retry
    if retry is None or claim.tries >= claim.max_attempts:
        return fail(error)
    wait = retry.delay(claim.tries_in_a_row, claim.id)
    return retry_at(_later(now, wait), error)


def cancelled_if(requested: bool, transition: Transition) -> Transition:
    """Return a cancellation instead of another attempt, if one was requested."""
    if requested and transition.to in LIVE:
        return replace(cancel("cancelled by request"), release=transition.release)
    return transition


def _decide_error(claim: Claim, error: BaseException, now: datetime) -> Transition:
    if isinstance(error, Discard):
        return discard(safe_str(error, MAX_MESSAGE))
    if isinstance(error, Snooze):
        return snooze(_later(now, error.until or error.delay or timedelta()))
    facts = describe(error)
    if isinstance(error, ArgumentsError):
        return fail(facts)
    if isinstance(error, RetryAfter):
        if claim.tries >= claim.max_attempts:
            return fail(facts)
        return retry_at(_later(now, error.delay), facts)
    return failed(claim, facts, now)


def _later(now: datetime, requested: datetime | timedelta) -> datetime:
    """Return the requested instant, limited to the range from now to the last possible date."""
    try:
        moment = (
            now + requested if isinstance(requested, timedelta) else aware_utc(requested, "until=")
        )
    except OverflowError:
        past = requested.days < 0 if isinstance(requested, timedelta) else requested.year < now.year
        return now if past else LATEST
    return min(max(moment, now), LATEST)

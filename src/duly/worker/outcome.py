"""Decide what becomes of a run when its function has ended: rules over values, no database."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Literal

from duly.executors.base import CallResult
from duly.executors.failure import CallError
from duly.model.checks import LATEST
from duly.model.run import LIVE
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
        stop_reason: why the function was asked to stop, if it was. A cancellation and a timeout
            take precedence over whatever the function did afterwards. When the worker stops, a
            signal (`Discard`, `Snooze`, `RetryAfter`) is obeyed, because the function chose it; any
            other error may come from the interruption, and the run is given back.
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
        return SUCCESS if result.text is None else succeed(result.text)
    if stop_reason == "given_back" and error.kind == "error":
        return give_back("its worker stopped")
    return _decide_error(claim, error, now)


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


def _decide_error(claim: Claim, error: CallError, now: datetime) -> Transition:
    if error.kind == "discard":
        return discard(error.facts[1])
    if error.kind == "snooze":
        return snooze(_later(now, error.when))
    if error.kind == "permanent":
        return fail(error.facts)
    if error.kind == "retry_after":
        if claim.tries >= claim.max_attempts:
            return fail(error.facts)
        return retry_at(_later(now, error.when), error.facts)
    return failed(claim, error.facts, now)


def _later(now: datetime, requested: datetime | timedelta | None) -> datetime:
    """Return the requested instant, limited to the range from now to the last possible date."""
    if isinstance(requested, datetime):
        return min(max(requested, now), LATEST)
    delay = requested or timedelta()
    try:
        return min(max(now + delay, now), LATEST)
    except OverflowError:
        return now if delay.days < 0 else LATEST

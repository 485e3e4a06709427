"""Write the outcomes of ended attempts in batches, each only while its claim is valid."""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

from duly.errors import DataRefused, LeaseLost
from duly.executors.base import CallResult
from duly.model.policy import RunPolicy
from duly.model.text import encodable, safe_str
from duly.model.transition import SUCCESS, Transition, fail, give_back_executing
from duly.run_log import run_fields
from duly.store import completions, jobs, transitions
from duly.store.store import Store
from duly.store.transaction import Transaction
from duly.worker.adaptive_batch import AdaptiveBatch
from duly.worker.attempt import Attempt, Phase
from duly.worker.attempt_rows import change_of, log_rows
from duly.worker.claims.claim import HeldClaim
from duly.worker.outcome import cancelled_if, decide_outcome
from duly.worker.run_logging import log_failure

log = logging.getLogger("duly.worker")
BATCH = 1000
MAX_REASON = 500
REFUSALS = (DataRefused, ValueError, OverflowError)
"""Errors that a value causes, as opposed to a database that does not answer."""

_Plain = defaultdict[tuple[str, int, RunPolicy], dict[str, Attempt]]


class Completions:
    """Ended attempts whose outcomes are not written yet.

    Args:
        store: the database.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._batch_size = AdaptiveBatch(store, BATCH)
        self._ended: list[Attempt] = []
        self._lock = threading.Lock()

    def add(self, attempt: Attempt) -> None:
        """Keep an attempt that has ended until the next `flush`."""
        with self._lock:
            self._ended.append(attempt)

    def __len__(self) -> int:
        return len(self._ended)

    def claims(self) -> set[HeldClaim]:
        """Return the claims of the attempts whose outcomes are not written yet."""
        with self._lock:
            return {(attempt.claim.id, attempt.claim.claim_id) for attempt in self._ended}

    def forget(self) -> None:
        """Drop everything, because this worker has lost its lease and must not write."""
        with self._lock:
            self._ended.clear()

    def flush(self, worker_id: str) -> bool:
        """Write up to 1,000 outcomes, fewer if that takes long.

        Successes without anything to report are written in one transaction, all others in another.
        If the database refuses a value, the batch is bisected until the bad row is alone; that run
        fails with the reason, and the others are unaffected. If the database does not answer, the
        unwritten outcomes are kept for the next call, unless the worker has registered under
        another id by then.

        Returns:
            Whether runs were given back.
        """
        with self._lock:
            size = self._batch_size.size
            batch, self._ended = self._ended[:size], self._ended[size:]
        # A worker that was fenced while it wrote registers under another id and drops these.
        own = [attempt for attempt in batch if attempt.claim.worker_id == worker_id]
        parts, gave_back = [own], False
        try:
            parts = self._end_plain(own)
            while parts:
                gave_back |= self._write_part(parts, worker_id)
        except BaseException:
            with self._lock:
                self._ended[:0] = [attempt for part in reversed(parts) for attempt in part]
            raise
        return gave_back

    def abandon(self, attempts: Sequence[Attempt], worker_id: str) -> None:
        """End runs whose functions have not stopped, or give them back because their worker stops.

        The functions' results no longer count, but they occupy their slots until they have ended.
        """
        now = self._store.time.now()
        decided = [(attempt, _decide_abandoned(attempt, now)) for attempt in attempts]
        _log_failures(self._store.run(lambda tx: _write(tx, decided, (), worker_id)))
        for attempt in attempts:
            attempt.unsent.clear()
            attempt.advance(Phase.ABANDONED)

    def _end_plain(self, own: list[Attempt]) -> list[list[Attempt]]:
        """End successful runs without anything to report, and return the other attempts, if any.

        The runs of one claim end in one statement: a row of values for each run took four times
        as long (500 runs on SQLite).
        """
        plain, lines = _Plain(dict), dict[str, list[dict[str, Any]]]()
        for attempt in filter(_is_plain, own):
            claim = attempt.claim
            plain[claim.claim_id, claim.token, claim.policy][claim.id] = attempt
            if rows := log_rows(attempt, self._store.dialect.encoding):
                lines[claim.id] = rows
        ended: set[str] = set()
        if plain:
            write = partial(self._write_plain, plain=plain, lines=lines)
            try:
                ended = self._store.run(write, single=not lines and len(plain) == 1)
            except REFUSALS:
                log.debug("The database rejected a batch; bisecting to find the bad row.")
        rest = []
        for attempt in own:
            if attempt.claim.id in ended:
                attempt.unsent.clear()
            else:
                rest.append(attempt)
        return [rest] if rest else []

    def _write_plain(
        self,
        tx: Transaction,
        plain: _Plain,
        lines: Mapping[str, list[dict[str, Any]]],
    ) -> set[str]:
        began, ended = self._store.clock.monotonic(), set[str]()
        if len(plain) > 1:
            completions.lock(tx, sorted(run_id for members in plain.values() for run_id in members))
        for (claim_id, token, policy), members in plain.items():
            done = transitions.succeed_all(
                tx, {run_id: each.claim.executed for run_id, each in members.items()},
                claim_id=claim_id, token=token,
                keep_until=policy.keep_until(SUCCESS.to, tx.now),
            )  # fmt: skip
            if policy.ping or tx.has_listener(SUCCESS.event):
                for run_id in members:
                    if run_id in done:
                        transitions.record(
                            tx, change_of(members[run_id], SUCCESS, tx.dialect.encoding)
                        )
            ended |= done
        stored = [line for run_id, rows in lines.items() if run_id in ended for line in rows]
        completions.add_log(tx.conn, stored)
        self._batch_size.record(len(ended), self._store.clock.monotonic() - began)
        return ended

    def _write_part(self, parts: list[list[Attempt]], worker_id: str) -> bool:
        """Write the last part, or replace it with its halves if the database refuses a value.

        Return whether runs were given back.
        """
        part = parts[-1]
        now = self._store.time.now()
        returned = [attempt.claim.fence for attempt in part if attempt.phase is Phase.ABANDONED]
        decided = [
            (attempt, _decide(attempt, now)) for attempt in part if not attempt.has_outlived_run
        ]
        try:
            write = partial(
                self._write_batch, decided=decided, returned=returned, worker_id=worker_id
            )
            _log_failures(self._store.run(write))
        except REFUSALS as error:
            if len(part) > 1:
                half = len(part) // 2
                parts[-1:] = [part[half:], part[:half]]
                return False
            self._write_refused(decided, error, worker_id)
        parts.pop()
        for attempt in part:
            attempt.unsent.clear()
        return any(transition.to == "ready" for _attempt, transition in decided)

    def _write_batch(
        self,
        tx: Transaction,
        decided: Sequence[tuple[Attempt, Transition]],
        returned: Sequence[completions.Fence],
        worker_id: str,
    ) -> list[tuple[Attempt, Transition]]:
        began = self._store.clock.monotonic()
        accepted = _write(tx, decided, returned, worker_id)
        self._batch_size.record(len(decided), self._store.clock.monotonic() - began)
        return accepted

    def _write_refused(
        self, decided: Sequence[tuple[Attempt, Transition]], error: Exception, worker_id: str
    ) -> None:
        """Write outcomes whose values the database refuses, without them.

        What is only history (log lines, progress, counters, an error's text) is given up first, so
        that it does not change what becomes of the run. Only a run whose result is refused fails.
        """
        for attempt, transition in decided:
            attempt.run.forget_reports()
            attempt.unsent.clear()
            why = (type(error).__name__, safe_str(error, MAX_REASON), None)
            for outcome in (_without_texts(transition), fail(why)):
                write = partial(
                    _write, decided=[(attempt, outcome)], returned=(), worker_id=worker_id
                )
                try:
                    _log_failures(self._store.run(write))
                except REFUSALS:
                    continue
                log.error(
                    "The database refused what run %s has reported; it is stored without that: %s",
                    attempt.claim.id, error, extra=run_fields(attempt.claim),
                )  # fmt: skip
                break
            else:
                log.error(
                    "Run %s cannot be ended; it will be given back.", attempt.claim.id,
                    extra=run_fields(attempt.claim),
                )  # fmt: skip


def _without_texts(transition: Transition) -> Transition:
    """Return a transition whose error and reason contain ASCII characters only."""
    error = transition.error
    if error is not None:
        error = (encodable(error[0], "ascii"), encodable(error[1], "ascii"), None)
    reason = None if transition.reason is None else encodable(transition.reason, "ascii")
    return replace(transition, error=error, reason=reason)


def _decide(attempt: Attempt, now: datetime) -> Transition:
    return decide_outcome(attempt.claim, attempt.result, attempt.stop_reason, now)


def _decide_abandoned(attempt: Attempt, now: datetime) -> Transition:
    if attempt.must_stop:
        return _decide(attempt, now).abandoned()
    return give_back_executing("its worker stopped")


def _write(
    tx: Transaction,
    decided: Sequence[tuple[Attempt, Transition]],
    returned: Sequence[completions.Fence],
    worker_id: str,
) -> list[tuple[Attempt, Transition]]:
    """Write outcomes, and free the slots of functions that returned after their runs had ended.

    Returns:
        The outcomes that were accepted.
    """
    locked = _lock_jobs(tx, decided)
    completions.end_occupation(tx.conn, returned)
    if not decided:
        return []
    found = completions.check_fences(tx, [attempt.claim.fence for attempt, _ in decided])
    late = [pair for pair in decided if pair[0].claim.id in found.late]
    for attempt, transition in late:
        _record_late(tx, attempt, transition, worker_id)
    # A worker that abandoned them may not have learned that this was committed.
    ended = [
        attempt.claim.fence for attempt, transition in late if transition.release != "abandoned"
    ]
    completions.end_occupation(tx.conn, ended)
    accepted = [
        (attempt, cancelled_if(attempt.claim.id in found.cancel, transition))
        for attempt, transition in decided
        if attempt.claim.id in found.valid
    ]
    _write_accepted(tx, accepted, locked)
    return accepted


def _is_plain(attempt: Attempt) -> bool:
    run, result = attempt.run, attempt.result
    return (
        result.error is None
        and result.text is None
        and not attempt.must_stop
        and not attempt.has_outlived_run
        and run.reported_nothing
    )


def _write_accepted(
    tx: Transaction, accepted: Sequence[tuple[Attempt, Transition]], locked: Sequence[str]
) -> None:
    encoding = tx.dialect.encoding
    transitions.apply(tx, [change_of(*pair, encoding) for pair in accepted])
    lines = [line for attempt, _ in accepted for line in log_rows(attempt, encoding)]
    completions.add_log(tx.conn, lines)
    _count(tx, accepted, locked)


def complete(tx: Transaction, attempt: Attempt, result: CallResult) -> None:
    """Write a success in the function's own transaction, if the claim is still valid.

    Args:
        tx: the function's transaction; nothing else may happen in it afterwards.
        attempt: a transactional attempt whose function has returned.
        result: what the function returned.

    Raises:
        LeaseLost: the run was taken away, cancelled or timed out meanwhile, so the transaction must
            be rolled back; the result is then added to `Completions` like any other.
    """
    run_id = attempt.claim.id
    transition = decide_outcome(attempt.claim, result, None, tx.now)
    locked = _lock_jobs(tx, [(attempt, transition)])
    found = completions.check_fences(tx, [attempt.claim.fence])
    if run_id in found.cancel and attempt.stop_reason is None:
        attempt.mark_stopping("cancelled")
    if attempt.must_stop or attempt.has_outlived_run or run_id not in found.valid:
        why = attempt.stop_reason or "another worker has it"
        raise LeaseLost(f"run {run_id} is no longer this worker's ({why}); nothing is committed")
    _write_accepted(tx, [(attempt, transition)], locked)


def _log_failures(accepted: Sequence[tuple[Attempt, Transition]]) -> None:
    for attempt, transition in accepted:
        log_failure(attempt.claim, transition)


def _lock_jobs(tx: Transaction, decided: Sequence[tuple[Attempt, Transition]]) -> list[str]:
    by_state: dict[str, set[str]] = {"failed": set(), "succeeded": set()}
    for attempt, transition in decided:
        if attempt.claim.job_id is not None and transition.to in by_state:
            by_state[transition.to].add(attempt.claim.job_id)
    return jobs.lock_counts(tx, by_state["failed"], by_state["succeeded"])


def _count(
    tx: Transaction, accepted: Sequence[tuple[Attempt, Transition]], locked: Sequence[str]
) -> None:
    for attempt, transition in accepted:
        job_id = attempt.claim.job_id
        if job_id is not None and job_id in locked and transition.to == "failed":
            jobs.count_failure(tx, job_id)
        elif job_id is not None and job_id in locked and transition.to == "succeeded":
            jobs.reset_failures(tx, job_id)


def _record_late(tx: Transaction, attempt: Attempt, transition: Transition, worker_id: str) -> None:
    claim = attempt.claim
    log.warning(
        "Run %s ended (%s) after this worker had lost its claim; the outcome is ignored.",
        claim.id, transition.to, extra=run_fields(claim),
    )  # fmt: skip
    tx.record(
        "run.late_completion", job_id=claim.job_id, run_id=claim.id, worker_id=worker_id,
        state=transition.to, token=claim.token,
    )  # fmt: skip

"""Completion: what became of runs, written back in batches, each behind its fence."""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from duly.errors import DataRefused, LeaseLost
from duly.executors.base import CallResult
from duly.model.policy import RunPolicy
from duly.model.text import safe_str
from duly.store import completions, jobs
from duly.store.store import Store
from duly.store.transaction import ROUTINE, Transaction
from duly.worker.ending_rows import attempt_row, log_rows, run_row
from duly.worker.flight import Flight
from duly.worker.outcome import SUCCESS, Outcome, cancelled_if, decide_outcome
from duly.worker.pace import Pace

log = logging.getLogger("duly.worker")
BATCH = 1000
MAX_REASON = 500
REFUSALS = (DataRefused, ValueError, OverflowError)
"""What a value makes the database or its driver say, as opposed to a database in trouble."""

_Ended = tuple[Flight, CallResult]
_Plain = defaultdict[tuple[str, int, RunPolicy], dict[str, Flight]]


class Completions:
    """Endings that are not written yet.

    Args:
        store: where they go.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._pace = Pace(store, BATCH)
        self._ended: list[_Ended] = []
        self._lock = threading.Lock()

    def add(self, flight: Flight, result: CallResult) -> None:
        """Keep a result until the next `flush`."""
        with self._lock:
            self._ended.append((flight, result))

    def __len__(self) -> int:
        return len(self._ended)

    def claims(self) -> set[tuple[str, str]]:
        """The runs whose endings are kept, each with its claim."""
        with self._lock:
            return {(flight.claim.id, flight.claim.claim_id) for flight, _ in self._ended}

    def forget(self) -> None:
        """Drop everything: this worker has lost its lease and must write nothing."""
        with self._lock:
            self._ended.clear()

    def flush(self, worker_id: str) -> int:
        """Write up to 1,000 endings, fewer where that takes long; returns how many.

        One transaction takes those that have nothing to say, another one all others. When the
        database refuses a value among them, halves are tried until the culprit is alone, and that
        run fails with the reason; the others are as good as ever. When the database does not
        answer, all that is not written is kept, and the next call tries it again, unless that is
        made in another life of the worker.
        """
        with self._lock:
            most = self._pace.size
            batch, self._ended = self._ended[:most], self._ended[most:]
        # A worker that was fenced while it wrote comes back under another id, and forgets.
        own = [(f, result) for f, result in batch if f.claim.worker_id == worker_id]
        parts = [own]
        try:
            parts = self._end_plain(own, worker_id)
            while parts:
                self._write_part(parts, worker_id)
        except BaseException:
            with self._lock:
                self._ended[:0] = [ended for part in reversed(parts) for ended in part]
            raise
        return len(batch)

    def abandon(self, flights: Sequence[Flight], worker_id: str) -> None:
        """End runs whose functions cannot be stopped: their results no longer count."""
        now = self._store.time.now()
        decided = [(flight, _decided(flight, CallResult(), now)) for flight in flights]
        self._store.run(lambda tx: _write(tx, decided, (), worker_id, occupied=True))
        for flight in flights:
            flight.unsent.clear()
            flight.abandoned = True

    def _end_plain(self, own: list[_Ended], worker_id: str) -> list[list[_Ended]]:
        """End the runs that succeeded and had nothing to say; returns the others, if any, as one.

        One statement for each claim: a row of values for each run took four times as long (500
        runs on SQLite).
        """
        plain, lines = _Plain(dict), dict[str, list[dict[str, Any]]]()
        for flight, _ending in filter(_is_plain, own):
            claim = flight.claim
            plain[claim.claim_id, claim.token, claim.policy][claim.id] = flight
            if said := log_rows(flight):
                lines[claim.id] = said
        ended: set[str] = set()
        if plain:
            write = partial(self._write_plain, plain=plain, lines=lines, worker_id=worker_id)
            try:
                ended = self._store.run(write, single=not lines and len(plain) == 1)
            except REFUSALS:
                log.debug("a log line is refused; it is looked for in halves")
        rest = []
        for flight, result in own:
            if flight.claim.id in ended:
                flight.unsent.clear()
            else:
                rest.append((flight, result))
        return [rest] if rest else []

    def _write_plain(
        self,
        tx: Transaction,
        plain: _Plain,
        lines: Mapping[str, list[dict[str, Any]]],
        worker_id: str,
    ) -> set[str]:
        began, ended = self._store.clock.monotonic(), set[str]()
        if len(plain) > 1:
            completions.lock(tx, sorted(run_id for members in plain.values() for run_id in members))
        for (claim_id, token, policy), members in plain.items():
            batch = completions.Batch(claim_id, token, policy.keep_until("succeeded", tx.now))
            done = completions.succeed(tx, batch, sorted(members))
            if policy.ping or tx.hears(SUCCESS.kind):
                for flight in (members[run_id] for run_id in members if run_id in done):
                    _record(tx, flight, SUCCESS, worker_id)
            ended |= done
        said = [line for run_id, held in lines.items() if run_id in ended for line in held]
        completions.add_log(tx.conn, said)
        self._pace.took(len(ended), self._store.clock.monotonic() - began)
        return ended

    def _write_part(self, parts: list[list[_Ended]], worker_id: str) -> None:
        """Write the last part, or put its halves in its place."""
        part = parts[-1]
        now = self._store.time.now()
        over = [f.claim.fence for f, _ending in part if f.abandoned and not f.lost]
        decided = [(f, _decided(f, result, now)) for f, result in part if not f.abandoned]
        try:
            self._store.run(lambda tx: self._write_batch(tx, decided, over, worker_id))
        except REFUSALS as error:
            if len(part) > 1:
                half = len(part) // 2
                parts[-1:] = [part[half:], part[:half]]
                return
            self._write_refused(decided, error, worker_id)
        parts.pop()
        for flight, _ending in part:
            flight.unsent.clear()

    def _write_batch(
        self,
        tx: Transaction,
        decided: Sequence[tuple[Flight, Outcome]],
        over: Sequence[completions.Fence],
        worker_id: str,
    ) -> None:
        began = self._store.clock.monotonic()
        _write(tx, decided, over, worker_id)
        self._pace.took(len(decided), self._store.clock.monotonic() - began)

    def _write_refused(
        self, decided: Sequence[tuple[Flight, Outcome]], error: Exception, worker_id: str
    ) -> None:
        """End one run whose result the database does not take: without anything it said."""
        for flight, _outcome in decided:
            log.error("what run %s ended with cannot be stored: %s", flight.claim.id, error)
            flight.work.run.forget_reports()
            flight.unsent.clear()
            why = (type(error).__name__, safe_str(error, MAX_REASON), None)
            refused = [(flight, Outcome("failed", "run.failed", error=why))]
            try:
                self._store.run(partial(_write, decided=refused, over=(), worker_id=worker_id))
            except REFUSALS:
                log.exception("run %s cannot be ended; it will be given back", flight.claim.id)


def _decided(flight: Flight, result: CallResult, now: datetime) -> Outcome:
    return decide_outcome(flight.claim, result, flight.stop_reason, now)


def _write(
    tx: Transaction,
    decided: Sequence[tuple[Flight, Outcome]],
    over: Sequence[completions.Fence],
    worker_id: str,
    *,
    occupied: bool = False,
) -> None:
    """Write outcomes, and free the places of functions that ended after their runs were over."""
    locked = _lock_jobs(tx, decided)
    completions.end_occupation(tx.conn, over)
    if not decided:
        return
    found = completions.accepted(tx, [flight.claim.fence for flight, _ in decided])
    late = [pair for pair in decided if pair[0].claim.id in found.late]
    for flight, outcome in late:
        _record_late(tx, flight, outcome, worker_id)
    if not occupied:  # who abandoned them may never have heard that it was committed
        completions.end_occupation(tx.conn, [flight.claim.fence for flight, _ in late])
    kept = [
        (flight, cancelled_if(flight.claim.id in found.cancel, outcome))
        for flight, outcome in decided
        if flight.claim.id in found.standing
    ]
    _keep(tx, kept, locked, worker_id, occupied=occupied)


def _is_plain(ended: _Ended) -> bool:
    flight, result = ended
    run = flight.work.run
    return (
        result.error is None
        and result.value is None
        and flight.stop_reason not in ("cancelled", "timeout")
        and not flight.abandoned
        and run.told_nothing
    )


def _keep(
    tx: Transaction,
    kept: Sequence[tuple[Flight, Outcome]],
    locked: Sequence[str],
    worker_id: str,
    *,
    occupied: bool = False,
) -> None:
    completions.write(tx, [run_row(f, o, worker_id, tx.now, occupied) for f, o in kept])
    completions.add_attempts(tx, [attempt_row(f, o, worker_id, tx.now) for f, o in kept if o.error])
    completions.add_log(tx.conn, [line for flight, _ in kept for line in log_rows(flight)])
    _count(tx, kept, locked)
    for flight, outcome in kept:
        _record(tx, flight, outcome, worker_id)


def complete(tx: Transaction, flight: Flight, result: CallResult) -> None:
    """Write a success in the function's own transaction, behind its fence.

    Args:
        tx: the transaction that holds what the function did, and nothing else will follow in it.
        flight: a transactional attempt whose function has returned.
        result: with what.

    Raises:
        LeaseLost: the run was taken away, cancelled or timed out meanwhile, so everything must be
            rolled back; the result then goes the way of all others, by `Completions.add`.
    """
    run_id, worker_id = flight.claim.id, flight.claim.worker_id or ""
    outcome = decide_outcome(flight.claim, result, None, tx.now)
    locked = _lock_jobs(tx, [(flight, outcome)])
    found = completions.accepted(tx, [flight.claim.fence])
    if run_id in found.cancel and flight.stop_reason is None:
        flight.stop_reason = "cancelled"
    stopped = flight.stop_reason in ("cancelled", "timeout") or flight.abandoned
    if stopped or run_id not in found.standing:
        why = flight.stop_reason or "another worker has it"
        raise LeaseLost(f"run {run_id} is not this worker's any more ({why}); nothing is committed")
    _keep(tx, [(flight, outcome)], locked, worker_id)


def _lock_jobs(tx: Transaction, decided: Sequence[tuple[Flight, Outcome]]) -> list[str]:
    by_state: dict[str, set[str]] = {"failed": set(), "succeeded": set()}
    for flight, outcome in decided:
        if flight.claim.job_id is not None and outcome.state in by_state:
            by_state[outcome.state].add(flight.claim.job_id)
    return jobs.lock_counts(tx, by_state["failed"], by_state["succeeded"])


def _count(tx: Transaction, kept: Sequence[tuple[Flight, Outcome]], locked: Sequence[str]) -> None:
    for flight, outcome in kept:
        job_id = flight.claim.job_id
        if job_id is not None and job_id in locked and outcome.state == "failed":
            jobs.count_failure(tx, job_id)
        elif job_id is not None and job_id in locked and outcome.state == "succeeded":
            jobs.end_failures(tx, job_id)


def _record(tx: Transaction, flight: Flight, outcome: Outcome, worker_id: str) -> None:
    claim = flight.claim
    if outcome.kind in ROUTINE and not claim.policy.ping and not tx.hears(outcome.kind):
        return
    detail: dict[str, Any] = {"task": claim.task, "attempt": claim.attempt}
    if outcome.error:
        detail |= {"error": outcome.error[0], "message": outcome.error[1][:500]}
        log.warning(
            "run %s of %s, attempt %d: %s: %s; %s", claim.id, claim.job_id or claim.task,
            claim.attempt, outcome.error[0], _one_line(outcome.error[1]),
            f"again at {outcome.due_at:%H:%M:%S} UTC" if outcome.due_at else "given up",
        )  # fmt: skip
    if outcome.reason:
        detail["reason"] = outcome.reason
    if claim.policy.ping and outcome.state == "succeeded":
        detail["ping"] = claim.policy.ping
    tx.record(outcome.kind, job_id=claim.job_id, run_id=claim.id, worker_id=worker_id, **detail)


def _record_late(tx: Transaction, flight: Flight, outcome: Outcome, worker_id: str) -> None:
    claim = flight.claim
    log.warning("run %s ended (%s) after this worker had lost it; ignored", claim.id, outcome.state)
    tx.record(
        "run.late_completion", job_id=claim.job_id, run_id=claim.id, worker_id=worker_id,
        state=outcome.state, token=claim.token,
    )  # fmt: skip


def _one_line(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text[:300]).split())

"""The invariants that must hold in every world, numbered as they are printed.

1. Each nominal time has exactly one decision.
2. Tokens only rise, and each accepted completion carries the current one.
3. A run reaches a terminal state at most once.
4. Effects of transactional runs, and of the application's own transactions, exist exactly once or
   not at all.
5. There are no more executions than claims.
6. Concurrency limits hold.
7. After healing, no run stays with a dead worker longer than a lease and a scan, and all runs end.
8. Every acknowledged write survives.
9. Cursors only advance.
10. The history equals the audit log.
11. A run that is given back is as it was before its claim, and an orderly stop counts no crash.
12. At most one unfinished run holds a unique key until it is done.
13. No job is deleted while another one runs after it.
14. The counts of outcomes equal what the audit log says of how runs ended.

`simulation.simulate` checks the seventh while the world recovers, the others are checked here.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from math import inf

from duly.model import payload
from duly.model.policy import decode_options
from duly.model.run import LIVE, MOVES, TERMINAL
from duly.store.transaction import ROUTINE
from simulation.audit_log import RunChange, RunColumns
from simulation.claim_invariants import (
    keys_are_unique,
    only_crashes_are_counted,
    what_is_given_back_is_restored,
)
from simulation.decision_invariants import cursors_advance, one_decision_each
from simulation.executor import Execution
from simulation.expectations import JobState
from simulation.limit_invariants import keys_hold, rates_hold
from simulation.records import Records

FIRST_STATES = LIVE | {"missed", "skipped"}
"""The states in which a run may be inserted."""
RECORDED_STATES = sorted(s for s in TERMINAL - FIRST_STATES if f"run.{s}" not in ROUTINE)
"""The states whose every entry has an event of its own in the audit trail."""


def violations(records: Records) -> list[str]:
    """Return a line for each violation."""
    return [violation for check in CHECKS for violation in check(records)]


def tokens_rise(records: Records) -> Iterator[str]:
    """(2) A token never falls, a claim raises it, and only the holder of the claim ends a run."""
    for change in records.run_changes:
        before, after = change.before, change.after
        if before.token is None or after.token is None:
            continue
        where = f"(2) run {change.run_id} in step {change.step} by p{change.actor}"
        if after.token < before.token:
            yield f"{where}: its token fell from {before.token} to {after.token}"
        if after.state == "running" and before.state != "running" and after.token == before.token:
            yield f"{where}: claimed without a higher token"
        if before.state == "running" and after.state != "running" and after.token == before.token:
            claim = records.claims.get((change.run_id, str(before.claim_id)))
            if claim is not None and claim.actor != change.actor:
                yield f"{where}: wrote {after.state}, but p{claim.actor} holds the claim"
    yield from _results_of_current_claims(records)


def _results_of_current_claims(records: Records) -> Iterator[str]:
    for change in records.run_changes:
        if change.after.state != "succeeded" or change.before.state != "running":
            continue
        if change.after.result is None:
            continue
        number = payload.decode(change.after.result)["execution"]
        execution = records.executions[number - 1]
        claim = _claim_of(records, execution)
        if claim is None or claim.after.claim_id != change.before.claim_id:
            yield (
                f"(2) run {change.run_id} in step {change.step}: the result of execution "
                f"{number} (p{execution.process}) was accepted under another claim"
            )


def _claim_of(records: Records, execution: Execution) -> RunChange | None:
    """Return the claim under which an execution started."""
    claims = [
        change
        for change in records.changes_by_run[execution.run_id]
        if change.actor == execution.process
        and change.step <= execution.step
        and records.claims.get((change.run_id, str(change.after.claim_id))) is change
    ]
    return claims[-1] if claims else None


def transitions_are_allowed(records: Records) -> Iterator[str]:
    """(3) Runs follow the state machine, in which only a command leaves a terminal state."""
    for change in records.run_changes:
        before, after = change.before.state, str(change.after.state)
        allowed = FIRST_STATES if before is None else MOVES[before] | {before}
        if after not in allowed:
            yield f"(3) run {change.run_id} in step {change.step}: from {before} to {after}"


def effects_match_runs(records: Records) -> Iterator[str]:
    """(4) What is written in one transaction with a run's creation or end exists with it."""
    for key, (committed, run_id) in records.expectations.transactions.items():
        effect, run = key in records.effects, run_id in records.runs
        if effect != run or (committed is not None and effect != committed):
            yield f"(4) {key}: committed {committed}, effect {effect}, run {run}"
    for run_id, row in records.runs.items():
        expected = 1 if row.task == "charge" and row.state == "succeeded" else 0
        effects = records.charges[run_id]
        if effects != expected:
            yield f"(4) run {run_id} ({row.state}) has {effects} effects, not {expected}"


def executions_are_claimed(records: Records) -> Iterator[str]:
    """(5) Each execution has a claim of its own."""
    executed: Counter[tuple[str, str | None]] = Counter()
    for execution in records.executions:
        claim = _claim_of(records, execution)
        if claim is None:
            yield f"(5) execution {execution.number} of run {execution.run_id} has no claim"
            continue
        key = execution.run_id, claim.after.claim_id
        executed[key] += 1
        if executed[key] > 1:
            yield f"(5) run {execution.run_id} was executed twice under one claim"


def limits_hold(records: Records) -> Iterator[str]:
    """(6) A stored job never has more active runs than its policy ever allowed.

    Runs of a job that was removed do not count for the job that was added again under its id.
    """
    limits, lifetimes = _limits_and_lifetimes(records)
    active: dict[tuple[str, int], set[str]] = defaultdict(set)
    for change in records.run_changes:
        if change.job_id is None:
            continue
        created = records.changes_by_run[change.run_id][0].step
        incarnation = sum(added <= created for added, _ in lifetimes[change.job_id])
        runs = active[change.job_id, incarnation]
        if not _is_active(change.after):
            runs.discard(change.run_id)
        elif change.run_id not in runs:
            runs.add(change.run_id)
            stored = any(
                added <= change.step <= removed for added, removed in lifetimes[change.job_id]
            )
            if stored and len(runs) > limits[change.job_id]:
                yield (
                    f"(6) {change.job_id} in step {change.step}: {len(runs)} runs at once; "
                    f"{limits[change.job_id]} allowed"
                )


def _limits_and_lifetimes(
    records: Records,
) -> tuple[dict[str, float], dict[str, list[tuple[int, float]]]]:
    """Return each job's highest limit, and the steps between which it was stored."""
    limits: dict[str, float] = defaultdict(float)
    lifetimes: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for changes in records.job_changes.values():
        for change in changes:
            if change.kind == "delete":
                continue
            options = decode_options(change.after.options)
            limit = inf if options.overlap == "allow" else options.max_running
            limits[change.job_id] = max(limits[change.job_id], limit)
        removed = changes[-1].step if changes[-1].kind == "delete" else inf
        lifetimes[changes[0].job_id].append((changes[0].step, removed))
    return limits, lifetimes


def _is_active(columns: RunColumns) -> bool:
    return bool(columns.occupied) or (columns.state in LIVE and not columns.waits_for_slot)


def acknowledged_writes_survive(records: Records) -> Iterator[str]:
    """(8) Whatever was acknowledged to a client is stored, and no two answers contradict."""
    expectations = records.expectations
    yield from (f"(8) {contradiction}" for contradiction in expectations.contradictions)
    for run_id in expectations.runs:
        if run_id not in records.runs:
            yield f"(8) run {run_id} was acknowledged and is not stored"
    for run_id in expectations.cancelled:
        if records.runs[run_id].state != "cancelled":
            yield f"(8) run {run_id} was cancelled, and is {records.runs[run_id].state}"
    for job_id, possible in expectations.jobs.items():
        row = records.jobs.get(job_id)
        n = payload.decode(row.args)["n"] if row is not None else 0
        state = JobState(row is not None, row is not None and row.state == "paused", n)
        if state not in possible:
            yield f"(8) {job_id} is {state}; acknowledged: {possible}"


def parents_are_kept(records: Records) -> Iterator[str]:
    """(13) No job is deleted while another one runs after it."""
    for parent, child in records.orphans:
        yield f"(13) {parent} was deleted although {child} runs after it"


def outcomes_are_counted(records: Records) -> Iterator[str]:
    """(14) Each end of a run is counted once, and so is each missed time of a range."""
    ended: Counter[tuple[str, str, str]] = Counter()
    for change in records.run_changes:
        state = str(change.after.state)
        if state in TERMINAL and state != change.before.state:
            ended[records.runs[change.run_id].task, str(change.after.queue), state] += 1
    missed = sum(count for (*_, state), count in ended.items() if state == "missed")
    for event in records.events:
        times = payload.decode(event.detail or "{}").get("count", 1)
        missed += times if event.kind == "run.missed" and times > 1 else 0
    counted = records.outcomes
    for key in ended | counted:
        if key[2] != "missed" and ended[key] != counted[key]:
            yield f"(14) {key}: counted {counted[key]} times, ended {ended[key]} times"
    of_missed = sum(count for (*_, state), count in counted.items() if state == "missed")
    if of_missed != missed:
        yield f"(14) missed times: counted {of_missed}, decided {missed}"


def history_equals_log(records: Records) -> Iterator[str]:
    """(10) Each change starts where the last one ended, and the last one left the row as it is."""
    for run_id, changes in records.changes_by_run.items():
        for earlier, later in pairwise(changes):
            if earlier.after != later.before:
                yield f"(10) run {run_id}: the change of step {later.step} starts elsewhere"
        row = records.runs.get(run_id)
        if row is None:
            yield f"(10) run {run_id} is gone"
        elif any(
            getattr(row, name) != getattr(changes[-1].after, name)
            for name in ("state", "token", "claim_id", "attempt", "crashes")
        ):
            yield f"(10) run {run_id} is not as its last change left it"
    yield from _events_match_changes(records)


def _events_match_changes(records: Records) -> Iterator[str]:
    recorded = Counter((event.kind, event.run_id) for event in records.events if event.run_id)
    for run_id, changes in records.changes_by_run.items():
        entered = Counter(
            str(change.after.state)
            for change in changes
            if change.before.state != change.after.state
        )
        for state in RECORDED_STATES:
            events = recorded[f"run.{state}", run_id]
            if entered[state] != events:
                yield f"(10) run {run_id}: {state} {entered[state]} times, recorded {events} times"
    attempts = Counter(row.run_id for row in records.attempts)
    for run_id, count in attempts.items():
        least = recorded["run.failed", run_id] + recorded["run.retried", run_id]
        if not least <= count <= least + recorded["run.cancelled", run_id]:
            yield f"(10) run {run_id}: {count} attempts in its history, {least} in its events"


CHECKS: tuple[Callable[[Records], Iterable[str]], ...] = (
    one_decision_each, tokens_rise, transitions_are_allowed, effects_match_runs,
    executions_are_claimed, limits_hold, keys_hold, rates_hold, acknowledged_writes_survive,
    cursors_advance, history_equals_log, what_is_given_back_is_restored, only_crashes_are_counted,
    keys_are_unique, parents_are_kept, outcomes_are_counted,
)  # fmt: skip

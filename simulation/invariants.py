"""What must hold in every world, whatever befell it: the checks, numbered as they are printed.

1 one decision for each nominal time, none missing · 2 tokens only rise, and each accepted
completion carries the current one · 3 at most one terminal move · 4 effects of transactional runs
and of the application's own transactions exist exactly once, or not at all · 5 executions ≤
claims · 6 concurrency limits hold · 7 nothing stays running beyond lease and scan after healing ·
8 every acknowledged write survives · 9 cursors only advance · 10 the history equals the log.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from math import inf

from duly.model import payload
from duly.model.policy import decode_options
from duly.model.run import LIVE, MOVES
from simulation.audit_log import Move, Side
from simulation.decision_invariants import cursors_advance, one_decision_each
from simulation.executor import Call
from simulation.expectations import Known
from simulation.records import Evidence

FIRST_STATES = frozenset({"scheduled", "ready", "running", "missed", "skipped"})


def violations(found: Evidence) -> list[str]:
    """Everything that does not hold."""
    return [problem for check in CHECKS for problem in check(found)]


def tokens_rise(found: Evidence) -> Iterator[str]:
    """(2) A token never falls, a claim raises it, and only its claim's holder may end a run."""
    for move in found.all_moves:
        before, after = move.before, move.after
        if before.token is None or after.token is None:
            continue
        what = f"(2) run {move.run_id} in step {move.step} by p{move.actor}"
        if after.token < before.token:
            yield f"{what}: its token fell from {before.token} to {after.token}"
        if after.state == "running" and before.state != "running" and after.token == before.token:
            yield f"{what}: claimed without a higher token"
        if before.state == "running" and after.state != "running" and after.token == before.token:
            claim = found.claims.get((move.run_id, str(before.claim_id)))
            if claim is not None and claim.actor != move.actor:
                yield f"{what}: {after.state} was written; p{claim.actor} holds the claim"
    yield from _results_of_current_claims(found)


def _results_of_current_claims(found: Evidence) -> Iterator[str]:
    for move in found.all_moves:
        if move.after.state != "succeeded" or move.before.state != "running":
            continue
        call = found.calls[payload.decode(move.after.result or "")["execution"] - 1]
        claim = _claim_of(found, call)
        if claim is None or claim.after.claim_id != move.before.claim_id:
            yield (
                f"(2) run {move.run_id} in step {move.step}: the result of execution "
                f"{call.number} (p{call.process}) was accepted under another claim"
            )


def _claim_of(found: Evidence, call: Call) -> Move | None:
    """The claim under which a call began."""
    own = [
        move
        for move in found.moves[call.run_id]
        if move.actor == call.process
        and move.step <= call.step
        and found.claims.get((move.run_id, str(move.after.claim_id))) is move
    ]
    return own[-1] if own else None


def states_move_as_drawn(found: Evidence) -> Iterator[str]:
    """(3) Runs move as the state machine allows: a terminal state is left by hand only."""
    for move in found.all_moves:
        was, becomes = move.before.state, str(move.after.state)
        allowed = FIRST_STATES if was is None else MOVES[was] | {was}
        if becomes not in allowed:
            yield f"(3) run {move.run_id} in step {move.step}: {was} became {becomes}"


def effects_with_runs(found: Evidence) -> Iterator[str]:
    """(4) What is written in one transaction with a run's making, or its end, exists with that."""
    for key, (committed, run_id) in found.book.joined.items():
        effect, run = key in found.effects, run_id in found.runs
        if effect != run or (committed is not None and effect != committed):
            yield f"(4) {key}: committed {committed}, effect {effect}, run {run}"
    for run_id, row in found.runs.items():
        wanted = 1 if row.task == "charge" and row.state == "succeeded" else 0
        effects = found.charges[run_id]
        if effects != wanted:
            yield f"(4) run {run_id} ({row.state}) has {effects} effects, not {wanted}"


def executions_are_claimed(found: Evidence) -> Iterator[str]:
    """(5) Each execution belongs to a claim of its own."""
    used: Counter[str] = Counter()
    for call in found.calls:
        claim = _claim_of(found, call)
        if claim is None:
            yield f"(5) execution {call.number} of run {call.run_id} has no claim"
        else:
            used[str(claim.after.claim_id) + call.run_id] += 1
            if used[str(claim.after.claim_id) + call.run_id] > 1:
                yield f"(5) run {call.run_id} was executed twice under one claim"


def limits_hold(found: Evidence) -> Iterator[str]:
    """(6) No stored job has more runs on their way than its policy ever allowed."""
    limits: dict[str, float] = defaultdict(float)
    lives: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for changes in found.changes.values():
        for change in changes:
            if change.kind == "delete":
                continue
            options = decode_options(change.after.options)
            limit = inf if options.overlap == "allow" else options.max_running
            limits[change.job_id] = max(limits[change.job_id], limit)
        removed = changes[-1].step if changes[-1].kind == "delete" else inf
        lives[changes[0].job_id].append((changes[0].step, removed))
    active: dict[str, set[str]] = defaultdict(set)
    for move in found.all_moves:
        if move.job_id is None:
            continue
        held = active[move.job_id]
        if not _is_active(move.after):
            held.discard(move.run_id)
        elif move.run_id not in held:
            held.add(move.run_id)
            stored = any(made <= move.step <= gone for made, gone in lives[move.job_id])
            if stored and len(held) > limits[move.job_id]:
                yield (
                    f"(6) {move.job_id} in step {move.step}: {len(held)} runs at once; "
                    f"{limits[move.job_id]} allowed"
                )


def _is_active(side: Side) -> bool:
    return bool(side.occupied) or (side.state in LIVE and not side.waits_for_slot)


def acknowledged_writes_survive(found: Evidence) -> Iterator[str]:
    """(8) What a client was told to be done is there, and answers never contradict each other."""
    yield from (f"(8) {problem}" for problem in found.book.contradictions)
    for run_id in found.book.runs:
        if run_id not in found.runs:
            yield f"(8) run {run_id} was acknowledged and is not there"
    for job_id, known in found.book.jobs.items():
        row = found.jobs.get(job_id)
        n = payload.decode(row.args)["n"] if row is not None else 0
        held = Known(row is not None, row is not None and row.state == "paused", n)
        if held not in known:
            yield f"(8) {job_id} is {held}; acknowledged: {known}"


def history_is_the_log(found: Evidence) -> Iterator[str]:
    """(10) Each move begins where the last one ended, the row is where the last one left it."""
    for run_id, moves in found.moves.items():
        for earlier, later in pairwise(moves):
            if earlier.after != later.before:
                yield f"(10) run {run_id}: a move of step {later.step} begins elsewhere"
        row = found.runs.get(run_id)
        if row is None:
            yield f"(10) run {run_id} is gone"
        elif any(
            getattr(row, name) != getattr(moves[-1].after, name)
            for name in ("state", "token", "claim_id", "attempt", "crashes")
        ):
            yield f"(10) run {run_id} is not what its last move made it"
    yield from _events_tell_the_moves(found)


def _events_tell_the_moves(found: Evidence) -> Iterator[str]:
    told = Counter((event.kind, event.run_id) for event in found.events if event.run_id)
    for run_id, moves in found.moves.items():
        entered = Counter(
            str(move.after.state) for move in moves if move.before.state != move.after.state
        )
        for state in ("failed", "cancelled", "discarded"):
            if entered[state] != told[f"run.{state}", run_id]:
                yield (
                    f"(10) run {run_id}: {state} {entered[state]} times, told "
                    f"{told[f'run.{state}', run_id]} times"
                )
    lost = Counter(row.run_id for row in found.attempts)
    for run_id, count in lost.items():
        least = told["run.failed", run_id] + told["run.retried", run_id]
        if not least <= count <= least + told["run.cancelled", run_id]:
            yield f"(10) run {run_id}: {count} attempts are in its history, {least} in its events"


CHECKS: tuple[Callable[[Evidence], Iterable[str]], ...] = (
    one_decision_each, tokens_rise, states_move_as_drawn, effects_with_runs,
    executions_are_claimed, limits_hold, acknowledged_writes_survive, cursors_advance,
    history_is_the_log,
)  # fmt: skip

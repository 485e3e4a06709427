"""The ten invariants, each held against the evidence."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

from duly.model.run import LIVE, MOVES, TERMINAL
from tests.chaos.evidence import Evidence, grouped

SECOND = timedelta(seconds=1)
ONE_AT_A_TIME = ("alone-1", "alone-2", "queue-1")


def violations(evidence: Evidence) -> list[str]:
    """What does not hold, in words; each line begins with the number of its invariant."""
    return [
        f"({number}) {text}"
        for number, check in enumerate(INVARIANTS, start=1)
        for text in check(evidence)
    ]


def missed_decisions(evidence: Evidence) -> int:
    """Nominal times without a decision."""
    return sum(len(holes) for holes, _doubles in _decided(evidence).values())


def duplicate_rows(evidence: Evidence) -> int:
    """Nominal times that were decided twice, and enqueued calls that exist twice."""
    doubles = sum(len(found) for _holes, found in _decided(evidence).values())
    return doubles + len(_doubled_calls(evidence))


def one_decision_each(evidence: Evidence) -> Iterator[str]:
    """(1) Each nominal time has one decision, and none is missing."""
    for job_id, (holes, doubles) in _decided(evidence).items():
        for what, times in (("no decision", holes), ("decided twice", doubles)):
            if times:
                yield f"{job_id}: {len(times)} times {what}, the first is {min(times)}"
    for number in _doubled_calls(evidence):
        yield f"call {number} exists twice"


def only_the_holder_completes(evidence: Evidence) -> Iterator[str]:
    """(2) Tokens only rise, and each accepted completion carries the current one."""
    for row in evidence.moves:
        if row.old_token is not None and row.token < row.old_token:
            yield f"{_named(row)}: the token fell from {row.old_token} to {row.token}"
        if row.state == "running" and row.token <= (row.old_token or 0):
            yield f"{_named(row)}: claimed without a new token"
    for row, claimed in accepted_claims(evidence):
        if claimed != row.old_token:
            yield f"{_named(row)}: accepted for token {claimed}, held {row.old_token}"
        if row.worker is not None and row.worker != row.old_worker:
            yield f"{_named(row)}: written by {row.worker}, held by {row.old_worker}"


def one_end(evidence: Evidence) -> Iterator[str]:
    """(3) A run ends at most once."""
    ends = Counter(
        row.run_id for row in evidence.moves if row.state in TERMINAL and row.old_state in LIVE
    )
    for run_id, count in ends.items():
        if count > 1:
            yield f"run {run_id} ended {count} times"


def booked_once(evidence: Evidence) -> Iterator[str]:
    """(4) What a transactional function did exists exactly once if its run succeeded."""
    booked = Counter(row.run_id for row in evidence.bookings)
    for run in evidence.runs:
        wanted = 1 if run.task == "book" and run.state == "succeeded" else 0
        if booked[run.id] != wanted:
            yield f"run {run.id} ({run.state}) was booked {booked[run.id]} times, not {wanted}"


def effects_within_attempts(evidence: Evidence) -> Iterator[str]:
    """(5) Other effects are at most as many as claims, one for each; a success has left one."""
    claims = Counter(row.run_id for row in evidence.moves if row.state == "running")
    done = Counter(row.run_id for row in evidence.effects)
    for run_id, count in done.items():
        if count > claims[run_id]:
            yield f"run {run_id}: {count} effects of {claims[run_id]} claims"
    for (run_id, token), count in Counter((e.run_id, e.token) for e in evidence.effects).items():
        if count > 1:
            yield f"run {run_id} was executed {count} times under token {token}"
    for run in evidence.runs:
        if run.state == "succeeded" and run.task != "book" and not done[run.id]:
            yield f"run {run.id} succeeded without its effect"


def limits_hold(evidence: Evidence) -> Iterator[str]:
    """(6) A job that allows one run at a time never had two."""
    for job_id in ONE_AT_A_TIME:
        running: set[str] = set()
        for row in evidence.moves:
            if row.job_id != job_id:
                continue
            if row.state == "running":
                running.add(row.run_id)
                if len(running) > 1:
                    yield f"{job_id}: {len(running)} runs at once at {row.at}"
            else:
                running.discard(row.run_id)


def nothing_stays(evidence: Evidence) -> Iterator[str]:
    """(7) After healing nothing stays running, and every worker works."""
    for run in evidence.runs:
        if run.state in LIVE or run.occupied:
            yield f"run {run.id} of {run.job_id or run.task} is still {run.state}"
    yield from evidence.died


def acknowledged_survives(evidence: Evidence) -> Iterator[str]:
    """(8) What was acknowledged is there: enqueued calls, and completions that were announced."""
    states = {run.id: run.state for run in evidence.runs}
    for number, run_id in evidence.enqueued.items():
        if run_id not in states:
            yield f"call {number} was acknowledged as {run_id} and is lost"
    for line in evidence.journal:
        if line.what == "commit" and states.get(line.run) != line.detail.removeprefix("run."):
            yield f"run {line.run} was announced as {line.detail} and is {states.get(line.run)}"
        if line.what == "broken":
            yield f"worker {line.pid} was broken by {line.detail}"


def cursors_advance(evidence: Evidence) -> Iterator[str]:
    """(9) Cursors only advance."""
    for row in evidence.cursors:
        for name, old, new in (
            ("next fire", row.old_next, row.next),
            ("last nominal time", row.old_nominal, row.nominal),
        ):
            if old is not None and new is not None and new < old:
                yield f"{row.job_id}: the {name} went back from {old} to {new}"


def history_tells_the_moves(evidence: Evidence) -> Iterator[str]:
    """(10) Every move is allowed, and the rows say what the moves add up to."""
    recorded = Counter(row.run_id for row in evidence.attempts)
    moves = evidence.moves_of()
    for run in evidence.runs:
        last = None
        for row in moves[run.id]:
            if (
                row.old_state
                and row.old_state != row.state
                and row.state not in MOVES[row.old_state]
            ):
                yield f"{_named(row)}: from {row.old_state} to {row.state} is no move"
            if last is not None and (last.state, last.token) != (row.old_state, row.old_token):
                yield f"{_named(row)}: its log has a gap"
            last = row
        if last is None:
            yield f"run {run.id} has no move"
        elif (last.state, last.token, last.attempt) != (run.state, run.token, run.attempt):
            yield f"run {run.id} is {run.state}, its last move says {last.state}"
        failures = sum(map(_is_failure, moves[run.id]))
        if recorded[run.id] != failures:
            yield f"run {run.id}: {recorded[run.id]} attempts recorded, {failures} happened"


INVARIANTS: tuple[Callable[[Evidence], Iterator[str]], ...] = (
    one_decision_each, only_the_holder_completes, one_end, booked_once, effects_within_attempts,
    limits_hold, nothing_stays, acknowledged_survives, cursors_advance, history_tells_the_moves,
)  # fmt: skip


def accepted_claims(evidence: Evidence) -> Iterator[tuple[Any, int]]:
    """Each accepted completion with the token under which its function had run."""
    told = {
        (row.run_id, row.attempt): int(row.error_message.removeprefix("token="))
        for row in evidence.attempts
        if row.error_type == "Flaky"
    }
    for row in evidence.moves:
        if row.old_state != "running" or row.crashes != row.old_crashes:
            continue
        if row.state == "succeeded":
            yield row, json.loads(row.result or "{}").get("token", -1)
        elif row.attempt == row.old_attempt and (row.run_id, row.old_attempt) in told:
            yield row, told[row.run_id, row.old_attempt]


def _is_failure(row: Any) -> bool:
    """Whether a move ends an attempt without success; one that was given back does not count."""
    if row.old_state != "running" or row.state in ("running", "succeeded", "cancelled"):
        return False
    return bool(row.attempt == row.old_attempt)


def _decided(evidence: Evidence) -> dict[str, tuple[set[Any], list[Any]]]:
    """By job: nominal times without a decision, and those with more than one."""
    found = {}
    ranges = grouped(evidence.ranges, "job_id")
    scheduled = [run for run in evidence.runs if run.scheduled_for is not None]
    for job_id, runs in grouped(scheduled, "job_id").items():
        times = [run.scheduled_for for run in runs]
        for row in ranges.get(job_id, ()):
            times += [row.first + SECOND * step for step in range(row.count)]
        first, last = min(times), max(times)
        wanted = {first + SECOND * step for step in range(round((last - first) / SECOND) + 1)}
        doubles = [moment for moment, count in Counter(times).items() if count > 1]
        found[job_id] = (wanted ^ set(times), doubles)
    return found


def _doubled_calls(evidence: Evidence) -> list[int]:
    numbers = Counter(json.loads(run.args)["n"] for run in evidence.runs if run.task == "call")
    return [number for number, count in numbers.items() if count > 1]


def _named(row: Any) -> str:
    return f"run {row.run_id} of {row.job_id or 'a call'}"

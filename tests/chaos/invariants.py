"""The twelve invariants, each checked against the records."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

from duly.model.run import LIVE, MOVES, TERMINAL
from tests.chaos.records import Records, grouped
from tests.chaos.tasks import TASKS

SECOND = timedelta(seconds=1)
ONE_AT_A_TIME = ("alone-1", "alone-2", "queue-1")


def violations(records: Records) -> list[str]:
    """Return a line for each violation; it begins with the number of the invariant."""
    return [
        f"({number}) {text}"
        for number, check in enumerate(INVARIANTS, start=1)
        for text in check(records)
    ]


def missed_decisions(records: Records) -> int:
    """Return the number of nominal times without a decision."""
    return sum(len(holes) for holes, _doubles in _decided(records).values())


def duplicate_rows(records: Records) -> int:
    """Return the number of nominal times decided twice and of enqueued calls that exist twice."""
    doubles = sum(len(found) for _holes, found in _decided(records).values())
    return doubles + len(_doubled_calls(records))


def one_decision_each(records: Records) -> Iterator[str]:
    """(1) Each nominal time has exactly one decision."""
    for job_id, (holes, doubles) in _decided(records).items():
        for what, times in (("no decision", holes), ("decided twice", doubles)):
            if times:
                yield f"{job_id}: {len(times)} times {what}, the first is {min(times)}"
    for number in _doubled_calls(records):
        yield f"call {number} exists twice"


def only_the_holder_completes(records: Records) -> Iterator[str]:
    """(2) Tokens only rise, and each accepted completion carries the current one."""
    for row in records.run_changes:
        if row.old_token is not None and row.token < row.old_token:
            yield f"{_named(row)}: the token fell from {row.old_token} to {row.token}"
        if row.state == "running" and row.token <= (row.old_token or 0):
            yield f"{_named(row)}: claimed without a new token"
    for row, claimed in accepted_claims(records):
        if claimed != row.old_token:
            yield f"{_named(row)}: accepted for token {claimed}, held {row.old_token}"
        if row.worker is not None and row.worker != row.old_worker:
            yield f"{_named(row)}: written by {row.worker}, held by {row.old_worker}"


def runs_end_once(records: Records) -> Iterator[str]:
    """(3) A run reaches a terminal state at most once."""
    ends = Counter(
        row.run_id for row in records.run_changes if row.state in TERMINAL and row.old_state in LIVE
    )
    for run_id, count in ends.items():
        if count > 1:
            yield f"run {run_id} ended {count} times"


def bookings_match_runs(records: Records) -> Iterator[str]:
    """(4) What a transactional function wrote exists exactly once if its run succeeded."""
    booked = Counter(row.run_id for row in records.bookings)
    for run in records.runs:
        expected = 1 if run.task == "book" and run.state == "succeeded" else 0
        if booked[run.id] != expected:
            yield f"run {run.id} ({run.state}) was booked {booked[run.id]} times, not {expected}"


def effects_within_attempts(records: Records) -> Iterator[str]:
    """(5) Each claim has at most one other effect, and a run that succeeded has one."""
    claims = Counter(row.run_id for row in records.run_changes if row.state == "running")
    done = Counter(row.run_id for row in records.effects)
    for run_id, count in done.items():
        if count > claims[run_id]:
            yield f"run {run_id}: {count} effects of {claims[run_id]} claims"
    for (run_id, token), count in Counter((e.run_id, e.token) for e in records.effects).items():
        if count > 1:
            yield f"run {run_id} was executed {count} times under token {token}"
    for run in records.runs:
        has_effect = run.task in TASKS - {"book"}
        if run.state == "succeeded" and has_effect and not done[run.id]:
            yield f"run {run.id} succeeded without its effect"


def limits_hold(records: Records) -> Iterator[str]:
    """(6) A job that allows one run at a time never had two."""
    for job_id in ONE_AT_A_TIME:
        running: set[str] = set()
        for row in records.run_changes:
            if row.job_id != job_id:
                continue
            if row.state == "running":
                running.add(row.run_id)
                if len(running) > 1:
                    yield f"{job_id}: {len(running)} runs at once at {row.at}"
            else:
                running.discard(row.run_id)


def everything_ends(records: Records) -> Iterator[str]:
    """(7) After healing every worker works and every run ends."""
    for run in records.runs:
        if run.state in LIVE or run.occupied:
            yield f"run {run.id} of {run.job_id or run.task} is still {run.state}"
    yield from records.failures


def acknowledged_writes_survive(records: Records) -> Iterator[str]:
    """(8) Enqueued calls that were acknowledged and completions that were announced survive."""
    states = {run.id: run.state for run in records.runs}
    for number, run_id in records.enqueued.items():
        if run_id not in states:
            yield f"call {number} was acknowledged as {run_id} and is not stored"
    for line in records.journal:
        if line.what == "commit" and states.get(line.run) != line.detail.removeprefix("run."):
            yield f"run {line.run} was announced as {line.detail} and is {states.get(line.run)}"
        if line.what == "broken":
            yield f"worker {line.pid} failed in the harness: {line.detail}"


def cursors_advance(records: Records) -> Iterator[str]:
    """(9) Cursors only advance."""
    for row in records.cursor_changes:
        for name, old, new in (
            ("next fire", row.old_next, row.next),
            ("last nominal time", row.old_nominal, row.nominal),
        ):
            if old is not None and new is not None and new < old:
                yield f"{row.job_id}: the {name} went back from {old} to {new}"


def history_equals_log(records: Records) -> Iterator[str]:
    """(10) Every change is allowed, and the last one left each row as it is."""
    recorded = Counter(row.run_id for row in records.attempts)
    changes = records.changes_by_run()
    for run in records.runs:
        last = None
        for row in changes[run.id]:
            if (
                row.old_state
                and row.old_state != row.state
                and row.state not in MOVES[row.old_state]
            ):
                yield f"{_named(row)}: from {row.old_state} to {row.state} is not allowed"
            if last is not None and (last.state, last.token) != (row.old_state, row.old_token):
                yield f"{_named(row)}: its log has a gap"
            last = row
        if last is None:
            yield f"run {run.id} has no change"
        elif (last.state, last.token, last.attempt) != (run.state, run.token, run.attempt):
            yield f"run {run.id} is {run.state}, its last change says {last.state}"
        failures = sum(map(_is_failure, changes[run.id]))
        if recorded[run.id] != failures:
            yield f"run {run.id}: {recorded[run.id]} attempts recorded, {failures} happened"


def outcomes_are_counted(records: Records) -> Iterator[str]:
    """(11) The counts of outcomes, by task and queue, equal the history."""
    ended: Counter[tuple[str, str, str]] = Counter()
    kinds = {run.id: (run.task, run.queue) for run in records.runs}
    for row in records.run_changes:
        if row.state in TERMINAL and row.state != row.old_state:
            ended[*kinds[row.run_id], row.state] += 1
    jobs = {run.job_id: (run.task, run.queue) for run in records.runs}
    for row in records.ranges:
        ended[*jobs[row.job_id], "missed"] += row._mapping["count"]
    for key in ended.keys() | records.outcomes.keys():
        if ended[key] != records.outcomes.get(key, 0):
            yield f"{key}: counted {records.outcomes.get(key, 0)}, ended {ended[key]}"


def the_load_is_whole(records: Records) -> Iterator[str]:
    """(12) What the load checks of its own work holds."""
    yield from records.found_by_load


INVARIANTS: tuple[Callable[[Records], Iterator[str]], ...] = (
    one_decision_each, only_the_holder_completes, runs_end_once, bookings_match_runs,
    effects_within_attempts, limits_hold, everything_ends, acknowledged_writes_survive,
    cursors_advance, history_equals_log, outcomes_are_counted, the_load_is_whole,
)  # fmt: skip


def accepted_claims(records: Records) -> Iterator[tuple[Any, int]]:
    """Return each accepted completion with the token under which its function ran.

    The functions of a load do not tell theirs; the one that their run held is taken for it.
    """
    own = {run.id for run in records.runs if run.task in TASKS}
    tokens = {
        (row.run_id, row.attempt): int(row.error_message.removeprefix("token="))
        for row in records.attempts
        if row.error_type == "Flaky"
    }
    for row in records.run_changes:
        if row.old_state != "running" or row.crashes != row.old_crashes:
            continue
        if row.run_id not in own:
            if row.state == "succeeded":
                yield row, row.old_token
        elif row.state == "succeeded":
            yield row, json.loads(row.result or "{}").get("token", -1)
        elif row.attempt == row.old_attempt and (row.run_id, row.old_attempt) in tokens:
            yield row, tokens[row.run_id, row.old_attempt]


def _is_failure(row: Any) -> bool:
    """Return whether a change ends an attempt without success; giving it back does not count."""
    if row.old_state != "running" or row.state in ("running", "succeeded", "cancelled"):
        return False
    return bool(row.attempt == row.old_attempt)


def _decided(records: Records) -> dict[str, tuple[set[Any], list[Any]]]:
    """Return, by job, the nominal times without a decision and those with several."""
    found = {}
    ranges = grouped(records.ranges, "job_id")
    scheduled = [run for run in records.runs if run.scheduled_for is not None and run.task in TASKS]
    for job_id, runs in grouped(scheduled, "job_id").items():
        times = [run.scheduled_for for run in runs]
        for row in ranges.get(job_id, ()):
            times += [row.first + SECOND * step for step in range(row.count)]
        first, last = min(times), max(times)
        wanted = {first + SECOND * step for step in range(round((last - first) / SECOND) + 1)}
        doubles = [moment for moment, count in Counter(times).items() if count > 1]
        found[job_id] = (wanted ^ set(times), doubles)
    return found


def _doubled_calls(records: Records) -> list[int]:
    numbers = Counter(json.loads(run.args)["n"] for run in records.runs if run.task == "call")
    return [number for number, count in numbers.items() if count > 1]


def _named(row: Any) -> str:
    return f"run {row.run_id} of {row.job_id or 'a call'}"

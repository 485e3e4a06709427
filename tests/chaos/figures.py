"""The figures of an experiment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, NamedTuple

from duly.model.policy import QUARANTINE_AFTER
from tests.chaos.fault_injector import KILL, STOP
from tests.chaos.invariants import accepted_claims, duplicate_rows, missed_decisions, violations
from tests.chaos.journal import Entry
from tests.chaos.records import Records
from tests.chaos.supervisor import Interruption

BOUND = 8.0
"""Seconds within which another worker takes over a dead one's runs, with the fast heartbeat."""

SHOWN = 6
"""The number of violations of one invariant that are printed."""

CONTACT = 5.0
"""Seconds of unbroken contact after an outage before a worker declares another one dead."""


class Waited(NamedTuple):
    """How long one run waited for its next start after the kill or stop of its worker."""

    seconds: float
    kind: str
    pid: int
    run: str
    since: float


@dataclass
class Recovery:
    """The times from a worker's kill or stop to the next start of each run that it held.

    Attributes:
        kills: after kill -9, without an outage of the database.
        stops: after SIGSTOP, without an outage of the database.
        without_observer: after SIGSTOP, while every other worker was disturbed too; a worker must
            have been in contact for a whole lease before it declares another one dead.
        quarantined: of runs that have crashed twice and wait for an idle worker.
        disturbed: while the database had an outage.
        unstarted: the number of runs that were claimed again, but whose worker was killed before
            the function could start.
    """

    kills: list[Waited] = field(default_factory=list)
    stops: list[Waited] = field(default_factory=list)
    without_observer: list[Waited] = field(default_factory=list)
    quarantined: list[Waited] = field(default_factory=list)
    disturbed: list[Waited] = field(default_factory=list)
    unstarted: int = 0


@dataclass
class Figures:
    """The results of an experiment; `lines` formats them.

    Attributes:
        recovery: how long the runs of killed and stopped workers waited.
        broken: a line for each violation.
        slow: the slowest recoveries, if too many were slow; else empty.
    """

    database: str
    seed: int
    seconds: float
    faults: Counter[str]
    skipped: Sequence[str]
    records: Records
    drained_in: float

    def __post_init__(self) -> None:
        self.recovery = recoveries(self.records)
        self.broken = violations(self.records)
        self.slow = ""
        bounded = sorted(self.recovery.kills + self.recovery.stops)
        if bounded and quantile([one.seconds for one in bounded], 0.99) > BOUND:
            worst = ", ".join(
                f"{one.seconds:.1f} s ({one.kind} of {one.pid} at {one.since:.1f}, run {one.run})"
                for one in reversed(bounded[-5:])
            )
            self.slow = f"recovery p99 is over {BOUND:g} s: {worst}"

    @property
    def interruptions(self) -> int:
        """The number of times that a worker was killed or stopped."""
        return self.faults[KILL] + self.faults[STOP]

    def lines(self) -> list[str]:
        """Return the figures as lines of text."""
        records, recovery = self.records, self.recovery
        states = Counter(run.state for run in records.runs)
        failures = Counter(run.error_type for run in records.runs if run.state == "failed")
        claims = sum(row.state == "running" for row in records.run_changes)
        stale = [row for row, token in accepted_claims(records) if token != row.old_token]
        booked = Counter(row.run_id for row in records.bookings)
        table: list[tuple[str, object]] = [
            ("runs", f"{len(records.runs)} ({_counted(states)})"),
            *((f"  failed with {kind}", count) for kind, count in failures.most_common()),
            ("executions", f"{claims} claims, {len(records.effects)} effects"),
            ("faults", f"{sum(self.faults.values())}, kill -9 and SIGSTOP {self.interruptions}"),
            *((f"  {kind}", count) for kind, count in self.faults.most_common()),
            ("missed decisions", missed_decisions(records)),
            ("duplicate run rows", duplicate_rows(records)),
            ("transactional runs", f"{len(booked)} effects"),
            ("  duplicate effects", sum(count - 1 for count in booked.values())),
            ("stale completions", f"{len(stale)} accepted"),
            (
                "  rejected",
                f"{records.late_completions} refused, {stale_ends(records)} ended after the loss",
            ),
            ("outages", _outages(records)),
            ("recovery after kill", _times([one.seconds for one in recovery.kills])),
            ("recovery after stop", _times([one.seconds for one in recovery.stops])),
            ("  without an observer", _times([one.seconds for one in recovery.without_observer])),
            ("  with an outage", _times([one.seconds for one in recovery.disturbed])),
            ("  in quarantine", _times([one.seconds for one in recovery.quarantined])),
            ("  killed again first", recovery.unstarted),
            ("lateness", _times(lateness(records))),
            ("drained after healing", f"{self.drained_in:.1f} s"),
        ]
        head = f"== {self.database}: {self.seconds:g} s of faults, seed {self.seed}"
        body = [f"  {name:<34}{value}" for name, value in table]
        skips = [f"  skipped: {reason}" for reason in self.skipped]
        verdict = [f"  VIOLATION {text}" for text in _some(self.broken)]
        verdict += [f"  TOO SLOW {self.slow}"] if self.slow else []
        return [head, *body, *skips, *(verdict or ["  every invariant holds"])]


def recoveries(records: Records) -> Recovery:
    """Return how long the runs of dead workers waited."""
    found = Recovery()
    starts = {(x.run, x.token): x for x in reversed(records.journal) if x.what == "start"}
    for run_id, moves in records.changes_by_run().items():
        for index, row in enumerate(moves):
            if row.old_state != "running" or row.crashes == row.old_crashes:
                continue
            again = next((later for later in moves[index:] if later.state == "running"), None)
            if again is None:
                continue
            start = starts.get((run_id, again.token))
            if start is None:
                found.unstarted += 1
                continue
            _sort_in(found, records, row, start)
    return found


def _sort_in(found: Recovery, records: Records, row: Any, start: Entry) -> None:
    pid = records.pids.get(row.old_worker, 0)
    interruption = _interruption_before(records.interruptions, pid, start.at)
    if interruption is None:
        return  # alive, but fenced because the network cut it off
    took = Waited(start.at - interruption.at, interruption.kind, pid, start.run, interruption.at)
    if any(begin < start.at and end + CONTACT > interruption.at for begin, end in records.outages):
        found.disturbed.append(took)
    elif row.crashes >= QUARANTINE_AFTER:
        found.quarantined.append(took)
    elif interruption.kind == "kill":
        found.kills.append(took)
    else:
        (found.stops if _observed(records, took) else found.without_observer).append(took)


def _observed(records: Records, took: Waited) -> bool:
    """Return whether at least one worker was not disturbed while a run waited."""
    span = took.since, took.since + took.seconds
    return any(
        not any(s.overlap(*span) for s in disturbances) for disturbances in records.disturbances
    )


def _interruption_before(
    interruptions: Sequence[Interruption], pid: int, moment: float
) -> Interruption | None:
    mine = [
        interruption
        for interruption in interruptions
        if interruption.pid == pid and interruption.at < moment
    ]
    if not mine:
        return None
    last = mine[-1]
    # A worker that was stopped when it was killed has done nothing since the stop.
    return next((b for b in mine if b.kind == "stop" and b.until >= last.at), last)


def stale_ends(records: Records) -> int:
    """Return the number of functions that ended after their run had been rescued."""
    taken = {
        (row.run_id, row.old_token): row.at.timestamp() - records.wall_clock_offset
        for row in records.run_changes
        if row.old_state == "running" and row.crashes != row.old_crashes
    }
    return sum(
        line.what == "end" and taken.get((line.run, line.token), line.at) < line.at
        for line in records.journal
    )


def lateness(records: Records) -> list[float]:
    """Return the seconds from each nominal time to the first start."""
    nominal = {run.id: run.scheduled_for for run in records.runs if run.scheduled_for is not None}
    first: dict[str, Any] = {}
    for row in records.run_changes:
        if row.state == "running" and row.run_id in nominal:
            first.setdefault(row.run_id, row.started_at)
    return [(began - nominal[run_id]).total_seconds() for run_id, began in first.items()]


def quantile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least this share of the values does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def _outages(records: Records) -> str:
    """Format the number of outages and their total length, counting overlaps once."""
    total, end = 0.0, 0.0
    for began, ended in sorted(records.outages):
        total += max(0.0, ended - max(began, end))
        end = max(end, ended)
    return f"{len(records.outages)}, {total:.0f} s in all"


def _some(broken: Sequence[str]) -> Iterator[str]:
    """Return at most `SHOWN` violations of each invariant."""
    for kind, found in groupby(broken, key=lambda text: text.partition(")")[0]):
        texts = list(found)
        yield from texts[:SHOWN]
        if len(texts) > SHOWN:
            yield f"{kind}) … and {len(texts) - SHOWN} more of these"


def _times(values: Sequence[float]) -> str:
    if not values:
        return "none"
    p50, p99 = quantile(values, 0.5), quantile(values, 0.99)
    return f"p50 {p50:.2f} s, p99 {p99:.2f} s, max {max(values):.2f} s (of {len(values)})"


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.most_common())

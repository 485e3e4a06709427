"""What a run of chaos prints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, NamedTuple

from duly.model.policy import QUARANTINE_AFTER
from tests.chaos.check import accepted_claims, duplicate_rows, missed_decisions, violations
from tests.chaos.evidence import Evidence
from tests.chaos.faults import KILL, STOP
from tests.chaos.journal import Line
from tests.chaos.nursery import Blow

BOUND = 8.0
"""Seconds in which engine.md promises a dead worker's runs to another, in the fast profile."""

SHOWN = 6
"""Violations of one invariant that are printed."""

CONTACT = 5.0
"""Seconds of unbroken contact after an outage before anybody is taken for dead."""


class Waited(NamedTuple):
    """How long one run waited for its next start, and what had become of its worker."""

    seconds: float
    kind: str
    pid: int
    run: str
    since: float


@dataclass
class Recovery:
    """Times from a worker's death or stop to the next start of each run that it held.

    Attributes:
        kills: while the database could be used by everybody, after kill -9.
        stops: the same after SIGSTOP.
        unwitnessed: after SIGSTOP, while every other worker had troubles of its own: nobody may
            take a silent worker for dead before it has been in contact for a lease itself.
        alone: of runs that have crashed twice: they wait for a worker that has nothing else to do.
        disturbed: when it could not be used for a part of the time.
        unstarted: claimed again, but killed again before the function could start.
    """

    kills: list[Waited] = field(default_factory=list)
    stops: list[Waited] = field(default_factory=list)
    unwitnessed: list[Waited] = field(default_factory=list)
    alone: list[Waited] = field(default_factory=list)
    disturbed: list[Waited] = field(default_factory=list)
    unstarted: int = 0


@dataclass
class Figures:
    """See `lines`.

    Attributes:
        broken: the invariants that do not hold, in words.
        slow: recoveries that took too long, in words; empty: none.
    """

    database: str
    seed: int
    seconds: float
    faults: Counter[str]
    skipped: Sequence[str]
    evidence: Evidence
    healed_in: float

    def __post_init__(self) -> None:
        self.recovery = recoveries(self.evidence)
        self.broken = violations(self.evidence)
        self.slow = ""
        bounded = sorted(self.recovery.kills + self.recovery.stops)
        if bounded and quantile([one.seconds for one in bounded], 0.99) > BOUND:
            worst = ", ".join(
                f"{one.seconds:.1f} s ({one.kind} of {one.pid} at {one.since:.1f}, run {one.run})"
                for one in reversed(bounded[-5:])
            )
            self.slow = f"recovery p99 is over {BOUND:g} s: {worst}"

    @property
    def blows(self) -> int:
        """How often a worker was killed or stopped."""
        return self.faults[KILL] + self.faults[STOP]

    def lines(self) -> list[str]:
        """The figures, ready to be printed."""
        evidence, recovery = self.evidence, self.recovery
        states = Counter(run.state for run in evidence.runs)
        failures = Counter(run.error_type for run in evidence.runs if run.state == "failed")
        claims = sum(row.state == "running" for row in evidence.moves)
        stale = [row for row, token in accepted_claims(evidence) if token != row.old_token]
        booked = Counter(row.run_id for row in evidence.bookings)
        table: list[tuple[str, object]] = [
            ("runs", f"{len(evidence.runs)} ({_counted(states)})"),
            *((f"  failed with {kind}", count) for kind, count in failures.most_common()),
            ("executions", f"{claims} claims, {len(evidence.effects)} effects"),
            ("faults", f"{sum(self.faults.values())}, kill -9 and SIGSTOP {self.blows}"),
            *((f"  {kind}", count) for kind, count in self.faults.most_common()),
            ("missed decisions", missed_decisions(evidence)),
            ("duplicate run rows", duplicate_rows(evidence)),
            ("transactional runs", f"{len(booked)} effects"),
            ("  duplicate effects", sum(count - 1 for count in booked.values())),
            ("stale completions", f"{len(stale)} accepted"),
            ("  rejected", f"{evidence.late} refused, {stale_ends(evidence)} ended after the loss"),
            ("outages", _outages(evidence)),
            ("recovery after kill", _times([one.seconds for one in recovery.kills])),
            ("recovery after stop", _times([one.seconds for one in recovery.stops])),
            ("  without a witness", _times([one.seconds for one in recovery.unwitnessed])),
            ("  with an outage", _times([one.seconds for one in recovery.disturbed])),
            ("  to execute alone", _times([one.seconds for one in recovery.alone])),
            ("  killed again first", recovery.unstarted),
            ("lateness", _times(lateness(evidence))),
            ("drained after healing", f"{self.healed_in:.1f} s"),
        ]
        head = f"== {self.database}: {self.seconds:g} s of chaos, seed {self.seed}"
        body = [f"  {name:<34}{value}" for name, value in table]
        skips = [f"  not done: {reason}" for reason in self.skipped]
        verdict = [f"  VIOLATION {text}" for text in _some(self.broken)]
        verdict += [f"  TOO SLOW {self.slow}"] if self.slow else []
        return [head, *body, *skips, *(verdict or ["  every invariant holds"])]


def recoveries(evidence: Evidence) -> Recovery:
    """How long runs of dead workers had to wait."""
    found = Recovery()
    starts = {(x.run, x.token): x for x in reversed(evidence.journal) if x.what == "start"}
    for run_id, moves in evidence.moves_of().items():
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
            _sort_in(found, evidence, row, start)
    return found


def _sort_in(found: Recovery, evidence: Evidence, row: Any, start: Line) -> None:
    pid = evidence.lives.get(row.old_worker, 0)
    blow = _blow_before(evidence.blows, pid, start.at)
    if blow is None:
        return  # cut off by the network: alive, and fenced
    took = Waited(start.at - blow.at, blow.kind, pid, start.run, blow.at)
    if any(begin < start.at and end + CONTACT > blow.at for begin, end in evidence.outages):
        found.disturbed.append(took)
    elif row.crashes >= QUARANTINE_AFTER:
        found.alone.append(took)
    elif blow.kind == "kill":
        found.kills.append(took)
    else:
        (found.stops if _witnessed(evidence, took) else found.unwitnessed).append(took)


def _witnessed(evidence: Evidence, took: Waited) -> bool:
    """Whether a worker had no trouble at all while a run waited."""
    span = took.since, took.since + took.seconds
    return any(not any(s.overlap(*span) for s in spells) for spells in evidence.troubles)


def _blow_before(blows: Sequence[Blow], pid: int, moment: float) -> Blow | None:
    mine = [blow for blow in blows if blow.pid == pid and blow.at < moment]
    if not mine:
        return None
    last = mine[-1]
    # One that was stopped when it was killed has done nothing since the stop.
    return next((b for b in mine if b.kind == "stop" and b.until >= last.at), last)


def stale_ends(evidence: Evidence) -> int:
    """Functions that ended after their run had been taken away from their worker."""
    taken = {
        (row.run_id, row.old_token): row.at.timestamp() - evidence.gap
        for row in evidence.moves
        if row.old_state == "running" and row.crashes != row.old_crashes
    }
    return sum(
        line.what == "end" and taken.get((line.run, line.token), line.at) < line.at
        for line in evidence.journal
    )


def lateness(evidence: Evidence) -> list[float]:
    """First starts, by how much after their nominal time."""
    nominal = {run.id: run.scheduled_for for run in evidence.runs if run.scheduled_for is not None}
    first: dict[str, Any] = {}
    for row in evidence.moves:
        if row.state == "running" and row.run_id in nominal:
            first.setdefault(row.run_id, row.started_at)
    return [(began - nominal[run_id]).total_seconds() for run_id, began in first.items()]


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of them does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def _outages(evidence: Evidence) -> str:
    """How often and how long nobody could write, overlaps counted once."""
    total, end = 0.0, 0.0
    for began, ended in sorted(evidence.outages):
        total += max(0.0, ended - max(began, end))
        end = max(end, ended)
    return f"{len(evidence.outages)}, {total:.0f} s in all"


def _some(broken: Sequence[str]) -> Iterator[str]:
    """At most a few of each kind."""
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

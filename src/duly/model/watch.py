"""A watch: the expectations of a job, and the events recorded when it does not meet them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from duly.errors import ConfigurationError
from duly.misuse import explains_arguments
from duly.model.checks import TIME, Check, check_fields, optional, whole

_WATCH: Mapping[str, Check] = {
    "expected_every": optional(TIME),
    "late_after": optional(TIME),
    "overrun_after": optional(TIME),
    "failing_after": optional(whole(1, 1_000_000)),
}
SHORTEST_PERIOD_S = 1.0
LONGEST_PERIOD_S = 60.0
FAILING_RULE_S = 20.0
"""The duration that `Watch.period` uses for ``failing_after``, which has none of its own."""


@dataclass(frozen=True, slots=True)
class Performance:
    """The recent performance of a job, read from its rows.

    Attributes:
        since: when the job was added or resumed; ``None`` if no further success is expected.
        next_fire_at: its next nominal time; if that has passed, no worker has fired it yet.
        waiting_since: when the oldest run that has not started was due.
        running_since: when the oldest running attempt started.
        last_success_at: when its last successful run finished.
        failures: the number of failed runs in a row.
    """

    since: datetime | None
    next_fire_at: datetime | None
    waiting_since: datetime | None
    running_since: datetime | None
    last_success_at: datetime | None
    failures: int


@explains_arguments
@dataclass(frozen=True, slots=True)
class Watch:
    """Rules for a job. Breaking a rule records one event; the next only after it was kept again.

    Attributes:
        expected_every: record ``run.late`` when no run has succeeded for this many seconds.
        late_after: record ``run.late`` when a run has not started this many seconds after it was
            due.
        overrun_after: record ``run.overrun`` when an attempt takes longer than this many seconds.
        failing_after: record ``job.failing`` after this many failed runs in a row.

    Raises:
        ConfigurationError: a value is out of range, or there is no rule.
    """

    expected_every: float | None = None
    late_after: float | None = None
    overrun_after: float | None = None
    failing_after: int | None = None

    def __post_init__(self) -> None:
        check_fields(self, _WATCH, "Watch({}=…)")
        if all(getattr(self, name) is None for name in _WATCH):
            raise ConfigurationError(
                "Watch() has no rule; give at least one, for example expected_every=3600"
            )

    @property
    def period(self) -> timedelta:
        """The interval between checks: a quarter of the shortest duration, but 1 s to 60 s."""
        failing = None if self.failing_after is None else FAILING_RULE_S
        durations = (self.expected_every, self.late_after, self.overrun_after, failing)
        shortest = min((s for s in durations if s is not None), default=LONGEST_PERIOD_S)
        return timedelta(seconds=min(max(shortest / 4, SHORTEST_PERIOD_S), LONGEST_PERIOD_S))

    def waits_for_failures(self, failures: int) -> bool:
        """Return whether only a further failed run can break a rule, and no passing of time.

        Args:
            failures: the number of failed runs since the last success.
        """
        timed = (self.expected_every, self.late_after, self.overrun_after)
        limit = self.failing_after
        return limit is not None and failures < limit and not any(timed)

    def breaches(self, performance: Performance, now: datetime) -> dict[str, str]:
        """Return a description of each rule that is broken now, by the kind of event to record."""
        broken = {}
        due = _earliest(performance.next_fire_at, performance.waiting_since)
        if _longer(due, self.late_after, now):
            broken["run.late"] = f"due at {due:%Y-%m-%d %H:%M:%S} UTC and not started"
        start, success = performance.since, performance.last_success_at
        since = max(start, success or start) if start else None
        if _longer(since, self.expected_every, now):
            last = f"since {success:%Y-%m-%d %H:%M:%S} UTC" if success else "yet"
            broken["run.late"] = (
                f"no success {last}; one is expected every {self.expected_every:g} s"
            )
        if _longer(performance.running_since, self.overrun_after, now):
            broken["run.overrun"] = (
                f"started at {performance.running_since:%Y-%m-%d %H:%M:%S} UTC and not finished; "
                f"overrun_after is {self.overrun_after:g} s"
            )
        if self.failing_after is not None and performance.failures >= self.failing_after:
            broken["job.failing"] = f"{performance.failures} failed runs in a row"
        return broken


def _longer(since: datetime | None, seconds: float | None, now: datetime) -> bool:
    return since is not None and seconds is not None and now - since > timedelta(seconds=seconds)


def _earliest(*moments: datetime | None) -> datetime | None:
    return min((moment for moment in moments if moment is not None), default=None)

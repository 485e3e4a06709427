"""What is expected of a job, and what is said when it does not come: a dead-man's switch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from duly.errors import ConfigurationError
from duly.model.checks import TIME, Check, check_fields, optional, whole

_WATCH: Mapping[str, Check] = {
    "expected_every": optional(TIME),
    "late_after": optional(TIME),
    "overrun_after": optional(TIME),
    "failing_after": optional(whole(1, 1_000_000)),
}
SHORTEST_PERIOD = 1.0
FAILING_LOOKS = 20.0
LONGEST_PERIOD = 60.0


@dataclass(frozen=True, slots=True)
class Performance:
    """How a job is doing, as its rows say.

    Attributes:
        since: when it was stored, or resumed; ``None``: nothing more is expected of it.
        next_fire_at: its next nominal time; one in the past waits for somebody to fire it.
        waiting_since: when the oldest run that nobody has started was due.
        running_since: when the oldest attempt at work was started.
        last_success_at: when a run of it succeeded last.
        failures: failed runs in a row.
    """

    since: datetime | None
    next_fire_at: datetime | None
    waiting_since: datetime | None
    running_since: datetime | None
    last_success_at: datetime | None
    failures: int


@dataclass(frozen=True, slots=True)
class Watch:
    """Rules whose breach is recorded as an event of the job, once, until it is well again.

    Attributes:
        expected_every: seconds; no success for longer is ``run.late``.
        late_after: seconds; a run that has not started so long after it was due is ``run.late``.
        overrun_after: seconds; an attempt that takes longer is ``run.overrun``.
        failing_after: so many failed runs in a row are ``job.failing``.

    Raises:
        ConfigurationError: a value out of range, or no rule at all.
    """

    expected_every: float | None = None
    late_after: float | None = None
    overrun_after: float | None = None
    failing_after: int | None = None

    def __post_init__(self) -> None:
        check_fields(self, _WATCH, "Watch({}=…)")
        if all(getattr(self, name) is None for name in _WATCH):
            raise ConfigurationError("Watch() has no rule; give for example expected_every=3600")

    @property
    def period(self) -> timedelta:
        """How often the rules are looked at: four times in the shortest, 1 s to 60 s."""
        failing = None if self.failing_after is None else FAILING_LOOKS
        times = (self.expected_every, self.late_after, self.overrun_after, failing)
        shortest = min((held for held in times if held is not None), default=LONGEST_PERIOD)
        return timedelta(seconds=min(max(shortest / 4, SHORTEST_PERIOD), LONGEST_PERIOD))

    def breaches(self, held: Performance, now: datetime) -> dict[str, str]:
        """The rules that are broken now, by the event that says so: in words."""
        found = {}
        due = _earliest(held.next_fire_at, held.waiting_since)
        if _longer(due, self.late_after, now):
            found["run.late"] = f"due at {due:%Y-%m-%d %H:%M:%S} UTC and not started"
        seen = held.last_success_at
        since = max(held.since, seen or held.since) if held.since else None
        if _longer(since, self.expected_every, now):
            last = f"since {seen:%Y-%m-%d %H:%M:%S} UTC" if seen else "yet"
            found["run.late"] = (
                f"no success {last}; one is expected every {self.expected_every:g} s"
            )
        if _longer(held.running_since, self.overrun_after, now):
            found["run.overrun"] = (
                f"started at {held.running_since:%Y-%m-%d %H:%M:%S} UTC and not over; "
                f"overrun_after is {self.overrun_after:g} s"
            )
        if self.failing_after is not None and held.failures >= self.failing_after:
            found["job.failing"] = f"{held.failures} failed runs in a row"
        return found


def _longer(since: datetime | None, seconds: float | None, now: datetime) -> bool:
    return since is not None and seconds is not None and now - since > timedelta(seconds=seconds)


def _earliest(*moments: datetime | None) -> datetime | None:
    return min((moment for moment in moments if moment is not None), default=None)

"""Every nominal time gets exactly one decision: it runs, or is missed for a stated reason."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Self

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from duly import CatchUp, Trigger, at, cron, every
from duly.decisions.policy import Decision, admit, decide_due, first_fire, jittered, next_fire
from duly.model.job import Occupancy
from duly.model.policy import JobOptions
from duly.triggers.base import ReadChild

START = datetime(2026, 1, 1, tzinfo=UTC)
MAX = datetime.max.replace(tzinfo=UTC)


def after(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


TEN = every(seconds=10, anchor=START)


@dataclass(frozen=True)
class Listed(Trigger):
    """A trigger that fires at the given moments and has no arithmetic shortcut."""

    kind: ClassVar[str] = "listed"
    moments: tuple[datetime, ...]

    def next_after(self, moment: datetime) -> datetime | None:
        index = bisect_right(self.moments, moment)
        return self.moments[index] if index < len(self.moments) else None

    def describe(self) -> str:
        return "listed"

    def to_json(self) -> dict[str, Any]:
        raise NotImplementedError

    @classmethod
    def from_json(cls, data: Mapping[str, Any], child: ReadChild) -> Self:
        raise NotImplementedError


def decide(
    trigger: Trigger = TEN,
    *,
    cursor: float = 10,
    now: float,
    fired: int = 0,
    limit: int = 10_000,
    **options: Any,
) -> Decision:
    job_options = JobOptions().with_overrides(options, "here")
    return decide_due(
        trigger, job_options, cursor=after(cursor), fired=fired, now=after(now), limit=limit
    )


def shown(decision: Decision) -> dict[str, Any]:
    """The decision, with instants as seconds after the start."""

    def seconds(moment: datetime | None) -> float | None:
        return None if moment is None else (moment - START).total_seconds()

    return {
        "run": [(seconds(moment), cause) for moment, cause in decision.run],
        "missed": [(seconds(m.first), seconds(m.last), m.count) for m in decision.missed],
        "next": seconds(decision.next_fire_at),
        "last": seconds(decision.last_nominal),
    }


# ------------------------------------------------------------------------------ plain cases


def test_a_time_that_is_due_runs() -> None:
    """The usual case: one time is due, it runs, and the cursor moves to the next."""
    assert shown(decide(now=10)) == {
        "run": [(10, "schedule")], "missed": [], "next": 20, "last": 10,
    }  # fmt: skip


def test_latest_runs_the_newest_of_several() -> None:
    """The others become one missed range with first, last and count."""
    decision = decide(now=45)
    assert shown(decision) == {
        "run": [(40, "catch_up")], "missed": [(10, 30, 3)], "next": 50, "last": 40,
    }  # fmt: skip
    assert decision.missed[0].reason == "catch_up=latest"


def test_all_runs_each_oldest_first() -> None:
    """Below the limit no time is missed."""
    assert shown(decide(now=45, catch_up="all")) == {
        "run": [(10, "catch_up"), (20, "catch_up"), (30, "catch_up"), (40, "catch_up")],
        "missed": [], "next": 50, "last": 40,
    }  # fmt: skip


def test_all_runs_the_newest_up_to_its_limit() -> None:
    """Older times become one missed range whose reason names the limit."""
    decision = decide(now=100, catch_up=CatchUp("all", limit=3))
    assert shown(decision) == {
        "run": [(80, "catch_up"), (90, "catch_up"), (100, "catch_up")],
        "missed": [(10, 70, 7)], "next": 110, "last": 100,
    }  # fmt: skip
    assert decision.missed[0].reason == "catch_up: over 3"


def test_all_leaves_out_what_is_too_old() -> None:
    """``max_age`` is measured back from now and is inclusive."""
    decision = decide(now=100, catch_up=CatchUp("all", max_age=20))
    assert shown(decision)["run"] == [(80, "catch_up"), (90, "catch_up"), (100, "catch_up")]
    assert shown(decision)["missed"] == [(10, 70, 7)]
    assert decision.missed[0].reason == "catch_up.max_age is 20 s"


def test_limit_and_age_together() -> None:
    """Each missed time is in exactly one of two adjacent ranges."""
    decision = decide(now=100, catch_up=CatchUp("all", limit=5, max_age=20))
    assert shown(decision)["missed"] == [(10, 50, 5), (60, 70, 2)]
    assert [reason.reason for reason in decision.missed] == [
        "catch_up: over 5", "catch_up.max_age is 20 s",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("now", "runs"), [(10, True), (12.5, True), (19.999, True)], ids=["0 s", "2.5 s", "10 s"]
)
def test_none_runs_what_is_on_time(now: float, runs: bool) -> None:
    """Without a grace, a time up to 30 s late counts as on time."""
    assert bool(decide(now=now, catch_up="none").run) is runs


def test_none_misses_what_is_late() -> None:
    """A time beyond the grace is missed with its lateness; of several, only the newest runs."""
    hourly = every(hours=1, anchor=START)
    on_time = decide(hourly, cursor=3600, now=3630, catch_up="none")
    assert shown(on_time)["run"] == [(3600, "schedule")]
    late = decide(hourly, cursor=3600, now=3631, catch_up="none")
    assert shown(late)["missed"] == [(3600, 3600, 1)]
    assert late.missed[0].reason == "catch_up=none; 31 s late"
    lenient = decide(hourly, cursor=3600, now=3660, catch_up="none", misfire_grace=60)
    assert shown(lenient)["run"] == [(3600, "schedule")]
    gap = decide(hourly, cursor=3600, now=4 * 3600 + 10, catch_up="none")
    assert shown(gap)["run"] == [(4 * 3600, "catch_up")]
    assert shown(gap)["missed"] == [(3600, 3 * 3600, 3)]


def test_misfire_grace_is_inclusive_and_says_how_late() -> None:
    """A time late by exactly the grace runs; a microsecond more is missed, with a reason."""
    hourly = every(hours=1, anchor=START)
    assert shown(decide(hourly, cursor=3600, now=3660, misfire_grace=60))["run"]
    late = decide(hourly, cursor=3600, now=3660.000001, misfire_grace=60)
    assert shown(late)["run"] == []
    assert late.missed[0].reason == "misfire_grace is 60 s; 60 s late"


def test_a_grace_of_zero_runs_only_at_the_instant() -> None:
    """A grace of 0 is a grace, and does not mean "no limit"."""
    assert shown(decide(now=10, misfire_grace=0))["run"] == [(10, "schedule")]
    assert shown(decide(now=10.000001, misfire_grace=0))["run"] == []


def test_no_grace_means_any_lateness() -> None:
    """A yearly job that is ten months late runs."""
    yearly = cron("0 0 1 1 *", tz="UTC")
    decision = decide(yearly, cursor=0, now=300 * 86_400)
    assert shown(decision)["run"] == [(0, "schedule")]


def test_the_end_of_the_schedule() -> None:
    """A time at ``end`` still counts, none follows it, and the job is finished."""
    decision = decide(now=100, catch_up="all", end=after(30))
    assert [moment for moment, _ in shown(decision)["run"]] == [10, 20, 30]
    assert decision.next_fire_at is None


def test_a_one_off_is_decided_once() -> None:
    """No time follows its only instant."""
    assert shown(decide(at(after(10)), now=99)) == {
        "run": [(10, "schedule")], "missed": [], "next": None, "last": 10,
    }  # fmt: skip


def test_max_fires_counts_what_was_fired_before() -> None:
    """With two of three fires used, one more runs, the rest are missed and the job is finished."""
    decision = decide(now=40, catch_up="all", max_fires=3, fired=2)
    assert shown(decision) == {
        "run": [(10, "catch_up")], "missed": [(20, 20, 1), (30, 30, 1), (40, 40, 1)],
        "next": None, "last": 40,
    }  # fmt: skip
    assert {missed.reason for missed in decision.missed} == {"max_fires is 3"}


def test_a_missed_time_does_not_count_as_a_fire() -> None:
    """A missed time does not count towards max_fires."""
    decision = decide(now=25, cursor=20, catch_up="latest", misfire_grace=1, max_fires=1)
    assert shown(decision)["run"] == []
    assert decision.next_fire_at == after(30)


def test_a_month_of_seconds_is_decided_by_arithmetic() -> None:
    """2.6 million missed times become one range, quickly, with exact count and ends."""
    decision = decide(every(seconds=1, anchor=START), cursor=1, now=30 * 86_400)
    assert shown(decision)["missed"] == [(1, 30 * 86_400 - 1, 30 * 86_400 - 1)]
    assert shown(decision)["run"] == [(30 * 86_400, "catch_up")]


# ------------------------------------------------------------------------- start of schedule


def test_the_first_fire_is_strictly_after_now() -> None:
    """A job stored at 09:00:00 sharp fires first at 09:00:10."""
    assert first_fire(TEN, JobOptions(), after(10)) == after(20)
    assert next_fire(TEN, JobOptions(), after(10)) == after(20)


def test_a_one_off_in_the_past_is_due_at_once() -> None:
    """Its grace decides when it is fired; it is not discarded."""
    assert first_fire(at(after(-3600)), JobOptions(), START) == after(-3600)


def test_start_and_end_are_inclusive() -> None:
    """A time exactly at the start or the end belongs to the schedule."""
    options = JobOptions(start=after(100), end=after(120))
    assert first_fire(TEN, options, START) == after(100)
    assert next_fire(TEN, options, START) == after(100)
    assert next_fire(TEN, options, after(100)) == after(110)
    assert next_fire(TEN, options, after(110)) == after(120)
    assert next_fire(TEN, options, after(120)) is None
    assert first_fire(TEN, JobOptions(end=START), START) is None


def test_the_end_of_time_is_not_an_error() -> None:
    """Near the years 1 and 9999 there may be no next time, and nothing overflows."""
    for trigger in (TEN, every(days=366 * 3000), cron("0 0 29 2 *", tz="Pacific/Kiritimati")):
        for moment in (MAX, MAX - timedelta(hours=1), datetime.min.replace(tzinfo=UTC)):
            next_fire(trigger, JobOptions(), moment)
            first_fire(trigger, JobOptions(start=moment), START)
            first_fire(trigger, JobOptions(end=moment), START)


# ------------------------------------------------- exactly one decision, whatever happens


@dataclass
class Job:
    """A stored job whose decisions advance it as firing does."""

    trigger: Trigger
    options: JobOptions
    cursor: datetime | None
    fired: int = 0

    def tick(self, now: datetime, limit: int) -> list[Decision]:
        made = []
        while self.cursor is not None and self.cursor <= now:
            decision = decide_due(
                self.trigger,
                self.options,
                cursor=self.cursor,
                fired=self.fired,
                now=now,
                limit=limit,
            )
            assert decision.next_fire_at is None or decision.next_fire_at > self.cursor
            self.cursor, self.fired = decision.next_fire_at, self.fired + len(decision.run)
            made.append(decision)
        return made


def plain_walk(trigger: Trigger, options: JobOptions, until: datetime) -> list[datetime]:
    """All nominal times of a job stored at START, enumerated one by one up to ``until``."""
    found = []
    moment: datetime | None = START
    while moment is not None and (moment := trigger.next_after(moment)) is not None:
        if moment > until or (options.end is not None and moment > options.end):
            break
        if options.start is None or moment >= options.start:
            found.append(moment)
    return found


def wanted_runs(due: list[datetime], options: JobOptions, now: datetime) -> list[datetime]:
    """The due times that should run, by a literal reading of the policy's documentation."""
    mode, limit = options.catch_up.mode, options.catch_up.limit
    chosen = due[-limit:] if mode == "all" else due[-1:]
    allowed = [timedelta.max]
    if options.misfire_grace is not None:
        allowed.append(timedelta(seconds=options.misfire_grace))
    elif mode == "none":
        allowed.append(timedelta(seconds=30))
    if options.catch_up.max_age is not None:
        allowed.append(timedelta(seconds=options.catch_up.max_age))
    return [moment for moment in chosen if now - moment <= min(allowed)]


OFFSETS = st.integers(1, 4000).map(lambda tenths: after(tenths / 10))
TRIGGERS = st.one_of(
    st.builds(
        lambda seconds, anchor: every(seconds=seconds, anchor=anchor),
        st.sampled_from([0.1, 0.7, 1, 3, 10, 97, 400]),
        OFFSETS,
    ),
    st.lists(OFFSETS, unique=True, max_size=60).map(lambda found: Listed(tuple(sorted(found)))),
    st.sampled_from(["* * * * * *", "*/7 * * * * *", "* * * * *", "3 2 1 * * *", "5,59 * * * * *"])
    .map(lambda text: cron(text, tz="Europe/Madrid")),
    st.builds(at, OFFSETS),
)  # fmt: skip
POLICIES = st.builds(
    JobOptions,
    catch_up=st.builds(
        CatchUp,
        mode=st.sampled_from(["latest", "all", "none"]),
        limit=st.integers(1, 12),
        max_age=st.none() | st.floats(0.1, 400),
    ),
    misfire_grace=st.none() | st.floats(0, 400),
    start=st.none() | OFFSETS,
    end=st.none() | OFFSETS,
    max_fires=st.none() | st.integers(1, 20),
)


@settings(max_examples=300)
@given(
    trigger=TRIGGERS,
    options=POLICIES,
    ticks=st.lists(OFFSETS, min_size=1, max_size=8).map(sorted),
    steps=st.integers(1, 6),
)
def test_each_time_is_decided_exactly_once(
    trigger: Trigger, options: JobOptions, ticks: list[datetime], steps: int
) -> None:
    """This holds however rarely the loop runs and however few steps a tick may take.

    Compared with a plain enumeration: no time is left out or decided twice, the counts and ends of
    ranges are exact, and what runs is what the policy says.
    """
    first = trigger.next_after(START)
    if options.start is not None and first is not None and first < options.start:
        first = next_fire(trigger, options, START)
    if first is not None and options.end is not None and first > options.end:
        first = None
    job = Job(trigger, options, first)
    limit = options.catch_up.limit + steps  # what firing gives at least is limit + 1
    decided: list[datetime] = []
    previous = START
    for now in ticks:
        times = plain_walk(trigger, options, now)
        due = [moment for moment in times if moment > previous]
        fired, active = job.fired, job.cursor is not None
        made = job.tick(now, limit)
        ran = [moment for decision in made for moment, _cause in decision.run]
        if active:
            wanted = wanted_runs(due, options, now)
            if options.max_fires is not None:
                wanted = wanted[: options.max_fires - fired]
            assert ran == wanted
        parts = [(moment, moment, 1) for moment in ran]
        parts += [(m.first, m.last, m.count) for decision in made for m in decision.missed]
        for low, high, count in sorted(parts):
            inside = [moment for moment in times if low <= moment <= high]
            assert (inside[0], inside[-1], len(inside)) == (low, high, count)
            decided += inside
        previous = now
        if job.cursor is not None:
            assert decided == times
            assert job.cursor == next_fire(trigger, options, now)
    assert decided == plain_walk(trigger, options, ticks[-1])[: len(decided)]
    if options.max_fires is not None:
        assert job.fired <= options.max_fires


@pytest.mark.parametrize("mode", ["latest", "all", "none"])
def test_a_walk_in_several_steps_decides_as_one_walk_does(mode: Any) -> None:
    """With "all", the newest ``limit`` times of a gap run although it spans several ticks."""
    moments = tuple(after(10 * n) for n in range(1, 58))
    options = JobOptions(catch_up=CatchUp(mode, limit=7))
    job = Job(Listed(moments), options, moments[0])
    made = job.tick(after(570), limit=10)
    ran = [moment for decision in made for moment, _cause in decision.run]
    assert ran == list(moments[-7 if mode == "all" else -1 :])
    assert sum(m.count for decision in made for m in decision.missed) == len(moments) - len(ran)
    assert len(made) <= 30


# ---------------------------------------------------------------------------------- overlap


@pytest.mark.parametrize(
    ("overlap", "active", "waiting", "where"),
    [
        ("skip", 0, 0, "ready"), ("skip", 1, 0, "skip"), ("skip", 0, 1, "skip"),
        ("queue", 0, 0, "ready"), ("queue", 1, 0, "wait"), ("queue", 1, 1, "skip"),
        ("queue", 0, 1, "skip"),
        ("allow", 0, 0, "ready"), ("allow", 50, 3, "ready"),
        ("cancel_running", 0, 0, "ready"), ("cancel_running", 1, 0, "replace"),
        ("cancel_running", 1, 1, "replace"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("cause", ["schedule", "manual", "catch_up"])
def test_where_a_run_goes(overlap: str, active: int, waiting: int, where: str, cause: Any) -> None:
    """The overlap policies as a table, for every cause."""
    occupancy = Occupancy(active, waiting)
    assert admit(JobOptions().with_overrides({"overlap": overlap}, ""), cause, occupancy) == where
    more = {"ready": (1, 0), "skip": (0, 0), "wait": (0, 1), "replace": (0, 1)}[where]
    assert (occupancy.active - active, occupancy.waiting - waiting) == more


def test_catching_up_all_waits_in_line() -> None:
    """With ``catch_up="all"`` every time runs, one after another, under any overlap policy."""
    for overlap in ("skip", "queue", "cancel_running"):
        options = JobOptions().with_overrides({"overlap": overlap, "catch_up": "all"}, "")
        occupancy = Occupancy()
        assert [admit(options, "catch_up", occupancy) for _ in range(4)] == [
            "ready", "wait", "wait", "wait",
        ]  # fmt: skip


def test_max_running_counts_active_and_waiting() -> None:
    """With two of three slots taken, one more run may start and the next may not."""
    options = JobOptions(max_running=3)
    occupancy = Occupancy(active=1, waiting=1)
    assert [admit(options, "schedule", occupancy) for _ in range(2)] == ["ready", "skip"]


# ----------------------------------------------------------------------------------- jitter


@given(
    jitter=st.floats(0, 1e7),
    period=st.floats(0.000001, 1e7),
    key=st.text(max_size=20),
    number=st.integers(0, 1000),
)
def test_jitter_stays_before_the_next_time(
    jitter: float, period: float, key: str, number: int
) -> None:
    """A start is never before its nominal time, nor at or after the next one (rule R7)."""
    nominal = START + number * timedelta(seconds=period)
    following = nominal + timedelta(seconds=max(period, 0.000001))
    options = JobOptions(jitter=jitter)
    due = jittered(nominal, following, options, key)
    assert nominal <= due < following
    assert due <= nominal + timedelta(seconds=jitter)
    assert jittered(nominal, following, options, key) == due


def test_jitter_spreads_jobs_and_times() -> None:
    """Two hundred jobs at midnight start across the minute, each day at another second."""
    options = JobOptions(jitter=60)
    day = START + timedelta(days=1)
    starts = [jittered(START, day, options, f"job {n}") for n in range(200)]
    assert len(set(starts)) == 200
    assert max(starts) - min(starts) > timedelta(seconds=50)
    assert (
        jittered(START, day, options, "job 1") - START
        != jittered(day, None, options, "job 1") - day
    )


def test_jitter_fills_the_spread_evenly_and_never_changes() -> None:
    """Ten thousand jobs fill every tenth of a minute about equally, and alike in every process."""
    options = JobOptions(jitter=60)
    delays = [jittered(START, None, options, f"job {n}") - START for n in range(10_000)]
    tenths = Counter(int(delay.total_seconds() // 6) for delay in delays)
    assert all(900 < tenths[tenth] < 1100 for tenth in range(10))
    assert [round(delay.total_seconds(), 3) for delay in delays[:2]] == [36.597, 3.83]


def test_without_jitter_the_start_is_the_nominal_time() -> None:
    """Without the option the start is the nominal time."""
    assert jittered(START, after(10), JobOptions(), "x") == START

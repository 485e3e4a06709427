"""A simulated year of the messes, with outages: each nominal time is decided once.

``pytest -s`` prints the ledger.
"""

from __future__ import annotations

import sqlite3
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from apps.manageit import cleanup
from duly import MissedRange, RunRecord, VirtualClock
from duly.testing import World as SteppedWorld
from duly.testing import testing
from tests.apps.manageit.world import World, app_on

KOLKATA = ZoneInfo("Asia/Kolkata")
FIRST = date(2026, 1, 1)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
DAILY = {
    "cleanup_old_menu": (time(0), 6 * HOUR),
    "prune_history": (time(3), HOUR),
    "notify_breakfast_admin": (time(10), HOUR),
    "notify_lunch_admin": (time(14), HOUR),
    "notify_snacks_admin": (time(18), HOUR),
    "notify_dinner_admin": (time(22), HOUR),
    "send_daily_report": (time(23, 30), 6 * HOUR),
}
"""When each daily job is due in Kolkata, and how late it may run."""

ALERTS, ALERTS_GRACE = "generate_high_low_alerts", timedelta(minutes=10)


def kolkata(day: int, hour: int, minute: int = 0) -> datetime:
    """A time of a day of the year, counted from 0."""
    local = datetime.combine(FIRST + day * DAY, time(hour, minute), KOLKATA)
    return local.astimezone(UTC)


@dataclass(frozen=True)
class Plan:
    """What happens in a period.

    Attributes:
        days: its length.
        outages: when no process runs.
        restart: the day at whose clean-up the database server restarts.
        interval: the time between two generations of alerts, in minutes.
    """

    days: int
    outages: tuple[tuple[datetime, datetime], ...]
    restart: int
    interval: int

    @property
    def start(self) -> datetime:
        """Half a minute before the first clean-up."""
        return kolkata(0, 0) - timedelta(seconds=30)

    @property
    def end(self) -> datetime:
        """A moment after the last report."""
        return kolkata(self.days - 1, 23, 45)

    def nominal(self, job_id: str) -> list[datetime]:
        """Every time at which a job is due."""
        if job_id == ALERTS:
            count = int((self.end - self.start) / timedelta(minutes=self.interval))
            return [
                self.start + each * timedelta(minutes=self.interval) for each in range(1, count + 1)
            ]
        at, _grace = DAILY[job_id]
        return [kolkata(day, at.hour, at.minute) for day in range(self.days)]

    def expected(self, job_id: str) -> dict[datetime, str]:
        """What is specified for each time: of those in an outage the newest may be late."""
        grace = ALERTS_GRACE if job_id == ALERTS else DAILY[job_id][1]
        nominal = self.nominal(job_id)
        found = dict.fromkeys(nominal, "on time")
        for down, up in self.outages:
            passed = [each for each in nominal if down <= each < up]
            found |= dict.fromkeys(passed, "missed")
            if passed and up - passed[-1] <= grace:
                found[passed[-1]] = "made up for"
        return found


YEAR = Plan(
    days=365,
    outages=(
        (kolkata(68, 23), kolkata(69, 2)),
        (kolkata(171, 13, 30), kolkata(171, 15, 30)),
        (kolkata(243, 21), kolkata(246, 12)),
    ),
    restart=300,
    interval=1440,
)
MONTH = Plan(
    days=30,
    outages=(
        (kolkata(4, 23), kolkata(5, 2)),
        (kolkata(12, 13, 30), kolkata(12, 15, 30)),
        (kolkata(19, 21), kolkata(22, 12)),
    ),
    restart=15,
    interval=360,
)


class Period:
    """The application living through a plan.

    Args:
        world: the application, at the start of the plan.
        stepped: lets time pass for its scheduler.
        plan: the plan.
    """

    def __init__(self, world: World, stepped: SteppedWorld, plan: Plan) -> None:
        self.world = world
        self.stepped = stepped
        self.plan = plan
        self.critical: list[date] = []
        self.menus = 0
        self.missed: dict[str, list[MissedRange]] = defaultdict(list)

    def live(self) -> None:
        """Let everything be done at its time, except during outages."""
        moments = {kolkata(day, 12): self._eat for day in range(self.plan.days)}
        moments |= {up: self._note_missed for _down, up in self.plan.outages}
        moments[kolkata(self.plan.restart, 0)] = self._break_clean_up
        for moment in sorted(moments):
            if not any(down <= moment < up for down, up in self.plan.outages):
                self._pass_until(moment)
                moments[moment]()
        self.stepped.advance(to=self.plan.end)

    def _pass_until(self, moment: datetime) -> None:
        """Do what is due before a moment, unless an outage ends then, or the database breaks."""
        before = moment - timedelta(seconds=1)
        for down, up in self.plan.outages:
            if moment == up:
                self.stepped.advance(to=down - timedelta(seconds=1))
                self.world.clock.set(up)
                return self.stepped.drain()
        return self.stepped.advance(to=before)

    def _eat(self) -> None:
        """What happens at noon: menus for later days, waste, and ratings, of which some are bad."""
        today = self.world.today()
        for days in (1, 3):
            self.world.dated(today + days * DAY, f"Item {days}")
            self.menus += 1
        number = (today - FIRST).days
        if number % 10 == 0:
            self.world.waste("55", day=today)
        if number % 3 == 0:
            self.world.feedback(1, "Cold again")
            self.critical.append(today)

    def _break_clean_up(self) -> None:
        """Let the connection of a clean-up break between its two deletes."""
        with breaking_after_the_first_delete(self.world), self.stepped.expecting():
            self.stepped.advance(minutes=1)

    def _note_missed(self) -> None:
        """Keep what was recorded as missed, of which the history keeps less than a year."""
        now = self.world.clock.now()
        for job_id in [*DAILY, ALERTS]:
            ranges = self.world.scheduler.missed(job_id)
            self.missed[job_id] += [each for each in ranges if each.decided_at == now]

    def _decisions(self, job_id: str) -> list[tuple[datetime, str]]:
        """Each nominal time of a job, and what became of it."""
        decided = [
            (run.scheduled_for, outcome(run)) for run in self._runs(job_id) if run.scheduled_for
        ]
        for each in self.missed[job_id]:
            times = [at for at in self.plan.nominal(job_id) if each.first <= at <= each.last]
            assert len(times) == each.count
            decided += [(at, "missed") for at in times]
        return decided

    def check(self) -> None:
        """Compare what happened with the plan."""
        for job_id in [*DAILY, ALERTS]:
            expected = self.plan.expected(job_id)
            assert sorted(self._decisions(job_id)) == sorted(expected.items()), job_id
        days = {self._day(run) for run in self._done("notify_lunch_admin")}
        told = [day for day in self.critical if day in days]
        assert [self._day_of(notice) for notice in self.world.rows("notifications")] == told
        reports = self.world.rows("daily_reports")
        reported = {self._day(run) for run in self._done("send_daily_report")}
        assert Counter(row["report_date"] for row in reports) == dict.fromkeys(reported, 2)
        deleted = [run.result["temporary_menu"] for run in self._done("cleanup_old_menu")]
        left = self.world.rows("temporary_menu")
        assert sum(deleted) + len(left) == self.menus
        assert min(row["menu_date"] for row in left) >= self.world.today()

    def ledger(self) -> str:
        """A line for each job, and what the jobs have left."""
        lines = [f"{'job':<28}{'times':>7}{'on time':>9}{'made up for':>13}{'missed':>8}"]
        for job_id in [*DAILY, ALERTS]:
            decisions = self._decisions(job_id)
            found = Counter(outcome for _at, outcome in decisions)
            lines.append(
                f"{job_id:<28}{len(decisions):>7}{found['on time']:>9}{found['made up for']:>13}"
                f"{found['missed']:>8}"
            )
        retried = [run for run in self._runs("cleanup_old_menu") if run.attempt > 1]
        lines.append(
            f"{len(self.world.rows('notifications'))} notices of {len(self.critical)} bad days, "
            f"{len(self.world.rows('daily_reports'))} reports, {self.menus} menus of which "
            f"{len(self.world.rows('temporary_menu'))} are still to come, "
            f"{len(retried)} clean-up repeated after a restart of the database"
        )
        return "\n".join(lines)

    def _runs(self, job_id: str) -> list[RunRecord]:
        found: list[RunRecord] = []
        page = self.world.scheduler.runs(job=job_id, limit=1000)
        while page:
            found += page
            page = self.world.scheduler.runs(job=job_id, limit=1000, after=page[-1].id)
        return found

    def _done(self, job_id: str) -> list[RunRecord]:
        return [run for run in self._runs(job_id) if run.state == "succeeded"]

    @staticmethod
    def _day(run: RunRecord) -> date:
        assert run.scheduled_for is not None
        return run.scheduled_for.astimezone(KOLKATA).date()

    @staticmethod
    def _day_of(notice: Any) -> date:
        return date.fromisoformat(notice["dedupe_key"].split()[0])


def outcome(run: RunRecord) -> str:
    """What became of a nominal time."""
    assert run.scheduled_for is not None
    if run.state == "missed":
        return "missed"
    assert run.state == "succeeded", run
    assert run.started_at is not None
    late = run.started_at - run.scheduled_for
    return "on time" if late < timedelta(seconds=10) else "made up for"


@contextmanager
def breaking_after_the_first_delete(world: World) -> Iterator[None]:
    """Break the connection of a clean-up once, as a restart of the server does."""
    real, calls = cleanup.delete_old, []

    def delete_old(cursor: Any, table: Any, today: date) -> int:
        calls.append(table)
        if len(calls) == 2 and world.database.is_sqlite:
            raise sqlite3.OperationalError("disk I/O error")
        if len(calls) == 2:
            cursor.execute("KILL CONNECTION_ID()")
        return real(cursor, table, today)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cleanup, "delete_old", delete_old)
        yield
    assert len(calls) == 4  # two of the run that failed, and two of its second attempt


def live(url: str, plan: Plan) -> None:
    """Live through a plan, print the ledger, and compare it with the plan."""
    options: dict[str, Any] = {
        "alert_interval_minutes": plan.interval, "history_retention_days": 1000,
    }  # fmt: skip
    with (
        app_on(url, VirtualClock(plan.start), **options) as world,
        testing(world.scheduler, at=plan.start, database=url) as stepped,
    ):
        world.use_clock(stepped.clock)
        period = Period(world, stepped, plan)
        period.live()
        sys.stdout.write(f"\n{period.ledger()}\n")
        period.check()


def test_a_month_goes_as_specified(url: str) -> None:
    """Three outages and a restart of the database during a clean-up: each time is decided once."""
    live(url, MONTH)


@pytest.mark.slow
def test_a_year_goes_as_specified(manageit_sqlite_url: str) -> None:
    """As the month, and the counts of notices, reports and clean-ups are those of the calendar."""
    live(manageit_sqlite_url, YEAR)

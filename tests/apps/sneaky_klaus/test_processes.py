"""Sneaky Klaus as it is served: items 1, 9, 17, 18 and 22 of the checklist, and its stop.

Where time has to pass while the application is down, it has passed already: a virtual clock lies
in the past, and the processes that start afterwards have the machine's.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from apps.sneaky_klaus.reminders import job_id
from duly import RunRecord, SystemClock
from tests.apps.sneaky_klaus.site import Site
from tests.apps.sneaky_klaus.world import app_on, world_on
from tests.support.waiting import wait_until

pytestmark = pytest.mark.processes

FIXED = {
    "auto_complete_exchanges": "cron('0 0 * * *', tz='UTC')",
    "purge_old_exchanges": "cron('0 2 * * *', tz='UTC')",
    "cleanup_expired_tokens": "every(seconds=3600, anchor=",
    "cleanup_expired_sessions": "cron('0 3 * * *', tz='UTC')",
    "cleanup_expired_rate_limits": "cron('0 4 * * *', tz='UTC')",
    "reconcile_reminders": "cron('15 * * * *', tz='UTC')",
}
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


@pytest.fixture
def silent_mail_server() -> Iterator[dict[str, Any]]:
    """The settings for a mail server that accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield {"mail": "smtp", "smtp_port": server.getsockname()[1], "smtp_security": "none"}


def test_01_five_restarts_leave_one_of_each_job(site: Site) -> None:
    """After each start there are the fixed jobs with the same triggers, and a worker."""
    seen: set[tuple[str, ...]] = set()
    for _ in range(5):
        server = site.serve()
        site.workers(1)
        seen.add(tuple(f"{job.id}: {job.trigger!r}" for job in site.scheduler.jobs()))
        server.terminate()
        assert site.scheduler.workers() == []
    (jobs,) = seen
    expected = [f"{name}: {trigger}" for name, trigger in sorted(FIXED.items())]
    assert [job[: len(start)] for job, start in zip(jobs, expected, strict=True)] == expected


def test_09_a_reminder_is_sent_within_its_grace_and_missed_beyond(site: Site) -> None:
    """Two hours down: what was due half an hour ago is sent once, what is older is missed."""
    now = datetime.now(UTC)
    with world_on(site.url, now - 2 * HOUR) as world:
        due = world.matched(now - HOUR / 2 + DAY, days=[1])
        late = world.matched(now - HOUR - timedelta(minutes=1) + DAY, days=[1])
    for _ in range(2):
        server = site.serve()
        site.workers(1)
        wait_until(lambda: len(site.mails("is tomorrow")) == 3, what="the reminders")
        wait_until(lambda: len(site.ended("send_reminders")) == 2, what="the missed one")
        server.terminate()
    states = {run.job_id: run.state for run in site.runs("send_reminders")}
    assert states == {job_id(due, 1): "succeeded", job_id(late, 1): "missed"}
    assert len(site.runs("mail_reminder")) == 3


def test_17_an_overdue_hourly_job_runs_once_after_a_restart(site: Site) -> None:
    """It was due two minutes ago, and its declaration at the start does not move that time."""
    with world_on(site.url, datetime.now(UTC) - HOUR - timedelta(minutes=2)) as world:
        due = world.job("cleanup_expired_tokens").next_fire_at
        assert due is not None
        assert due < datetime.now(UTC)
        ran = len(world.runs("cleanup_expired_tokens"))
    for _ in range(2):
        server = site.serve()
        wait_until(lambda: len(site.ended("cleanup_expired_tokens")) > ran, what="the run")
        server.terminate()
    runs = site.runs("cleanup_expired_tokens")
    assert [run.scheduled_for for run in runs[: len(runs) - ran]] == [due]


def test_18_of_two_processes_one_runs_each_due_job(site: Site) -> None:
    """Eight exchanges are due at the same instant: each has one run, and each mail one attempt."""
    site.serve()
    site.serve()
    workers = site.workers(2)
    with app_on(site.url, SystemClock()) as world:
        event = datetime.now(UTC) + DAY + timedelta(seconds=8)
        ids = [world.exchange(event, days=[1]) for _ in range(8)]
        for each in ids:
            world.match(each)
    wait_until(lambda: len(site.ended("mail_reminder")) == 24, what="all reminders")
    runs = site.runs("send_reminders")
    assert sorted(run.job_id or "" for run in runs) == sorted(job_id(each, 1) for each in ids)
    mails = site.runs("mail_reminder")
    assert {(run.state, run.attempt) for run in [*runs, *mails]} == {("succeeded", 1)}
    assert len(site.mails("is tomorrow")) == 24
    assert site.workers(2) == workers


def test_each_run_logs_its_start_and_its_end(site: Site) -> None:
    """A line is the time, the level in brackets, the logger, the job and its run, the message."""
    server = site.serve()
    line = (
        r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} \[INFO\] apps\.logs "
        r"\[reconcile_reminders [0-9a-f-]{36}\]: "
    )
    server.wait_for(line + r"Started, attempt 1\.$")
    server.wait_for(line + r"Ended: .*\.$")


def test_22_a_killed_run_is_closed_as_interrupted_at_the_next_start(
    site: Site, silent_mail_server: dict[str, Any]
) -> None:
    """History has the attempt that was cut off; the next start executes the run again."""
    server = site.serve(**silent_mail_server)
    run_id = _mail_under_way(site)
    server.kill()
    assert site.scheduler.run(run_id).state == "running"
    site.serve()
    run = site.wait_for_end(run_id)
    assert (run.state, run.attempt, run.crashes) == ("succeeded", 2, 1)
    (interrupted,) = site.scheduler.attempts(run_id)
    assert (interrupted.attempt, interrupted.error_type) == (1, "WorkerLost")
    assert len(site.mails("Sign in")) == 1


def test_sigterm_gives_a_running_mail_back(site: Site, silent_mail_server: dict[str, Any]) -> None:
    """The process ends within 20 s, and the run has used no attempt."""
    server = site.serve(**silent_mail_server, shutdown_grace_seconds=0.2)
    run_id = _mail_under_way(site)
    asked = time.monotonic()
    assert server.terminate() == 0
    assert time.monotonic() - asked < 20
    run = site.scheduler.run(run_id)
    assert (run.state, run.attempt, run.crashes) == ("ready", 0, 0)
    assert site.scheduler.workers() == []
    assert "Traceback" not in server.output()


def _mail_under_way(site: Site) -> str:
    """Let a participant register, and return the run that sends their mail once it executes."""
    with app_on(site.url, SystemClock()) as world:
        exchange = world.exchange(datetime.now(UTC) + 30 * DAY, people=0)
        world.move(exchange, "open")
        world.register(exchange, "Ana", "ana@example.com")

    def running() -> list[RunRecord]:
        return site.runs("mail_magic_link", state="running")

    return wait_until(running, what="a mail under way")[0].id

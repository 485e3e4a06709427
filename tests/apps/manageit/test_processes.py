"""ManageIt in several processes: who runs what is due, and how they end."""

from __future__ import annotations

import threading
import time
from datetime import datetime, timedelta
from typing import Any

from duly import SystemClock, VirtualClock
from tests.apps.manageit.world import SECRET, World, app_on
from tests.support.processes import Children, Server
from tests.support.waiting import wait_until

DAILY = (
    "cleanup_old_menu", "notify_breakfast_admin", "notify_lunch_admin", "notify_snacks_admin",
    "notify_dinner_admin", "send_daily_report",
)  # fmt: skip


def five_minutes_ago(zone: Any) -> str:
    """The time of day in a zone five minutes ago."""
    now = SystemClock().now().astimezone(zone)
    return f"{now - timedelta(minutes=5):%H:%M}"


def overdue(url: str) -> dict[str, Any]:
    """Let the daily jobs be due since five minutes; return the settings of their times."""
    with app_on(url, SystemClock()) as world:
        at = five_minutes_ago(world.app.extensions["manageit"].settings.zone)
    times: dict[str, Any] = {
        "cleanup_time": at, "report_time": at,
        "meal_notify_times": ",".join(
            f"{meal}={at}" for meal in ("Breakfast", "Lunch", "Snacks", "Dinner")
        ),
    }  # fmt: skip
    before = VirtualClock(SystemClock().now() - timedelta(minutes=30))
    with app_on(url, before, **times) as world:
        world.run_due()
        world.dated((before.now() - timedelta(days=2)).date())
        world.feedback(1)
    return times


def serve(children: Children, url: str, times: dict[str, Any]) -> Server:
    """Four workers of gunicorn."""
    env = {name.upper(): value for name, value in times.items()}
    env |= {"DATABASE_URL": url, "SECRET_KEY": SECRET}
    return children.server(
        "-m", "gunicorn", "--bind", "127.0.0.1:0", "--workers", "4", "--threads", "2",
        "--no-control-socket", "--graceful-timeout", "14",
        "apps.manageit.app:from_environment()", ready="", env=env,
    )  # fmt: skip


def done(world: World, job_id: str) -> bool:
    return any(run.is_terminal for run in world.runs(job_id))


def test_18_four_workers_run_each_due_job_once_and_25_end_in_time(
    url: str, children: Children
) -> None:
    """Each overdue time is made up for once, alerts are generated once, and all processes end."""
    times = overdue(url)
    server = serve(children, url, times)
    with app_on(url, SystemClock(), **times) as world:
        jobs = (*DAILY, "generate_high_low_alerts")
        wait_until(lambda: all(done(world, job_id) for job_id in jobs), what="a run of each job")
        wait_until(lambda: len(world.scheduler.status().workers) == 4, what="four workers")
        asked = time.monotonic()
        server.terminate(timeout=60)
        assert time.monotonic() - asked < 15
        for job_id in jobs:
            assert [run.state for run in world.runs(job_id)] == ["succeeded"], job_id
        assert world.run("generate_high_low_alerts").cause == "start"
        assert world.rows("temporary_menu") == []
        assert len(world.rows("notifications")) == 1
        assert len(world.rows("daily_reports")) == 2


def test_25_a_stop_leaves_no_thread(url: str) -> None:
    """The scheduler of an application ends in time, and with all of its threads."""
    before = set(threading.enumerate())
    with app_on(url, VirtualClock(datetime.fromisoformat("2026-06-15T06:00Z"))) as world:
        world.scheduler.start()
        wait_until(lambda: done(world, "generate_high_low_alerts"), what="the run at the start")
        asked = time.monotonic()
        world.scheduler.stop()
        assert time.monotonic() - asked < 15
        left = [thread.name for thread in threading.enumerate() if thread not in before]
        assert left == []

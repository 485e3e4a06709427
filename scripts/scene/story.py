"""What happens in the scene, in order: a month of nights, a deploy, an outage, and today."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch

from duly import Scheduler, cron, dates
from duly.model import identity
from duly.model.worker import Heartbeat
from scripts.scene import cast
from scripts.scene.ending import tidy
from scripts.scene.incidents import Incident, of_monday, of_today
from scripts.scene.stage import SceneClock, Stage, resources
from scripts.scene.tasks import BY_NAME, tasks

NOW = datetime(2026, 11, 24, 14, 23, 20, tzinfo=UTC)
"""The present of the scene: a Tuesday afternoon."""

BEGIN = datetime(2026, 10, 23, 12, tzinfo=UTC)
DEPLOY = datetime(2026, 11, 23, 14, 15, 10, tzinfo=UTC)
OUTAGE = datetime(2026, 11, 23, 19, 10, 40, tzinfo=UTC)
REPAIR = datetime(2026, 11, 23, 20, 32, 15, tzinfo=UTC)
HOUR = timedelta(minutes=75)
ZONE = "Europe/Madrid"
QUEUES = {"default": 12, "mail": 4, "heavy": 2, "reports": 2, "payments": 6, "bulk": 2}
SLOW = Heartbeat(interval=7 * 3600, fence=20 * 3600, lease=21 * 3600, rescue=7 * 3600)
"""For the weeks before yesterday, in which nothing but time passes between two nights."""

MINUTELY = Heartbeat(interval=60, fence=170, lease=180, rescue=60)


def play(url: str, *, short: bool = False) -> None:
    """Build the scene in an empty database.

    Args:
        url: its URL.
        short: build its last hour only, with all the jobs, which takes a tenth of the time.
    """
    with patch.object(identity, "random_bits", random.Random(2026).getrandbits):
        _play_all(url, short=short)
    tidy(url, NOW)


def _play_all(url: str, *, short: bool) -> None:
    if short:
        clock = SceneClock(NOW - HOUR, NOW)
        _begin(url, clock).leave()
        stage = _deploy(url, clock)
        _play(stage, of_monday(), NOW - HOUR)
    else:
        clock = SceneClock(BEGIN, NOW)
        _nights(url, clock)
        _monday(url, clock)
        clock.set(REPAIR)
        stage = _process(url, clock, "2026.11.1", QUEUES)
    _play(stage, of_today(), NOW)
    stage.scheduler.send_notices()


def _nights(url: str, clock: SceneClock) -> None:
    stage = _begin(url, clock)
    stage.play(DEPLOY)
    stage.leave()


def _begin(url: str, clock: SceneClock) -> Stage:
    """Start the first version of the application."""
    scheduler = Scheduler(
        url, name="shop", version="2026.10.2", clock=clock, timezone=ZONE, heartbeat=SLOW,
        queues=QUEUES, resources=lambda: resources(clock),
    )  # fmt: skip
    _declare(scheduler, legacy=True)
    stage = Stage(scheduler, clock, timedelta(hours=6))
    stage.play(clock.now())
    holidays = dates("2026-10-12", "2026-11-09", "2026-12-07", "2026-12-08", "12-25", "01-01")
    scheduler.set_calendar("company holidays", holidays, actor="chiara")
    scheduler.add_many(list(cast.nightly()), actor="chiara")
    return stage


def _deploy(url: str, clock: SceneClock) -> Stage:
    """Start the next version of the application, and add the jobs of the teams."""
    stage = _process(url, clock, "2026.11.0", {**QUEUES, "gpu": 2})
    scheduler = stage.scheduler
    stage.play(clock.now())
    scheduler.add_many(list(cast.added()), actor="ana")
    scheduler.add_many(list(cast.chained()), actor="李雷")
    scheduler.set_limit("erp", 2, actor="fatima")
    scheduler.set_queue("bulk", rate=30, per=60, actor="fatima")
    scheduler.set_queue("heavy", max_running=3, actor="björn")
    return stage


def _monday(url: str, clock: SceneClock) -> None:
    stage = _deploy(url, clock)
    _play(stage, of_monday(), OUTAGE)
    stage.crash()


def _process(url: str, clock: SceneClock, version: str, queues: dict[str, int]) -> Stage:
    scheduler = Scheduler(
        url, name="shop", version=version, clock=clock, timezone=ZONE, queues=queues,
        heartbeat=MINUTELY, resources=lambda: resources(clock),
    )  # fmt: skip
    _declare(scheduler, legacy=False)
    return Stage(scheduler, clock, timedelta(seconds=60))


def _declare(scheduler: Scheduler, *, legacy: bool) -> None:
    scheduler.include(tasks)
    if legacy:

        @scheduler.job(cron("0 5 * * *", tz=ZONE), id="legacy-ftp-upload", tags=["team:data"])
        def upload_by_ftp() -> None:
            """Upload files to a partner who has moved on."""

        return
    for job in cast.declared():
        task = BY_NAME[job.pop("task")]
        declare: Any = scheduler.job(**job)
        declare(task)


def _play(stage: Stage, incidents: Iterator[Incident], until: datetime) -> None:
    for moment, act in incidents:
        stage.play(moment)
        act(stage.scheduler)
    stage.play(until)

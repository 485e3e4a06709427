"""A load of ManageIt's own jobs, each every second.

What the history says of the clean-ups must equal what is missing in the table of menus; each
critical rating must be told in one notice; and each summary must count its ratings.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from datetime import date

from flask import Flask
from sqlalchemy import MetaData, create_engine, make_url

from apps.manageit import feedback, jobs
from apps.manageit.database import DatabaseManager
from apps.manageit.services import Services, services
from apps.manageit.settings import Settings
from apps.rate_limits import RateLimiter, rate_limit_table
from duly import Retry, Run, RunRecord, Scheduler, every

PATIENT = Retry(attempts=50, wait=0.3, factor=1.5, max_wait=3)
PAST = date(2020, 1, 1)
MESSES = ("mess1", "mess2")


def prepare(url: str) -> None:
    """See `tests.chaos.load.Load`."""
    database = DatabaseManager(make_url(url))
    database.create_tables()
    with database.get_db_cursor() as (cursor, _connection):
        for name in MESSES:
            cursor.insert("messes", {"name": name, "display_name": name})
    database.close()


def declare(scheduler: Scheduler, url: str) -> None:
    """See `tests.chaos.load.Load`."""
    app = _app(scheduler, url)
    scheduler.around(lambda _run: app.app_context())
    scheduler.include(jobs.jobs)
    scheduler.include(jobs.mails)
    second = every(seconds=1)
    for job_id, task, args in (
        ("manageit-clean", jobs.cleanup_old_menu, {}),
        ("manageit-alerts", jobs.generate_high_low_alerts, {}),
        ("manageit-notices", jobs.notify_admin, {"meal": "Lunch"}),
        ("manageit-reports", jobs.send_daily_report, {}),
    ):
        scheduler.job(second, id=job_id, args=args, retry=PATIENT)(task)

    @scheduler.job(second, id="manageit-menu", transactional=jobs.connect, retry=PATIENT)
    def manageit_menu(run: Run) -> None:
        """Store a menu of the past, once for each run."""
        with services().database.cursor_of(run.connection()) as cursor:
            row = {
                "created_at": run.now(), "menu_date": PAST, "mess_name": "mess1", "meal": "Lunch",
                "item_name": run.id,
            }  # fmt: skip
            cursor.insert("temporary_menu", row)

    @scheduler.job(second, id="manageit-rate", retry=PATIENT)
    def manageit_rate(run: Run) -> None:
        """Let a student rate lunch, once for each run."""
        student = int(run.id.replace("-", "")[-15:], 16)
        try:
            feedback.give(student, MESSES[student % 2], "Lunch", 1)
        except feedback.AlreadyGiven:
            run.log.info("It was given by an attempt whose end is not known.")


def check(url: str) -> Iterator[str]:
    """See `tests.chaos.load.Load`."""
    database, scheduler = DatabaseManager(make_url(url)), Scheduler(url)
    stored = len(_succeeded(scheduler, "manageit_menu"))
    deleted = sum(run.result["temporary_menu"] for run in _succeeded(scheduler, "cleanup_old_menu"))
    with database.get_db_cursor(write=False) as (cursor, _connection):
        left = cursor.execute("SELECT COUNT(*) AS n FROM temporary_menu").value()
        given = cursor.execute("SELECT mess, feedback_date, notified_at FROM feedback").all()
        summaries = cursor.execute("SELECT * FROM feedback_summary").all()
        notices = cursor.execute("SELECT message FROM notifications").values()
    database.close()
    scheduler.stop()
    if not (stored and given and notices):
        yield f"{stored} menus, {len(given)} ratings and {len(notices)} notices: none may be 0"
    if stored != deleted + left:
        yield f"{stored} menus were stored; {deleted} were deleted, and {left} are left"
    told = sum(int(found[1]) for text in notices if (found := re.search(r": (\d+) critical", text)))
    noted = sum(row["notified_at"] is not None for row in given)
    if told != noted:
        yield f"the notices tell of {told} ratings, and {noted} are marked so"
    counted = {(row["mess"], row["feedback_date"]): row["rating_count"] for row in summaries}
    if counted != dict(Counter((row["mess"], row["feedback_date"]) for row in given)):
        yield f"the summaries count {counted}"


def _succeeded(scheduler: Scheduler, task: str) -> list[RunRecord]:
    found: list[RunRecord] = []
    page = scheduler.runs(task=task, state="succeeded", limit=1000)
    while page:
        found += page
        page = scheduler.runs(task=task, state="succeeded", limit=1000, after=page[-1].id)
    return found


def _app(scheduler: Scheduler, url: str) -> Flask:
    """Return an application with another scheduler than its own."""
    app = Flask("apps.manageit")
    settings = Settings(secret_key="a secret for tests that is long enough")
    limiter = RateLimiter(create_engine(url), rate_limit_table(MetaData()), scheduler.clock)
    app.extensions["manageit"] = Services(
        settings, scheduler.clock, DatabaseManager(make_url(url)), None, limiter
    )
    app.extensions["duly"] = scheduler
    return app

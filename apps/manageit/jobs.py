"""The jobs of the application: section 3 of the specification.

Their functions take plain arguments and run in the application's context. Those that delete are one
transaction with the end of their run; the others use one transaction for each mess or message, and
can be repeated. Duly records every run, and repeats what failed.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

from apps.manageit import alerts, cleanup, mailing, messes, notices, reports
from apps.manageit.notices import Message
from apps.manageit.services import services, today
from apps.manageit.settings import CleanupTable
from duly import Discard, Fail, JobGroup, Retry, Run
from duly.errors import NotDelivered
from duly.integrations.flask import get_scheduler
from duly.notify import Notice

jobs = JobGroup(retry=Retry(attempts=4, wait=2, factor=3))
mails = JobGroup(queue="mail", retry=Retry(attempts=4, wait=60, factor=5, max_wait=900), timeout=60)


def connect() -> Any:
    """Open the connection of a transactional run, which Duly commits with the run and closes."""
    return services().database.connect()


@jobs.task(transactional=connect)
def cleanup_old_menu(run: Run) -> dict[str, Any]:
    """Delete menus of past days, in one transaction with the end of the run."""
    run.log.info("Deleting menus from before %s.", today())
    deleted = _delete_old(run, (*cleanup.OLD_MENUS, *services().settings.cleanup_tables))
    return {"cutoff": today().isoformat(), **deleted}


@jobs.task(transactional=connect)
def prune_history(run: Run) -> dict[str, int]:
    """Delete what people no longer look at, in one transaction with the end of the run."""
    return _delete_old(run, cleanup.OLD_HISTORY)


def _delete_old(run: Run, tables: Sequence[CleanupTable]) -> dict[str, int]:
    """Delete old rows; if there are very many, a further run deletes the rest.

    Returns:
        The number of deleted rows, by table.
    """
    connection, day = run.connection(), today()
    with services().database.cursor_of(connection) as cursor:
        deleted = {each.table: cleanup.delete_old(cursor, each, day) for each in tables}
    if cleanup.AT_ONCE in deleted.values():
        get_scheduler().enqueue(run.task, session=connection)
    run.log.info("Deleted rows from before %s: %s.", day, deleted)
    return deleted


@jobs.task()
def generate_high_low_alerts(run: Run) -> dict[str, dict[str, int]]:
    """Replace the alerts of each mess; an error in one leaves its previous alerts, marked stale."""
    if run.cause == "start" and _is_recent(run):
        raise Discard("the alerts were generated less than an interval ago")
    counts: dict[str, dict[str, int]] = {}
    for item in run.track(messes.with_alerts()):
        with item as mess:
            counts[mess] = _generate(mess, run)
    _repeat_for_failed(run)
    return counts


def _is_recent(run: Run) -> bool:
    previous = run.previous_success
    interval = timedelta(minutes=services().settings.alert_interval_minutes)
    return previous is not None and run.now() - previous < interval


def _generate(mess: str, run: Run) -> dict[str, int]:
    try:
        counts = alerts.generate(mess)
    except Exception:
        alerts.mark_stale(mess)
        raise
    run.log.info("Alerts of %s: %s.", mess, counts)
    return counts


@jobs.task()
def generate_alerts_of(mess: str, run: Run) -> dict[str, int]:
    """Replace the alerts of one mess, after something was recorded."""
    return _generate(mess, run)


@jobs.task()
def notify_admin(meal: str, run: Run) -> dict[str, Any]:
    """Tell the admins of critical feedback of a meal; one message stops no other."""
    run.log.info("Looking for critical feedback of %s.", meal)
    messages = notices.critical_feedback(meal, _day(run))
    if not messages:
        run.log.info("There is no critical feedback of %s.", meal)
    for item in run.track(messages):
        with item as message:
            notices.send_notification(message)
    _repeat_for_failed(run)
    sent, failed = run.counters.get("ok", 0), run.counters.get("failed", 0)
    run.log.info("Stored %d notices of %s; %d failed.", sent, meal, failed)
    return {"meal": meal, "created": len(messages), "sent": sent, "failed": failed}


@jobs.task()
def send_daily_report(run: Run) -> dict[str, int]:
    """Store and mail the report of each mess, once for each day."""
    for item in run.track(messes.active()):
        with item as mess:
            run.count(created=int(reports.create(mess["name"], _day(run))))
    _repeat_for_failed(run)
    return {name: run.counters.get(name, 0) for name in ("created", "failed")}


def _day(run: Run) -> date:
    """Return the date for which a run was planned, however late it is."""
    return (run.scheduled_for or run.now()).astimezone(services().settings.zone).date()


def _repeat_for_failed(run: Run) -> None:
    """Fail if an item has failed, unless others succeeded and this is the last attempt.

    Raises:
        ItemsFailed: the run is to be repeated, or has failed.
    """
    ok, failed = run.counters.get("ok", 0), run.counters.get("failed", 0)
    if failed and not (ok and _is_last(run)):
        raise ItemsFailed(f"{failed} of {ok + failed} items failed; the log of the run names them")


class ItemsFailed(Exception):
    """Some of the messes or messages of a run have failed."""


# --------------------------------------------------------------------------------------- mails


@mails.task()
def send_mail(mail_id: int, run: Run) -> None:
    """Send a stored mail."""
    mail, mailer = mailing.find(mail_id), services().mailer
    if mail is None or mail["status"] == "sent":
        raise Discard("the mail was deleted, or sent before")
    if mailer is None:
        raise Discard("no mail server is configured")
    try:
        mailer.send(mailing.content(mail), run.idempotency_key)
    except Exception as error:
        final = isinstance(error, NotDelivered) and error.final
        mailing.note(mail, "failed" if final or _is_last(run) else "pending")
        if final:
            raise Fail(str(error)) from error
        raise
    mailing.note(mail, "sent")


def _is_last(run: Run) -> bool:
    return run.attempt >= run.max_attempts


def note_failing_job(notice: Notice) -> None:
    """Store a notice for the admins about a job that keeps failing."""
    notices.send_notification(Message(notice.title, "failing_job", f"duly {notice.id}"))

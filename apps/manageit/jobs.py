"""The jobs of the application: section 3 of the specification.

Their functions take plain arguments, run in the application's context, and use one transaction for
each mess or message. Duly records every run, and repeats what failed.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from apps.manageit import alerts, menus, notices, reports
from apps.manageit.notices import Message
from apps.manageit.services import services, today
from duly import Discard, Fail, JobGroup, Retry, Run
from duly.errors import NotDelivered
from duly.notify import Notice

jobs = JobGroup(retry=Retry(attempts=3, wait=2, factor=3))
mails = JobGroup(queue="mail", retry=Retry(attempts=4, wait=60, factor=5, max_wait=900), timeout=60)

_RESOLVED_KEPT, _READ_KEPT = timedelta(days=90), timedelta(days=180)


@jobs.task()
def cleanup_old_menu(run: Run) -> dict[str, Any]:
    """Delete menus of past days, in one transaction unless there are more than a thousand rows."""
    cutoff, tables = today(), (*menus.OLD, *services().settings.cleanup_tables)
    run.log.info("Deleting menus from before %s.", cutoff)
    deleted = dict.fromkeys((table.table for table in tables), 0)
    more = True
    while more:
        run.check()
        with services().database.get_db_cursor() as (cursor, _connection):
            found = {each.table: menus.delete_old(cursor, each, cutoff) for each in tables}
        deleted = {table: deleted[table] + found[table] for table in deleted}
        more = menus.AT_ONCE in found.values()
    run.log.info("Deleted menus from before %s: %s.", cutoff, deleted)
    return {"cutoff": cutoff.isoformat(), **deleted}


@jobs.task()
def generate_high_low_alerts(run: Run) -> dict[str, dict[str, int]]:
    """Replace the alerts of each mess; an error in one leaves its previous alerts, marked stale."""
    if run.cause == "start" and _is_recent(run):
        raise Discard("the alerts were generated less than an interval ago")
    counts: dict[str, dict[str, int]] = {}
    for item in run.track(alerts.active_messes()):
        with item as mess:
            counts[mess] = _generate(mess, run)
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
    messages = notices.critical_feedback(meal)
    if not messages:
        run.log.info("There is no critical feedback of %s.", meal)
    for item in run.track(messages):
        with item as message:
            notices.send_notification(message)
    sent, failed = run.counters.get("ok", 0), run.counters.get("failed", 0)
    run.log.info("Stored %d notices of %s; %d failed.", sent, meal, failed)
    return {"meal": meal, "created": len(messages), "sent": sent, "failed": failed}


@jobs.task()
def send_daily_report(run: Run) -> dict[str, int]:
    """Store and mail the report of each mess, once for each day."""
    planned = (run.scheduled_for or run.now()).astimezone(services().settings.zone).date()
    for item in run.track(alerts.active_messes()):
        with item as mess:
            run.count(created=int(reports.create(mess, planned)))
    return {name: run.counters.get(name, 0) for name in ("created", "failed")}


@jobs.task()
def prune_history(run: Run) -> dict[str, int]:
    """Delete resolved alerts and read notices that are old; Duly deletes its runs itself."""
    now = services().clock.now()
    with services().database.get_db_cursor() as (cursor, _connection):
        resolved = cursor.execute(
            "DELETE FROM mess_alerts WHERE resolved_at < %s", [now - _RESOLVED_KEPT]
        ).count
        read = cursor.execute(
            "DELETE FROM notifications WHERE read_at < %s", [now - _READ_KEPT]
        ).count
    run.log.info("Deleted %d resolved alerts and %d read notices.", resolved, read)
    return {"mess_alerts": resolved, "notifications": read}


# --------------------------------------------------------------------------------------- mails


@mails.task()
def mail_notice(notice_id: int, run: Run) -> int:
    """Mail a stored notice to every admin."""
    notice = notices.find(notice_id)
    if notice is None or notice["email_status"] == "sent":
        raise Discard("the notice was deleted, or mailed before")
    try:
        sent = _send(notice["message"], run)
    except Exception:
        notices.set_email_status(notice_id, "failed" if _is_last(run) else "pending")
        raise
    notices.set_email_status(notice_id, "sent")
    return sent


@mails.task()
def mail_report(report_id: int, run: Run) -> int:
    """Mail a stored report to the admins and to the officials of its mess."""
    report = reports.find(report_id)
    if report is None or report["sent_at"] is not None:
        raise Discard("the report was deleted, or mailed before")
    sent = _send(reports.as_text(report), run, mess=report["mess_name"])
    reports.mark_sent(report_id)
    return sent


def _is_last(run: Run) -> bool:
    return run.attempt >= run.max_attempts


def _send(text: str, run: Run, mess: str | None = None) -> int:
    """Send a text to every admin, and to the officials of a mess if one is given.

    Raises:
        NotDelivered: the mail server does not take it now.
        Fail: it never will.
    """
    mailer = services().mailer
    if mailer is None:
        raise Discard("no mail server is configured")
    with services().database.get_db_cursor(write=False) as (cursor, _connection):
        to = notices.addresses(cursor, "admin")
        if mess is not None:
            to += notices.addresses(cursor, "mess_official", mess)
    for address in to:
        try:
            mailer.send(notices.mail_of(address, text), f"{run.idempotency_key} {address}")
        except NotDelivered as error:
            if error.final:
                raise Fail(str(error)) from error
            raise
    return len(to)


def note_failing_job(notice: Notice) -> None:
    """Store a notice for the admins about a job that keeps failing."""
    notices.send_notification(Message(notice.title, "failing_job", f"duly {notice.id}"))

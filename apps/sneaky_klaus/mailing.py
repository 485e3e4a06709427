"""Mails as tasks: enqueued in the transaction that decides them, written when they are sent.

A task checks the state as it is when the mail is sent. While the mail server does not respond, its
run waits for the next attempt, and no worker thread waits with it. A mail has the key of its run,
so that one which is sent again after a crash is recognized as a repetition.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from flask import render_template
from sqlalchemy import select
from sqlalchemy.orm import aliased

from apps.mail import Mail
from apps.sneaky_klaus import magic_links, reminders, webhooks
from apps.sneaky_klaus.database import db, transaction
from apps.sneaky_klaus.models import Admin, Exchange, Match, Participant, ReminderDelivery
from apps.sneaky_klaus.services import services
from duly import Discard, Fail, JobGroup, Retry, Run
from duly.errors import NotDelivered
from duly.integrations.flask import get_scheduler
from duly.notify import Notice

jobs = JobGroup(queue="mail", retry=Retry(attempts=30, wait=4, factor=2, max_wait=60), timeout=30)


# ------------------------------------------------------------------------------------- enqueue


def send_magic_link(participant_id: int) -> None:
    """Send a participant a link to sign in with."""
    get_scheduler().enqueue(
        mail_magic_link, args={"participant_id": participant_id}, session=db.session
    )


def tell_assignments(givers: Iterable[int]) -> None:
    """Tell participants whom they give a present to."""
    get_scheduler().enqueue_many(
        mail_assignment, [{"participant_id": giver} for giver in givers], session=db.session
    )


def remind(participants: Iterable[int], exchange: Exchange, days_before: int) -> None:
    """Remind participants of an exchange; one whose mail is under way gets no second one."""
    due_at = reminders.planned(exchange, days_before).instant
    shared = {"exchange_id": exchange.id, "days_before": days_before, "due_at": due_at}
    calls = [{**shared, "participant_id": each} for each in participants]
    get_scheduler().enqueue_many(
        mail_reminder, calls,
        unique_keys=[f"reminder {' '.join(map(str, call.values()))}" for call in calls],
        unique="until_done", session=db.session,
    )  # fmt: skip


def warn_of_purge(exchange_id: int, planned_for: datetime) -> None:
    """Tell the admins that an exchange will be deleted; it counts once a mail was accepted."""
    args = {"exchange_id": exchange_id, "planned_for": planned_for}
    _enqueue_for_admins(mail_purge_warning, args, f"purge warning {exchange_id}")


def tell_admins(notice: Notice) -> None:
    """Tell the admins what has failed, except for such mails themselves; see `duly.notify`."""
    if any(failed.task == "mail_notice" for failed in notice.happenings):
        return
    with transaction():
        args = {"title": notice.title, "text": notice.text}
        _enqueue_for_admins(mail_notice, args, f"notice {notice.id}")


def _enqueue_for_admins(task: Any, args: dict[str, Any], key: str) -> None:
    """Enqueue a mail to each admin, so that an address that is refused stops no other."""
    admins = db.session.scalars(select(Admin.id).order_by(Admin.id)).all()
    get_scheduler().enqueue_many(
        task, [{"admin_id": admin, **args} for admin in admins],
        unique_keys=[f"{key} {admin}" for admin in admins], unique="until_done", session=db.session,
    )  # fmt: skip


# --------------------------------------------------------------------------------------- tasks


@jobs.task()
def mail_magic_link(participant_id: int, run: Run) -> None:
    """Send a participant a link that signs in, once, within an hour."""
    with transaction():
        token = magic_links.create(_participant(participant_id).id, run.idempotency_key)
    person = _participant(participant_id)
    about = {"name": person.name, "exchange": person.exchange}
    _send(run, person, "magic_link", **about, link=link_to("auth/magic", token))


@jobs.task()
def mail_assignment(participant_id: int, run: Run) -> None:
    """Tell a participant whom they give a present to."""
    person = _participant(participant_id)
    receiver = receiver_of(person)
    if receiver is None:
        raise Discard("the match was taken back")
    link = link_to("me", person.exchange_id)
    _send(run, person, "assignment", **_about(person), receiver=receiver, link=link)


@jobs.task()
def mail_reminder(
    exchange_id: int, days_before: int, due_at: datetime, participant_id: int, run: Run
) -> None:
    """Remind a participant, and note that it was sent."""
    person = _participant(participant_id)
    key = (exchange_id, days_before, due_at, participant_id)
    now = services().clock.now()
    if person.exchange.state != "MATCHED" or person.exchange.exchange_date <= now:
        raise Discard("the exchange is not matched any more, or has taken place")
    if not person.reminder_enabled:
        raise Discard("the participant does not want reminders any more")
    if db.session.get(ReminderDelivery, key) is not None:
        raise Discard("this reminder was sent before")
    days = reminders.days_until(person.exchange, now)
    off = link_to("reminders/off", str(services().links.dumps(person.id)))
    about = {**_about(person), "receiver": receiver_of(person), "days": days, "off": off}
    _send(run, person, "reminder", **about)
    with transaction():
        exchange = db.session.get_one(Exchange, exchange_id)
        sent = ReminderDelivery(
            exchange_id=exchange_id, days_before=days_before, due_at=due_at,
            participant_id=participant_id, sent_at=services().clock.now(),
        )  # fmt: skip
        db.session.add(sent)
        webhooks.publish(
            "reminder.sent", exchange, participant_id=participant_id, days_before=days_before
        )


@jobs.task()
def mail_purge_warning(exchange_id: int, admin_id: int, planned_for: datetime, run: Run) -> None:
    """Tell an admin that an exchange will be deleted, and note that somebody was told."""
    exchange = db.session.get(Exchange, exchange_id)
    if exchange is None:
        raise Discard("the exchange was deleted")
    # A mail that was held up for days counts from the last daily run before it is sent.
    late = timedelta(days=max(0, (services().clock.now() - planned_for).days))
    warned_at = exchange.purge_warning_sent_at or planned_for + late
    day = warned_at + timedelta(days=services().settings.purge_warning_days)
    link = link_to("admin/exchanges", exchange_id)
    _send(run, _admin(admin_id), "purge_warning", exchange=exchange, day=day, link=link)
    run.log.info("Warned an admin that exchange %d will be deleted.", exchange_id)
    with transaction():
        exchange = db.session.get_one(Exchange, exchange_id)
        if exchange.purge_warning_sent_at is None:
            exchange.purge_warning_sent_at = warned_at
            webhooks.publish("exchange.purge_warning", exchange)


@jobs.task()
def mail_notice(admin_id: int, title: str, text: str, run: Run) -> None:
    """Tell an admin what has failed."""
    _send(run, _admin(admin_id), "notice", title=title, body=text)


# ------------------------------------------------------------------------------------- contents


def receiver_of(person: Participant) -> Participant | None:
    """Return the participant to whom somebody gives a present; ``None`` before the matching."""
    receiver = aliased(Participant)
    return db.session.scalar(
        select(receiver)
        .join(Match, Match.receiver_id == receiver.id)
        .where(Match.giver_id == person.id)
    )


def _participant(participant_id: int) -> Participant:
    """Return a participant.

    Raises:
        Discard: they have withdrawn, or were deleted with their exchange.
    """
    person = db.session.get(Participant, participant_id)
    if person is None or person.withdrawn_at is not None:
        raise Discard("the participant has withdrawn, or the exchange was deleted")
    return person


def _about(person: Participant) -> dict[str, Any]:
    exchange = person.exchange
    local = exchange.exchange_date.astimezone(ZoneInfo(exchange.timezone))
    return {"name": person.name, "exchange": exchange, "local": local}


def _admin(admin_id: int) -> Admin:
    admin = db.session.get(Admin, admin_id)
    if admin is None:
        raise Discard("the admin was deleted")
    return admin


def _mail(to: str, template: str, **context: Any) -> Mail:
    """Return a mail; the first line of its text is the subject."""
    text = render_template(f"mail/{template}.txt", **context)
    subject, _, body = text.partition("\n")
    html = render_template(f"mail/{template}.html", **context)
    return Mail(to, subject.strip(), body.strip() + "\n", html)


def link_to(path: str, last: object) -> str:
    """Return an address of this application as people outside of it reach it."""
    return f"{services().settings.base_url}/{path}/{last}"


def _send(run: Run, to: Participant | Admin, template: str, **context: Any) -> None:
    """Write and send a mail, without a transaction open meanwhile.

    Logs contain ids, and never addresses.

    Raises:
        NotDelivered: it was not accepted now; the run is tried again.
        Fail: it will never be accepted.
    """
    db.session.expunge_all()  # what was read stays readable
    db.session.rollback()
    mail = _mail(to.email, template, **context)
    try:
        services().mailer.send(mail, run.idempotency_key)
    except NotDelivered as error:
        whom = type(to).__name__.lower()
        run.log.warning("The %s to %s %d was not sent: %s.", template, whom, to.id, error)
        if error.final:
            raise Fail(str(error)) from error
        raise

"""Webhooks: what happens to exchanges, told to other systems.

A delivery is a task that is enqueued in the transaction of the event. Its run is its record: the
attempts, what the receiver answered, and a dead letter once all attempts have failed.
"""

from __future__ import annotations

import base64
import secrets
from typing import Any
from uuid import uuid4

from sqlalchemy import select

from apps.sneaky_klaus.database import db, transaction
from apps.sneaky_klaus.models import Exchange, Webhook
from apps.sneaky_klaus.services import services
from duly import Discard, Fail, JobGroup, Retry
from duly.errors import NotDelivered
from duly.integrations.flask import get_scheduler
from duly.notify import Notice, check_webhook_url, send_webhook

EVENTS = (
    "exchange.matched", "exchange.completed", "exchange.purge_warning", "exchange.purged",
    "reminder.sent", "job.failed",
)  # fmt: skip

jobs = JobGroup(queue="webhooks")


def publish(event: str, exchange: Exchange, **details: Any) -> None:
    """Tell the webhooks of an event of an exchange, if the current transaction is committed.

    Never pass who gives to whom.
    """
    send(event, {"exchange_id": exchange.id, "name": exchange.name, **details})


def send(event: str, data: dict[str, Any], *, key: str | None = None) -> None:
    """Enqueue an event for each webhook that wants it.

    Args:
        event: its name.
        data: what the webhooks are told.
        key: identifies the event, so that it is sent once if it is told again; default: a new one.
    """
    event_id = key or uuid4().hex
    webhooks = db.session.scalars(select(Webhook).where(Webhook.active)).all()
    for webhook in webhooks:
        if event in webhook.events:
            _enqueue_delivery(webhook, event_id, event, data)


def _enqueue_delivery(webhook: Webhook, event_id: str, event: str, data: dict[str, Any]) -> None:
    get_scheduler().enqueue(
        deliver_webhook,
        args={"webhook_id": webhook.id, "event_id": event_id, "event": event, "data": data},
        unique_key=f"webhook {webhook.id} {event_id}",
        unique="until_done",
        session=db.session,
    )


@jobs.task(retry=Retry(attempts=6, wait=30, factor=3.3, max_wait=3600), timeout=10)
def deliver_webhook(webhook_id: int, event_id: str, event: str, data: dict[str, Any]) -> int:
    """Send an event to a webhook, and return the status of the answer."""
    webhook = db.session.get(Webhook, webhook_id)
    if webhook is None or not webhook.active:
        raise Discard("the webhook was deleted or switched off")
    url, secret = webhook.url, webhook.secret
    db.session.rollback()  # the receiver may be slow, so no transaction is open meanwhile
    try:
        return send_webhook(
            url, {"id": event_id, "event": event, "data": data}, id=event_id, secret=secret,
            allow_private=services().settings.allow_private_webhooks, ports=None,
            signed_at=services().clock.now(),
        )  # fmt: skip
    except NotDelivered as error:
        if error.final:
            raise Fail(str(error)) from error
        raise


def check_url(url: str) -> None:
    """Refuse a URL to which no webhook may lead.

    Raises:
        AddressRefused: the message says why.
    """
    private = services().settings.allow_private_webhooks
    check_webhook_url(url, allow_private=private, ports=None)


def create(url: str, events: list[str]) -> Webhook:
    """Store a new webhook, with a secret of its own."""
    webhook = Webhook(
        url=url, events=events, created_at=services().clock.now(),
        secret=f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}",
    )  # fmt: skip
    db.session.add(webhook)
    return webhook


def send_test(webhook: Webhook) -> None:
    """Enqueue an event that tests a webhook."""
    data = {"text": "This webhook receives the events of Sneaky Klaus."}
    _enqueue_delivery(webhook, uuid4().hex, "test", data)


def tell_of_failures(notice: Notice) -> None:
    """Tell the webhooks of failed runs; those of webhooks themselves would repeat for ever."""
    with transaction():
        for failed in notice.happenings:
            if failed.task != "deliver_webhook":
                send("job.failed", {"job": failed.job, "task": failed.task}, key=failed.run)

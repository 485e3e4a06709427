"""Notices: tell people what happens to jobs, by e-mail, webhooks, functions or apprise.

``scheduler.notify(email("ops@example.com"), on=["job.failing", "job.recovered"])`` declares a rule.
`send_webhook` sends an application's own webhooks.
Names are imported on first use (PEP 562), since every scheduler has notices, but few send e-mail.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from duly.lazy_names import lazy_names

if TYPE_CHECKING:
    from duly.model.notice import Happening as Happening
    from duly.model.notice import Notice as Notice
    from duly.model.notice import NoticeRecord as NoticeRecord
    from duly.model.notice_rule import NoticeRule as NoticeRule
    from duly.model.notice_rule import QuietHours as QuietHours
    from duly.notify.apprise_channel import apprise as apprise
    from duly.notify.function_channel import notify as notify
    from duly.notify.mail import Smtp as Smtp
    from duly.notify.mail import email as email
    from duly.notify.signature import verify_signature as verify_signature
    from duly.notify.webhooks import check_webhook_url as check_webhook_url
    from duly.notify.webhooks import send_webhook as send_webhook
    from duly.notify.webhooks import webhook as webhook

_HOMES = {
    "Happening": "duly.model.notice",
    "Notice": "duly.model.notice",
    "NoticeRecord": "duly.model.notice",
    "NoticeRule": "duly.model.notice_rule",
    "QuietHours": "duly.model.notice_rule",
    "Smtp": "duly.notify.mail",
    "apprise": "duly.notify.apprise_channel",
    "check_webhook_url": "duly.notify.webhooks",
    "email": "duly.notify.mail",
    "notify": "duly.notify.function_channel",
    "send_webhook": "duly.notify.webhooks",
    "verify_signature": "duly.notify.signature",
    "webhook": "duly.notify.webhooks",
}

__all__ = sorted(_HOMES)  # noqa: PLE0605 - the names are listed once, in _HOMES

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_names(__name__, _HOMES, __all__)

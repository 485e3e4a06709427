"""Notices: tell people what happens to jobs, by e-mail, webhooks, functions or apprise.

``scheduler.notify(email("ops@example.com"), on=["job.failing", "job.recovered"])`` declares a rule.
"""

from __future__ import annotations

from duly.model.notice import Happening, Notice, NoticeRecord
from duly.model.notice_rule import NoticeRule, QuietHours
from duly.notify.apprise_channel import apprise
from duly.notify.function_channel import notify
from duly.notify.mail import Smtp, email
from duly.notify.signature import verify_signature
from duly.notify.webhooks import webhook

__all__ = [
    "Happening",
    "Notice",
    "NoticeRecord",
    "NoticeRule",
    "QuietHours",
    "Smtp",
    "apprise",
    "email",
    "notify",
    "verify_signature",
    "webhook",
]

"""What the pages call jobs and runs, and the zones in which they show their times."""

from __future__ import annotations

import re

from sqlalchemy import select

from apps.sneaky_klaus.database import db
from apps.sneaky_klaus.models import Exchange
from duly import JobRecord, RunRecord

_REMINDER = re.compile(r"reminder_exchange_(\d+)_days_(\d+)")
_NAMES = {
    "auto_complete_exchanges": "Complete exchanges",
    "purge_old_exchanges": "Delete old exchanges",
    "cleanup_expired_tokens": "Clean up links",
    "cleanup_expired_sessions": "Clean up sessions",
    "cleanup_expired_rate_limits": "Clean up rate limits",
    "reconcile_reminders": "Repair reminders",
    "send_reminders": "Reminders",
    "mail_magic_link": "Mail: link to sign in",
    "mail_assignment": "Mail: whom to give to",
    "mail_reminder": "Mail: reminder",
    "mail_purge_warning": "Mail: warning of a deletion",
    "mail_notice": "Mail: notice",
    "deliver_webhook": "Webhook",
}


class Labels:
    """The names of jobs and runs; it reads the exchanges once."""

    def __init__(self) -> None:
        rows = db.session.execute(select(Exchange.id, Exchange.name, Exchange.timezone))
        self._exchanges = {row.id: row for row in rows}

    def title(self, what: JobRecord | RunRecord) -> str:
        """Return the name of a job, or of the job or task of a run."""
        reminder = _REMINDER.fullmatch(_id_of(what))
        if reminder is None:
            return task_title(what.task)
        exchange, days = self._exchanges.get(int(reminder[1])), int(reminder[2])
        name = exchange.name if exchange else f"exchange {reminder[1]}"
        return f"Reminder: {name}, {days} day{'' if days == 1 else 's'} before"

    def zone(self, what: JobRecord | RunRecord) -> str:
        """Return the zone of the exchange to which a job or run belongs; otherwise UTC."""
        reminder = _REMINDER.fullmatch(_id_of(what))
        exchange = reminder and self._exchanges.get(int(reminder[1]))
        return exchange.timezone if exchange else "UTC"


def task_title(task: str) -> str:
    """Return what the pages call a task."""
    return _NAMES.get(task, task)


def _id_of(what: JobRecord | RunRecord) -> str:
    return (what.id if isinstance(what, JobRecord) else what.job_id) or ""

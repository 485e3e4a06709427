"""An application with a ``beat_schedule``, and a scheduler that shall replace its beat."""

from __future__ import annotations

import os
from datetime import timedelta

from celery import Celery
from celery.schedules import crontab, schedule

from duly import Scheduler


class Sunrise(schedule):  # type: ignore[misc]  # Celery has no types
    """A schedule of the application's own."""


celery_app = Celery("shop", broker="memory://", set_as_current=False)
celery_app.conf.timezone = "Europe/Madrid"
celery_app.conf.beat_schedule = {
    "nightly": {"task": "shop.nightly", "schedule": crontab(hour="2", minute="30")},
    "weekdays": {
        "task": "shop.report",
        "schedule": crontab(hour="*/6", minute="5,35", day_of_week="mon-fri"),
        "args": (7,),
        "kwargs": {"full": True},
        "options": {"queue": "slow", "expires": 600, "priority": 3},
    },
    "friday 13": {
        "task": "shop.fear",
        "schedule": crontab(hour="0", minute="0", day_of_month="13", day_of_week="fri"),
    },
    "weekend": {"task": "shop.rest", "schedule": crontab(hour="0", minute="0", day_of_week="6,0")},
    "often": {"task": "shop.sweep", "schedule": timedelta(minutes=10)},
    "seconds": {"task": "shop.beat", "schedule": 30.0},
    "sun": {"task": "shop.roof", "schedule": Sunrise(timedelta(days=1))},
}
scheduler = Scheduler(os.environ.get("DULY_URL", "sqlite://"))

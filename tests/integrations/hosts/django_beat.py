"""A Django project with django-celery-beat: makes its database by its own migrations.

Run as ``python django_beat.py FILE``.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime

import django
from django.conf import settings
from django.core.management import call_command

settings.configure(
    INSTALLED_APPS=["django_celery_beat"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": sys.argv[1]}},
    USE_TZ=True,
    DEFAULT_AUTO_FIELD="django.db.models.AutoField",
)
django.setup()
call_command("migrate", verbosity=0)

from django_celery_beat.models import (  # noqa: E402 - it needs the settings
    ClockedSchedule,
    CrontabSchedule,
    IntervalSchedule,
    PeriodicTask,
    SolarSchedule,
)

night = CrontabSchedule.objects.create(
    minute="30", hour="2", day_of_week="mon-fri", timezone="Europe/Madrid"
)
often = IntervalSchedule.objects.create(every=10, period="minutes")
once = ClockedSchedule.objects.create(clocked_time=datetime(2030, 1, 1, 12, tzinfo=UTC))
sun = SolarSchedule.objects.create(event="sunrise", latitude=40, longitude=-3)
PeriodicTask.objects.create(
    name="report", task="shop.report", crontab=night, args=json.dumps([7]),
    kwargs=json.dumps({"full": True}), queue="slow", expire_seconds=600, priority=3,
)  # fmt: skip
PeriodicTask.objects.create(name="sweep", task="shop.sweep", interval=often, enabled=False)
PeriodicTask.objects.create(name="move", task="shop.move", clocked=once, one_off=True)
PeriodicTask.objects.create(name="roof", task="shop.roof", solar=sun)

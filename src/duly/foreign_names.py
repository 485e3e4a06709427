"""The names of other schedulers, and what to write instead of each."""

from __future__ import annotations

from collections.abc import Mapping

_TRIGGER = "it belongs to the trigger, such as cron(hour=9), every(minutes=5) or at(…)"
_RETRY = "write retry=Retry(attempts=…, wait=…)"
_TIMEOUT = "write timeout=, in seconds"
_ARGS = "write args={…}"
_RUNS_ITSELF = "scheduler.start() starts it, and scheduler.stop() stops it"

OPTIONS: Mapping[str, str] = {
    # APScheduler
    "max_instances": "write max_running=, and overlap= for what happens beyond it",
    "coalesce": "write catch_up='latest' (True) or catch_up='all' (False)",
    "misfire_grace_time": "write misfire_grace=, in seconds",
    "replace_existing": "write replace=True",
    "conflict_policy": "write replace=True, or leave it out",
    "next_run_time": "write start=, or give the trigger at(…)",
    "start_date": "write start=",
    "start_time": "write start=",
    "end_date": "write end=",
    "end_time": "write end=",
    "run_date": "give the trigger at(…)",
    "run_time": "give the trigger at(…)",
    "func": "give the task first: add(task, trigger)",
    "job_id": "write id=",
    "name": "write id= for a job, and scheduler.task(name=…) for a task",
    "jobstore": "give the database's URL to Scheduler(…)",
    "jobstores": "give the database's URL to Scheduler(…)",
    "data_store": "give the database's URL to Scheduler(…)",
    "event_broker": "leave it out: the database is all that is needed",
    "max_workers": "write queues={'default': 10}",
    "job_defaults": "write defaults=JobDefaults(…)",
    "job_executor": "write executor= where the task is declared",
    "paused": "write scheduler.pause(job_id)",
    **dict.fromkeys(
        ["year", "month", "week", "day", "day_of_week", "hour", "minute", "second"], _TRIGGER
    ),
    **dict.fromkeys(["weeks", "days", "hours", "minutes", "seconds", "interval"], _TRIGGER),
    # Celery, RQ, Dramatiq, Huey, ARQ, Procrastinate
    "kwargs": _ARGS,
    "lock": "write concurrency_key=",
    "queueing_lock": "write unique_key=",
    "task_id": "write unique_key=, so that a call is stored once",
    "idempotency_key": "write unique_key=",
    "countdown": "write delay=, in seconds",
    "delay_seconds": "write delay=",
    "schedule_in": "write delay=",
    "defer_by": "write delay=",
    "_defer_by": "write delay=",
    "eta": "write at=, an aware datetime",
    "run_at": "write at=, an aware datetime",
    "schedule_at": "write at=, an aware datetime",
    "scheduled_at": "write at=, an aware datetime",
    "defer_until": "write at=, an aware datetime",
    "_defer_until": "write at=, an aware datetime",
    "routing_key": "write queue=",
    "queue_name": "write queue=",
    **dict.fromkeys(
        ["retries", "max_retries", "max_attempts", "max_tries", "attempts", "autoretry_for",
         "retry_backoff", "retry_jitter", "retry_delay", "default_retry_delay", "min_backoff",
         "max_backoff", "backoff", "retry_policy"], _RETRY
    ),
    **dict.fromkeys(["time_limit", "soft_time_limit", "job_timeout", "ttl_seconds"], _TIMEOUT),
    "ttl": "write expires=, in seconds",
    "max_age": "write expires=, in seconds",
    "result_ttl": "write keep=, in days",
    "keep_result": "write keep=, in days",
    "rate_limit": "write scheduler.set_queue(name, rate=…, per=…)",
    "acks_late": "write on_crash='retry' (the default) or on_crash='fail'",
    "bind": "leave it out: a parameter annotated with Run receives the run",
    "broker": "give the database's URL to Scheduler(…)",
    "backend": "leave it out: results are stored in the database",
    "beat_schedule": "declare each job with @scheduler.job(cron(…))",
    "concurrency": "write Scheduler(queues={'default': 10})",
    "cron": "give the trigger cron(…)",
    "crontab": "give the trigger cron(…)",
    "depends_on": "write after=['job id']",
}  # fmt: skip
"""Keyword arguments."""

CALLS: Mapping[str, str] = {
    # APScheduler
    "add_job": "scheduler.add(task, trigger, id=…, args={…})",
    "add_schedule": "scheduler.add(task, trigger, id=…, args={…})",
    "scheduled_job": "@scheduler.job(trigger)",
    "configure_task": "@scheduler.task(…)",
    "get_job": "scheduler.job(job_id)",
    "get_schedule": "scheduler.job(job_id)",
    "get_jobs": "scheduler.jobs()",
    "get_schedules": "scheduler.jobs()",
    "print_jobs": "scheduler.jobs()",
    "modify_job": "scheduler.edit(job_id, …)",
    "reschedule_job": "scheduler.edit(job_id, trigger=…)",
    "pause_job": "scheduler.pause(job_id)",
    "pause_schedule": "scheduler.pause(job_id)",
    "resume_job": "scheduler.resume(job_id)",
    "unpause_schedule": "scheduler.resume(job_id)",
    "remove_job": "scheduler.remove(job_id)",
    "remove_schedule": "scheduler.remove(job_id)",
    "remove_all_jobs": "scheduler.remove(tag=…)",
    "shutdown": "scheduler.stop(grace=…)",
    "start_in_background": "scheduler.start()",
    "run_until_stopped": "scheduler.start(), or the command `duly run`",
    "run_forever": "scheduler.start(), or the command `duly run`",
    "run_pending": "scheduler.start(), or scheduler.run_due() for a single step",
    "add_listener": "scheduler.on('run.failed', function)",
    "subscribe": "scheduler.on('run.failed', function)",
    "add_jobstore": "Scheduler(url)",
    "add_executor": "Scheduler(queues={'default': 10})",
    "run_job": "scheduler.run_now(job_id)",
    "trigger_job": "scheduler.run_now(job_id)",
    "get_job_result": "scheduler.run(run_id).result",
    # Celery, RQ, ARQ, Procrastinate, schedule
    "send_task": "scheduler.enqueue(task, …)",
    "apply_async": "scheduler.enqueue(task, args={…}, delay=…)",
    "delay": "scheduler.enqueue(task, …)",
    "defer": "scheduler.enqueue(task, …)",
    "enqueue_job": "scheduler.enqueue(task, …)",
    "enqueue_call": "scheduler.enqueue(task, args={…})",
    "enqueue_in": "scheduler.enqueue(task, …, delay=…)",
    "enqueue_at": "scheduler.enqueue(task, …, at=…)",
    "submit": "scheduler.enqueue(task, …)",
    "add_task": "scheduler.enqueue(task, …)",
    "periodic_task": "@scheduler.job(cron(…))",
    "periodic": "@scheduler.job(cron(…))",
    "cron": "@scheduler.job(cron(…))",
    "every": "@scheduler.job(every(…))",
    "interval": "@scheduler.job(every(…))",
    "actor": "@scheduler.task()",
    "shared_task": "@scheduler.task()",
    "add_periodic_task": "scheduler.add(task, every(…), id=…)",
    "revoke": "scheduler.cancel(run_id)",
    "abort": "scheduler.cancel(run_id)",
    "cancel_job": "scheduler.cancel(run_id), or scheduler.remove(job_id)",
    "worker_main": "the command `duly worker`",
    "run_worker": "the command `duly worker`",
}
"""Attributes of a scheduler."""

TASK_CALLS: Mapping[str, str] = {
    **dict.fromkeys(
        ["delay", "send", "defer", "kiq", "schedule", "s", "si", "signature"], "enqueue(…)"
    ),
    "apply_async": "enqueue(args={…}, delay=…)",
    "send_with_options": "enqueue(args={…}, delay=…)",
    "message": "enqueue(args={…}, delay=…)",
    "configure": "enqueue(args={…}, delay=…)",
    "defer_async": "aio.enqueue(…)",
    "apply": "a plain call",
    "call_local": "a plain call",
    "batch_defer": "scheduler.enqueue_many(task, […])",
    "map": "scheduler.enqueue_many(task, […])",
    "starmap": "scheduler.enqueue_many(task, […])",
}
"""Attributes of a task."""

TRIGGER_OPTIONS: Mapping[str, str] = {
    "timezone": "write tz='Europe/Madrid'",
    "time_zone": "write tz='Europe/Madrid'",
    "weekday": "write day_of_week='mon'",
    "dow": "write day_of_week='mon'",
    "start_date": "give the job start=",
    "end_date": "give the job end=",
    "start_time": "give the job start=",
    "end_time": "give the job end=",
    "jitter": "give the job jitter=",
    "months": "write calendar(months=…), which counts months of the calendar",
    "years": "write calendar(years=…), which counts years of the calendar",
    "month_of_year": "write month=",
    "day_of_month": "write day=",
}
"""Keyword arguments of triggers."""

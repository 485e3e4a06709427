"""Problems of the scheduler as a whole, which no worker notices because each does its own work.

They are reported by `health`, `status`, `examine` and the dashboard, and in the log.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row

from duly.errors import did_you_mean
from duly.model.finding import Finding
from duly.model.policy import JobOptions
from duly.model.worker import ProcessJobRecord, WorkerRecord
from duly.operations.core import Core
from duly.store import control, examination, notices, rows

log = logging.getLogger("duly")
PATIENCE = timedelta(seconds=10)
"""How long a job or a run may be overdue before that is a problem, for instance in a deployment."""

NOTICE_PATIENCE = timedelta(minutes=2)
"""How long a notice may be overdue, which it is not while its channel is only away."""

MANY_NOTICES = 1_000
_NEVER = datetime.min.replace(tzinfo=UTC)
SHOWN = 3
"""The maximum number of items that one finding names."""


def find(core: Core, conn: Connection) -> list[Finding]:
    """Return what is wrong with the scheduler as a whole, the gravest first."""
    now = core.store.time.now()
    living = worker_records(core, examination.live_workers(conn, now))
    workers = [worker for worker in living if not worker.draining]
    found: list[Finding] = []
    switch = control.stopped(conn)
    if switch is not None:
        found.append(_switched_off(switch))
    else:
        absent = "every worker is draining" if living else "no worker is alive"
        found += _not_fired(conn, workers, now, absent)
        found += _not_served(core, conn, workers, now, absent)
    found += _event_loop(core)
    found += _executors(core)
    found += _no_tasks(core)
    found += _failing_process_jobs(workers)
    found += _rivals(examination.rival_declarations(conn, {worker.app for worker in workers}))
    declared = [(wanted.id, wanted.options) for wanted in core.declared.values()]
    declared += [(wanted.id, wanted.options) for wanted in core.process_jobs.values()]
    found += _unsent_notices(conn, now)
    return [*found, *unsuitable_options(declared), *_pooled(core, conn)]


def report(core: Core) -> None:
    """Log each problem when it begins and when it is over; called periodically."""
    with core.store.read() as conn:
        found = find(core, conn)
    current = {_subject(finding): finding for finding in found}
    for subject, finding in current.items():
        if subject not in core.reported:
            log.warning("%s.", str(finding).rstrip("."))
    for subject in core.reported.keys() - current.keys():
        log.info("No longer true: %s.", core.reported[subject].text)
    core.reported = current


def worker_records(core: Core, found: Iterable[Row[Any]]) -> list[WorkerRecord]:
    """Return records of workers; that of this process reports its process jobs as of now."""
    own, process_jobs = core.worker.worker_id, core.worker.process_jobs
    records = [rows.worker_record(row) for row in found]
    return [
        record.replace(process_jobs=process_jobs.records()) if record.id == own else record
        for record in records
    ]


def unsuitable_options(options: Iterable[tuple[str, JobOptions]]) -> Iterator[Finding]:
    """Find jobs whose options keep them from ever running.

    Args:
        options: the id and the options of each job.
    """
    futile = [f"{job_id} ({job.futile})" for job_id, job in options if job.futile is not None]
    if futile:
        verb = "runs" if len(futile) == 1 else "run"
        text = f"{count(futile, 'job')} never {verb} as declared: {some(futile)}"
        yield Finding("options", "warning", text, "change these options of the jobs")


def count(items: Collection[object], noun: str) -> str:
    """Return a number of items in words."""
    return f"{len(items) or 'no'} {noun}{'' if len(items) == 1 else 's'}"


def some(names: Sequence[str]) -> str:
    """Return the first `SHOWN` names, and how many more there are."""
    more = f", and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _switched_off(switch: control.Stopped) -> Finding:
    text = f"the scheduler is switched off since {switch.at:%Y-%m-%d %H:%M} UTC"
    if switch.by:
        text += f", by {switch.by}"
    if switch.reason:
        text += f" ({switch.reason})"
    return Finding(
        "switch",
        "warning",
        f"{text}, so that no job fires and no run starts in any process, also after a restart",
        "scheduler.start_all() or the dashboard switches it on",
    )


def _not_fired(
    conn: Connection, workers: Sequence[WorkerRecord], now: datetime, absent: str
) -> Iterator[Finding]:
    if any(worker.fires for worker in workers):
        return
    overdue = examination.overdue_jobs(conn, now - PATIENCE)
    if not overdue:
        return
    are = f"{overdue} {'job is' if overdue == 1 else 'jobs are'} overdue and"
    advice = "start `duly run`, or an application that starts its scheduler"
    if not workers:
        yield Finding("firing", "warning", f"{are} {absent}", advice)
        return
    those = "the only worker does not fire" if len(workers) == 1 else ""
    text = those or f"none of {len(workers)} workers fires"
    yield Finding("firing", "problem", f"{are} {text}", advice)


def _not_served(
    core: Core, conn: Connection, workers: Sequence[WorkerRecord], now: datetime, absent: str
) -> Iterator[Finding]:
    served = {name for worker in workers for name in worker.queues}
    paused = {row.name for row in control.queues(conn).values() if row.paused_at is not None}
    for name in examination.ready_queues(conn):
        if name in served or name in paused:
            continue
        waiting = examination.waiting_runs(conn, name, now - PATIENCE)
        if not waiting:
            continue
        wait = "run waits" if waiting == 1 else "runs wait"
        if not workers:
            text = f"{waiting} {wait} in the queue {name!r}, and {absent}"
            advice = "start `duly run`, or an application that starts its scheduler"
            yield Finding("queues", "warning", text, advice)
            continue
        whom = "the only worker" if len(workers) == 1 else f"none of {len(workers)} workers"
        serves = "does not serve" if len(workers) == 1 else "serves"
        hint = did_you_mean(name, served | set(core.settings.queues)).removeprefix("; ")
        advice = f"start a worker that serves it: duly worker APP --queues {name}"
        if hint.startswith("did you mean"):
            advice = f"{hint} Otherwise {advice}"
        text = f"{waiting} {wait} in the queue {name!r}, which {whom} {serves}"
        yield Finding("queues", "problem", text, advice)


def _failing_process_jobs(workers: Sequence[WorkerRecord]) -> Iterator[Finding]:
    failing: dict[str, list[tuple[WorkerRecord, ProcessJobRecord]]] = {}
    having = Counter(job.id for worker in workers for job in worker.process_jobs)
    for worker in workers:
        for job in worker.process_jobs:
            if job.last_outcome == "failed":
                failing.setdefault(job.id, []).append((worker, job))
    for job_id, found in sorted(failing.items()):
        places = [f"{worker.host} {worker.pid}" for worker, _job in found]
        which = f"{len(found)} of {having[job_id]}" if having[job_id] > 1 else "its only"
        plural = "es" if having[job_id] > 1 else ""
        last = max((job for _, job in found), key=lambda job: job.last_at or _NEVER).redacted()
        yield Finding(
            "process jobs",
            "problem",
            f"job {job_id!r} fails in {which} process{plural} ({some(places)})",
            f"the last error is {last.error}; the log of the process has the traceback",
        )


def _event_loop(core: Core) -> Iterator[Finding]:
    trouble = core.worker.event_loop_trouble
    if trouble is not None:
        yield Finding(
            "event loop",
            "problem",
            trouble,
            "keep it running, and move what blocks it to a thread; or stop the scheduler, so that "
            "other processes execute these runs",
        )


def _executors(core: Core) -> Iterator[Finding]:
    for hand_off in core.worker.hand_offs:
        if hand_off.trouble is not None:
            yield Finding(
                "executors",
                "problem",
                f"the executor {hand_off.name!r} cannot be reached ({hand_off.trouble}), so that "
                "its runs wait",
                "they are handed over as soon as it can be reached; look at its broker",
            )


def _no_tasks(core: Core) -> Iterator[Finding]:
    if core.worker.alive and not core.registry.names():
        yield Finding(
            "tasks",
            "problem",
            "this worker knows no task, so that it executes nothing",
            "import the modules that declare the jobs where the scheduler is created or loaded",
        )


def _rivals(rivals: dict[str, list[str]]) -> Iterator[Finding]:
    if rivals:
        jobs = [
            f"{job_id} (by {' and by '.join(map(repr, sorted(apps)))})"
            for job_id, apps in rivals.items()
        ]
        yield Finding(
            "job ids",
            "problem",
            f"{count(jobs, 'job')} declared by several applications, which overwrite each other's "
            f"definition at each start: {some(jobs)}",
            "give the job another id= in one of them, or give each its own database",
        )


def _pooled(core: Core, conn: Connection) -> Iterator[Finding]:
    if not core.settings.pooler and core.store.dialect.is_pooled(conn):
        yield Finding(
            "pooler",
            "warning",
            "connections lead through a pooler, such as PgBouncer",
            "if it pools transactions, write Scheduler(…, pooler=True), with listen_url= for a "
            "direct connection; otherwise settings, prepared statements and notices get lost",
        )


def _unsent_notices(conn: Connection, now: datetime) -> Iterator[Finding]:
    dead = notices.count_dead(conn, MANY_NOTICES)
    if dead:
        them = "notice was" if dead == 1 else "notices were"
        yield Finding(
            "notices",
            "warning",
            f"{dead} {them} given up unsent",
            "look at scheduler.notices(state='dead') or `duly notify outbox`, and retry them",
        )
    waiting = notices.overdue(conn, now - NOTICE_PATIENCE)
    if waiting:
        total = sum(waiting.values())
        them = "notice waits" if total == 1 else "notices wait"
        yield Finding(
            "notices",
            "problem",
            f"{total} {them} for a process that can send them: {some(sorted(waiting))}",
            "start a worker whose code configures these channels; for addresses and URLs of stored "
            "rules, set DULY_SMTP_URL or DULY_WEBHOOK_SECRET where workers run",
        )


def _subject(finding: Finding) -> str:
    """Return what a problem is about, without the numbers that change while it lasts."""
    return f"{finding.check}: {re.sub(r'[0-9]+', '', finding.text)}"

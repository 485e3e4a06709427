"""Duly: a durable job scheduler for Python web applications.

Public names are imported on first use (PEP 562), so that ``import duly`` costs next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from duly.lazy_names import lazy_names

if TYPE_CHECKING:
    from duly.clock import Clock as Clock
    from duly.clock import SystemClock as SystemClock
    from duly.clock import VirtualClock as VirtualClock
    from duly.context import Run as Run
    from duly.errors import Discard as Discard
    from duly.errors import DulyError as DulyError
    from duly.errors import Fail as Fail
    from duly.errors import RetryAfter as RetryAfter
    from duly.errors import RunInterrupted as RunInterrupted
    from duly.errors import Snooze as Snooze
    from duly.model.actor import Actor as Actor
    from duly.model.backfill import Backfill as Backfill
    from duly.model.event import Event as Event
    from duly.model.finding import Finding as Finding
    from duly.model.job import JobDeclaration as JobDeclaration
    from duly.model.job import JobRecord as JobRecord
    from duly.model.key import CreatedKey as CreatedKey
    from duly.model.key import KeyRecord as KeyRecord
    from duly.model.page import Page as Page
    from duly.model.policy import CatchUp as CatchUp
    from duly.model.policy import JobDefaults as JobDefaults
    from duly.model.policy import Retry as Retry
    from duly.model.run import AttemptRecord as AttemptRecord
    from duly.model.run import LogLine as LogLine
    from duly.model.run import Progress as Progress
    from duly.model.run import RunRecord as RunRecord
    from duly.model.secrets import secret as secret
    from duly.model.step import Step as Step
    from duly.model.watch import Watch as Watch
    from duly.model.worker import Heartbeat as Heartbeat
    from duly.model.worker import ProcessJobRecord as ProcessJobRecord
    from duly.model.worker import WorkerRecord as WorkerRecord
    from duly.operations.attention import Attention as Attention
    from duly.operations.attention import Concern as Concern
    from duly.operations.bulk import BulkResult as BulkResult
    from duly.operations.dead_letters import DeadLetters as DeadLetters
    from duly.operations.filters import JobFilters as JobFilters
    from duly.operations.filters import RunFilters as RunFilters
    from duly.operations.groups import JobGroup as JobGroup
    from duly.operations.jobs.find import MissedRange as MissedRange
    from duly.operations.jobs.neighbours import JobLink as JobLink
    from duly.operations.jobs.neighbours import Neighbours as Neighbours
    from duly.operations.jobs.sync import SyncResult as SyncResult
    from duly.operations.measures import Counts as Counts
    from duly.operations.measures import Load as Load
    from duly.operations.measures import OutcomeCount as OutcomeCount
    from duly.operations.measures import QueueCounts as QueueCounts
    from duly.operations.outcomes import RunOutcome as RunOutcome
    from duly.operations.run_counts import BackfillProgress as BackfillProgress
    from duly.operations.run_counts import RunCounts as RunCounts
    from duly.operations.run_counts import UnfinishedRuns as UnfinishedRuns
    from duly.operations.status import Health as Health
    from duly.operations.status import QueueStatus as QueueStatus
    from duly.operations.status import Status as Status
    from duly.operations.task_function import TaskFunction as TaskFunction
    from duly.operations.throughput import Throughput as Throughput
    from duly.operations.throughput import ThroughputPeriod as ThroughputPeriod
    from duly.scheduler import Scheduler as Scheduler
    from duly.store.control import Stopped as Stopped
    from duly.store.host.engine import prepare_engine as prepare_engine
    from duly.store.limits import KeyLimit as KeyLimit
    from duly.triggers import Trigger as Trigger
    from duly.triggers import after as after
    from duly.triggers import all_of as all_of
    from duly.triggers import any_of as any_of
    from duly.triggers import at as at
    from duly.triggers import before as before
    from duly.triggers import blackout as blackout
    from duly.triggers import calendar as calendar
    from duly.triggers import closed_hours as closed_hours
    from duly.triggers import cron as cron
    from duly.triggers import dates as dates
    from duly.triggers import every as every
    from duly.triggers import explain as explain
    from duly.triggers import frequency as frequency
    from duly.triggers import holidays as holidays
    from duly.triggers import rrule as rrule
    from duly.triggers import weekends as weekends

_HOMES = {
    "Actor": "duly.model.actor",
    "AttemptRecord": "duly.model.run",
    "Attention": "duly.operations.attention",
    "Backfill": "duly.model.backfill",
    "BackfillProgress": "duly.operations.run_counts",
    "BulkResult": "duly.operations.bulk",
    "CatchUp": "duly.model.policy",
    "Clock": "duly.clock",
    "Concern": "duly.operations.attention",
    "Counts": "duly.operations.measures",
    "CreatedKey": "duly.model.key",
    "DeadLetters": "duly.operations.dead_letters",
    "Discard": "duly.errors",
    "DulyError": "duly.errors",
    "Event": "duly.model.event",
    "Fail": "duly.errors",
    "Finding": "duly.model.finding",
    "Health": "duly.operations.status",
    "Heartbeat": "duly.model.worker",
    "JobDeclaration": "duly.model.job",
    "JobDefaults": "duly.model.policy",
    "JobFilters": "duly.operations.filters",
    "JobGroup": "duly.operations.groups",
    "JobLink": "duly.operations.jobs.neighbours",
    "JobRecord": "duly.model.job",
    "KeyLimit": "duly.store.limits",
    "KeyRecord": "duly.model.key",
    "Load": "duly.operations.measures",
    "LogLine": "duly.model.run",
    "MissedRange": "duly.operations.jobs.find",
    "Neighbours": "duly.operations.jobs.neighbours",
    "OutcomeCount": "duly.operations.measures",
    "Page": "duly.model.page",
    "ProcessJobRecord": "duly.model.worker",
    "Progress": "duly.model.run",
    "QueueCounts": "duly.operations.measures",
    "QueueStatus": "duly.operations.status",
    "Retry": "duly.model.policy",
    "RetryAfter": "duly.errors",
    "Run": "duly.context",
    "RunCounts": "duly.operations.run_counts",
    "RunFilters": "duly.operations.filters",
    "RunInterrupted": "duly.errors",
    "RunOutcome": "duly.operations.outcomes",
    "RunRecord": "duly.model.run",
    "Scheduler": "duly.scheduler",
    "Snooze": "duly.errors",
    "Status": "duly.operations.status",
    "Step": "duly.model.step",
    "Stopped": "duly.store.control",
    "SyncResult": "duly.operations.jobs.sync",
    "SystemClock": "duly.clock",
    "TaskFunction": "duly.operations.task_function",
    "Throughput": "duly.operations.throughput",
    "ThroughputPeriod": "duly.operations.throughput",
    "Trigger": "duly.triggers",
    "UnfinishedRuns": "duly.operations.run_counts",
    "VirtualClock": "duly.clock",
    "Watch": "duly.model.watch",
    "WorkerRecord": "duly.model.worker",
    "after": "duly.triggers",
    "all_of": "duly.triggers",
    "any_of": "duly.triggers",
    "at": "duly.triggers",
    "before": "duly.triggers",
    "blackout": "duly.triggers",
    "calendar": "duly.triggers",
    "closed_hours": "duly.triggers",
    "cron": "duly.triggers",
    "dates": "duly.triggers",
    "every": "duly.triggers",
    "explain": "duly.triggers",
    "frequency": "duly.triggers",
    "holidays": "duly.triggers",
    "prepare_engine": "duly.store.host.engine",
    "rrule": "duly.triggers",
    "secret": "duly.model.secrets",
    "weekends": "duly.triggers",
}

__all__ = sorted(_HOMES)  # noqa: PLE0605 - the names are listed once, in _HOMES

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_names(__name__, _HOMES, __all__)

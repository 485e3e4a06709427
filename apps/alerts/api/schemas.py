"""The bodies of requests, and how alerts are shown."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from apps.alerts.frequencies import describe, schedule_of
from apps.alerts.models import Alert, Operator, Outcome
from apps.alerts.scheduling import job_id, next_run_time
from apps.alerts.services import Services
from duly import JobRecord
from duly.errors import TriggerError

Name = Annotated[str, Field(min_length=1, max_length=200)]
Address = Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$", max_length=254)]
Recipients = Annotated[list[Address], Field(max_length=50)]
MetricName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Lookback = Annotated[timedelta, Field(ge=timedelta(minutes=1), le=timedelta(days=366))]


class Body(BaseModel):
    """A body, which must not contain other fields."""

    model_config = ConfigDict(extra="forbid")


class TaskTemplate(Body):
    """The task that a triggered alert creates; ``$name``, ``$value`` and others are filled in."""

    title: Name
    body: Annotated[str, Field(max_length=5000)] = ""
    assignee: Address | None = None


class RetryPolicy(Body):
    """How often, and when, a run that failed for a transient reason is tried again."""

    attempts: int = Field(3, alias="max_attempts", ge=1, le=20)
    wait: float = Field(30, alias="base_seconds", ge=0, le=86_400)
    factor: float = Field(2, ge=1, le=10)
    max_wait: float = Field(900, alias="max_seconds", ge=0, le=86_400)
    jitter: float = Field(0.2, ge=0, le=1)


class NewAlert(Body):
    """An alert to create."""

    client_id: UUID
    name: Name
    frequency: dict[str, Any] | None = Field(
        default_factory=lambda: {"type": "daily", "time": "00:00"}
    )
    is_active: bool = True
    metric: MetricName
    operator: Operator = ">"
    threshold: Finite
    lookback: Lookback = timedelta(days=1)
    recipients: Recipients = []
    task_template: TaskTemplate | None = None
    retry: RetryPolicy | None = None


class AlertChange(Body):
    """The fields of an alert to change."""

    client_id: UUID = UUID(int=0)
    name: Name = ""
    frequency: dict[str, Any] | None = None
    is_active: bool = True
    metric: MetricName = ""
    operator: Operator = ">"
    threshold: Finite = 0
    lookback: Lookback = timedelta(days=1)
    recipients: Recipients = []
    task_template: TaskTemplate | None = None
    retry: RetryPolicy | None = None


class FrequencyBody(Body):
    """A frequency."""

    frequency: dict[str, Any]


class Parent(Body):
    """An alert to run after."""

    parent_id: UUID
    condition: Outcome = "on_success"
    delay_seconds: Annotated[int, Field(ge=0, le=86_400)] = 0


class Parents(Body):
    """All alerts to run after."""

    parents: Annotated[list[Parent], Field(max_length=20)]


async def show_alerts(services: Services, alerts: list[Alert]) -> list[dict[str, Any]]:
    """Return alerts as the API shows them, with the state of their jobs."""
    jobs: dict[str, JobRecord] = {}
    for start in range(0, len(alerts), 1000):
        ids = [job_id(alert.id) for alert in alerts[start : start + 1000]]
        found = await services.scheduler.aio.jobs(ids=ids, limit=1000)
        jobs |= {job.id: job for job in found}
    return [_show(services, alert, jobs.get(job_id(alert.id))) for alert in alerts]


def _show(services: Services, alert: Alert, job: JobRecord | None) -> dict[str, Any]:
    shown: dict[str, Any] = {"crontab": None, "timezone": None, "description": None, "warnings": []}
    if alert.frequency is not None:
        try:
            shown = describe(schedule_of(alert.frequency, services.settings))
        except TriggerError as error:
            shown["warnings"] = [str(error)]
    return {
        "id": alert.id,
        "client_id": alert.client_id,
        "name": alert.name,
        "frequency": alert.frequency,
        "is_active": alert.is_active,
        "metric": alert.metric,
        "operator": alert.operator,
        "threshold": alert.threshold,
        "lookback": alert.lookback,
        "recipients": alert.recipients,
        "task_template": alert.task_template,
        "retry": alert.retry,
        "schedule_version": alert.schedule_version,
        "created_at": alert.created_at,
        "updated_at": alert.updated_at,
        **shown,
        "scheduling": scheduling_of(alert, job),
    }


def scheduling_of(alert: Alert, job: JobRecord | None) -> dict[str, Any]:
    """Return whether an alert is scheduled, and when it runs next."""
    state, detail = "scheduled", None
    if not alert.is_active:
        state = "inactive"
    elif alert.problem is not None:
        state, detail = "error", alert.problem
    elif job is None or alert.scheduled_version != alert.schedule_version:
        state, detail = "pending", "Its job is being repaired, within a minute."
    elif job.state == "paused":
        detail = f"paused by {job.paused_by}"
    return {"state": state, "next_run_time": next_run_time(job), "detail": detail}

"""What a client sends to create, replace or change a job."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from duly.errors import ConfigurationError
from duly.model.job import MAX_ID
from duly.triggers import Trigger, decode, parse_trigger
from duly.triggers.codec import CANONICAL
from duly.triggers.dependency import Outcome
from duly.web.api.paging import BodyModel, Instant

Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Whole = Annotated[int, Field(ge=1)]
TriggerInput = Annotated[
    str | dict[str, Any],
    Field(
        description=(
            "When the job fires: a cron expression, an interval, a rule of RFC 5545, `at` and an "
            "instant, or the JSON form of a trigger."
        ),
        examples=[
            "0 9 * * mon-fri",
            "every 5 minutes",
            "FREQ=MONTHLY;BYDAY=-1FR;BYHOUR=9",
            "at 2026-12-24T18:00+01:00",
            {"kind": "cron", "expression": "0 9 * * 1-5", "tz": "Europe/Madrid"},
        ],
    ),
]
Zone = Annotated[
    str,
    Field(
        max_length=64,
        description="The IANA time zone of a trigger that is written as text.",
        examples=["Europe/Madrid"],
    ),
]
Tags = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=MAX_ID)]],
    Field(max_length=100, description="The labels by which the job can be found."),
]
Parents = Annotated[
    list[str],
    Field(
        min_length=1,
        max_length=100,
        description="Instead of a trigger, the ids of the jobs that it runs after.",
    ),
]
Arguments = Annotated[dict[str, Any], Field(description="The arguments of every run, by name.")]


class RetryBody(BodyModel):
    """When failed runs are tried again; waits are in seconds."""

    attempts: Annotated[int, Field(ge=1, le=1000)] = 3
    wait: Seconds = 30
    factor: Annotated[float, Field(ge=1, le=1e9)] = 2
    max_wait: Seconds = 900
    jitter: Annotated[float, Field(ge=0, le=1)] = 0.2


class CatchUpBody(BodyModel):
    """Which of the times run that passed while no worker could fire them."""

    mode: Literal["latest", "all", "none"] = "latest"
    limit: Annotated[int, Field(ge=1, le=10_000)] = 100
    max_age: Seconds | None = None


class WatchBody(BodyModel):
    """Rules for a job, each of which records an event when it is broken; in seconds."""

    expected_every: Seconds | None = None
    late_after: Seconds | None = None
    overrun_after: Seconds | None = None
    failing_after: Whole | None = None


class OptionsBody(BodyModel):
    """The options of a job, in seconds; ``keep`` is in days.

    Options that only apply to jobs in code are missing, and so is the address to ping: a server
    would request it on behalf of the sender.
    """

    queue: Annotated[str, Field(min_length=1, max_length=64)] = "default"
    priority: Annotated[int, Field(ge=-32768, le=32767)] = 0
    retry: RetryBody | Annotated[int, Field(ge=1, le=1000)] | None = None
    timeout: Seconds | None = None
    on_crash: Literal["retry", "fail"] = "retry"
    expires: Seconds | None = None
    keep: Seconds | None = None
    misfire_grace: Seconds | None = None
    catch_up: CatchUpBody | Literal["latest", "all", "none"] = "latest"
    overlap: Literal["skip", "queue", "allow", "cancel_running"] = "skip"
    max_running: Annotated[int, Field(ge=1, le=1000)] = 1
    jitter: Seconds = 0
    start: Instant | None = None
    end: Instant | None = None
    max_fires: Whole | None = None
    concurrency_key: Annotated[str, Field(min_length=1, max_length=MAX_ID)] | None = None
    watch: WatchBody | Seconds | None = None
    owner: Annotated[str, Field(min_length=1, max_length=MAX_ID)] | None = None


class JobChanges(BodyModel):
    """What to change of a job; a member that is not given keeps its value."""

    trigger: TriggerInput | None = None
    tz: Zone | None = None
    after: Parents | None = None
    on: Outcome | None = None
    args: Arguments | None = None
    tags: Tags | None = None
    options: OptionsBody = OptionsBody()

    def fields(self) -> dict[str, Any]:
        """Return the arguments of ``scheduler.add`` and ``scheduler.edit``."""
        given = {name: getattr(self, name) for name in ("after", "on", "args", "tags")}
        return {
            "trigger": read_trigger(self.trigger, self.tz),
            **{name: value for name, value in given.items() if value is not None},
            **self.options.model_dump(exclude_unset=True),
        }


class JobBody(JobChanges):
    """A job: its task, when it fires, its arguments and its options."""

    task: Annotated[
        str, Field(min_length=1, max_length=MAX_ID, description="The name of a registered task.")
    ]


class NewJob(JobBody):
    """A job to create."""

    id: Annotated[
        str | None,
        Field(min_length=1, max_length=MAX_ID, description="Default: a random id."),
    ] = None
    paused: Annotated[
        bool | Annotated[str, Field(min_length=1, max_length=200)],
        Field(description="Whether it is paused until it is resumed; a text is the reason."),
    ] = False


def read_trigger(given: str | dict[str, Any] | None, tz: str | None) -> Trigger | None:
    """Return the trigger that a client has sent as text or as JSON.

    Raises:
        TriggerError: it is not valid.
        ConfigurationError: a zone is given without a text that could need it.
    """
    if isinstance(given, str):
        return parse_trigger(given, tz=tz)
    if tz is not None:
        raise ConfigurationError(
            "tz is for a trigger that is written as text; in JSON it is a member of the trigger"
        )
    return None if given is None else decode(CANONICAL.encode(given))

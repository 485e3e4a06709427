"""Field types of the schemas, which convert stored values to what may be shown."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict

from duly.triggers import Trigger as DomainTrigger
from duly.web.redaction import redact, redact_text


class Schema(BaseModel):
    """Base class of the schemas of responses, which read the attributes of records."""

    model_config = ConfigDict(from_attributes=True, frozen=True)


SafeValue = Annotated[Any, BeforeValidator(redact)]
"""A JSON value in which values named like secrets are hidden."""

SafeArguments = Annotated[dict[str, Any], BeforeValidator(redact)]
"""A JSON object in which values named like secrets are hidden."""

SafeText = Annotated[str, BeforeValidator(redact_text)]
"""Text without control characters, in which values named like secrets are hidden."""


class Trigger(Schema):
    """A trigger: in English, as a crontab expression if there is one, and as it is stored."""

    kind: str
    text: str
    crontab: str | None
    tz: str | None
    definition: dict[str, Any]


def _trigger(value: object) -> object:
    if not isinstance(value, DomainTrigger):
        return value
    definition = value.to_json()
    return Trigger(
        kind=value.kind,
        text=value.describe(),
        crontab=value.crontab,
        tz=definition.get("tz"),
        definition=definition,
    )


TriggerField = Annotated[Trigger | None, BeforeValidator(_trigger)]


class Retry(Schema):
    """How failed runs are retried. Durations are in seconds."""

    attempts: int
    wait: float
    factor: float
    max_wait: float
    jitter: float


class CatchUpPolicy(Schema):
    """What happens to nominal times that passed while no worker could fire them."""

    mode: str
    limit: int
    max_age: float | None

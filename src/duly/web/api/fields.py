"""Types of fields: what is shown of a stored value."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict

from duly.triggers import Trigger as DomainTrigger
from duly.web.redaction import redact, redact_text


class Schema(BaseModel):
    """A part of an answer, read from a record's attributes."""

    model_config = ConfigDict(from_attributes=True, frozen=True)


SafeValue = Annotated[Any, BeforeValidator(redact)]
"""A JSON value; what goes by a secret's name is hidden."""

SafeArguments = Annotated[dict[str, Any], BeforeValidator(redact)]
"""A JSON object; what goes by a secret's name is hidden."""

SafeText = Annotated[str, BeforeValidator(redact_text)]
"""Text without control characters; what goes by a secret's name is hidden."""


class Trigger(Schema):
    """A trigger: in English, as crontab text where one exists, and as it is stored."""

    kind: str
    text: str
    crontab: str | None
    tz: str | None
    definition: dict[str, Any]


def _trigger(held: object) -> object:
    if not isinstance(held, DomainTrigger):
        return held
    definition = held.to_json()
    return Trigger(
        kind=held.kind,
        text=held.describe(),
        crontab=held.crontab,
        tz=definition.get("tz"),
        definition=definition,
    )


TriggerField = Annotated[Trigger | None, BeforeValidator(_trigger)]


class Retry(Schema):
    """How a failed run is tried again."""

    attempts: int
    wait: float
    factor: float
    max_wait: float
    jitter: float


class CatchUpPolicy(Schema):
    """What becomes of nominal times that passed while nobody could fire them."""

    mode: str
    limit: int
    max_age: float | None

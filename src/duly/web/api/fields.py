"""Types of fields: what is shown of a stored value."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict

from duly.triggers import Trigger as AnyTrigger
from duly.web.redaction import redact, redact_text


class Shape(BaseModel):
    """A part of an answer, read from a record's attributes."""

    model_config = ConfigDict(from_attributes=True, frozen=True)


SafeValue = Annotated[Any, BeforeValidator(redact)]
"""A JSON value; what goes by a secret's name is hidden."""

SafeArguments = Annotated[dict[str, Any], BeforeValidator(redact)]
"""A JSON object; what goes by a secret's name is hidden."""

SafeText = Annotated[str, BeforeValidator(redact_text)]
"""Text without control characters; what goes by a secret's name is hidden."""


class Trigger(Shape):
    """A trigger: in English, as crontab text where one exists, and as it is stored."""

    kind: str
    text: str
    crontab: str | None
    tz: str | None
    definition: dict[str, Any]


def _trigger(held: object) -> object:
    if not isinstance(held, AnyTrigger):
        return held
    definition = held.to_json()
    return Trigger(
        kind=held.kind,
        text=held.describe(),
        crontab=held.crontab,
        tz=definition.get("tz"),
        definition=definition,
    )


AnyTriggerShape = Annotated[Trigger | None, BeforeValidator(_trigger)]


class Retry(Shape):
    """How a failed run is tried again."""

    attempts: int
    wait: float
    factor: float
    max_wait: float
    jitter: float


class CatchUpPolicy(Shape):
    """What becomes of nominal times that passed while nobody could fire them."""

    mode: str
    limit: int
    max_age: float | None

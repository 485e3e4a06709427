"""What is wrong with a form, which then comes back with what the user typed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar

from pydantic import BaseModel, ValidationError

from duly.errors import DulyError
from duly.web.problems import Problem

B = TypeVar("B", bound=BaseModel)
REFUSED = (DulyError, ValidationError)
"""The errors by which a form may be refused."""


@dataclass(frozen=True, slots=True)
class Faults:
    """What is wrong with a form.

    Attributes:
        code: the HTTP status of the response.
        of: what is wrong with each field, by its name.
        general: what is wrong with the form as a whole; empty if only fields are wrong.
    """

    code: int = 200
    of: Mapping[str, str] = field(default_factory=dict)
    general: str = ""

    @classmethod
    def found(cls, error: Exception) -> Self:
        """Return the faults that an error tells.

        Raises:
            Exception: the error itself, if another input would not help.
        """
        if isinstance(error, ValidationError):
            fields, general = {}, []
            for fault in error.errors(include_url=False):
                name, *inside = fault["loc"] or ("",)
                detail = str(fault["msg"]).removeprefix("Value error, ")
                if fault["type"] == "missing":
                    detail = "This is required."
                if name:
                    fields[str(name)] = ": ".join([*map(str, inside), detail])
                else:
                    general.append(detail)
            return cls(422, fields, " ".join(general))
        problem = Problem.of(error)
        if problem.status not in (409, 422):
            raise error
        return cls(problem.status, {}, problem.detail)


def read_form(kind: type[B], fields: Mapping[str, Any]) -> B:
    """Return the body that a form stands for; empty fields are left out.

    Args:
        kind: the body of the REST API with the same fields.
        fields: what the user typed.

    Raises:
        ValidationError: a value is not valid.
    """
    given = {name: value for name, value in fields.items() if value not in ("", [], None)}
    return kind.model_validate(given, strict=False)


def listed(text: str) -> list[str]:
    """Return the items of a list that is separated by commas or line breaks."""
    parts = (part.strip() for part in text.replace("\n", ",").split(","))
    return [part for part in parts if part]

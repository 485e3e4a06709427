"""The schemas of responses that are not records."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from pydantic import AwareDatetime, BaseModel

Item = TypeVar("Item")


class Page(BaseModel, Generic[Item]):
    """A page of a list.

    Attributes:
        items: the items on this page.
        next: the value of ``after`` for the next page; ``None`` on the last page.
    """

    items: list[Item]
    next: str | None = None


class Alive(BaseModel):
    """Whether a process is alive, or ready."""

    ok: bool


class Task(BaseModel):
    """A registered task, with the JSON Schema of its arguments."""

    name: str
    doc: str
    is_async: bool
    arguments: dict[str, Any]


class NextFires(BaseModel):
    """The next nominal times of a job."""

    job_id: str
    fires: list[AwareDatetime]

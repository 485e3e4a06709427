"""Conditional requests: a change is refused if its sender has not seen what it changes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

from fastapi import Header
from starlette.exceptions import HTTPException

from duly.errors import DuplicateJob, JobNotFound, RevisionConflict

_ETAG = re.compile(r'"(\d{1,18})"')


IfMatch = Annotated[
    str | None,
    Header(
        description="The `ETag` of the job as read; if the job has changed, nothing is done.",
        examples=['"3"'],
    ),
]
"""The annotation of a handler's parameter ``if_match``; see `expected_revision`."""

IfNoneMatch = Annotated[
    str | None,
    Header(description="`*`: create the job, and change none that exists.", examples=["*"]),
]
"""The annotation of a handler's parameter ``if_none_match``; see `creates_only`."""


def expected_revision(if_match: str | None) -> int | None:
    """Return the revision that a sender has read; ``None``: any.

    Raises:
        HTTPException: 412, the header is not the ETag of any job.
    """
    if if_match is None or if_match == "*":
        return None
    match = _ETAG.fullmatch(if_match)
    if match is None:
        raise HTTPException(
            412,
            "If-Match is not the ETag of any job; read the job, and send its ETag, such as "
            '"3" with its quotation marks.',
        )
    return int(match[1])


def creates_only(if_none_match: str | None) -> bool:
    """Return whether a sender only wants to create what does not exist.

    Raises:
        HTTPException: 412, the header has another value than ``*``.
    """
    if if_none_match not in (None, "*"):
        raise HTTPException(412, "If-None-Match may only be *, which creates and changes nothing.")
    return if_none_match == "*"


@contextmanager
def precondition(required: bool) -> Iterator[None]:
    """Respond with 412 to errors that show that a precondition of a request was not met.

    Args:
        required: whether the request has a precondition.
    """
    try:
        yield
    except (RevisionConflict, DuplicateJob, JobNotFound) as error:
        if not required:
            raise
        raise HTTPException(412, f"{error}") from error

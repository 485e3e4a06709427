"""Conditional requests: a change is refused if its sender has not seen what it changes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

from fastapi import Depends, Header
from starlette.exceptions import HTTPException

from duly.errors import DuplicateJob, JobNotFound, RevisionConflict

_ETAG = re.compile(r'"(\d{1,18})"')


async def _revision(
    if_match: Annotated[
        str | None,
        Header(
            description=(
                "The `ETag` of the job as it was read; if the job has changed, nothing is done."
            ),
            examples=['"3"'],
        ),
    ] = None,
) -> int | None:
    if if_match is None or if_match == "*":
        return None
    match = _ETAG.fullmatch(if_match)
    if match is None:
        raise HTTPException(
            412,
            f"If-Match: {if_match!r} is not the ETag of any job; read the job, and send its ETag, "
            'such as "3" with its quotation marks.',
        )
    return int(match[1])


IfMatch = Annotated[int | None, Depends(_revision)]
"""The revision that a sender has read, from the header ``If-Match``; ``None``: any."""


async def _only_new(
    if_none_match: Annotated[
        str | None,
        Header(description="`*`: create the job, and change none that exists.", examples=["*"]),
    ] = None,
) -> bool:
    if if_none_match not in (None, "*"):
        raise HTTPException(412, "If-None-Match may only be *, which creates and changes nothing.")
    return if_none_match == "*"


OnlyNew = Annotated[bool, Depends(_only_new)]
"""Whether a sender wants to create what does not exist, from the header ``If-None-Match: *``."""


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

"""Owners: the only place that decides which jobs and runs a restricted principal may reach.

Each route has a scope. One that names none concerns all owners, so that a route cannot be forgotten
here: it refuses every principal that is restricted to some owners.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

from starlette.exceptions import HTTPException

from duly.errors import JobNotFound, NotFound, RunNotFound
from duly.model.identity import is_id
from duly.scheduler import Aio
from duly.web.access import Principal
from duly.web.paths import from_segment

Scope = Literal["item", "own", "shared", "all"]
"""What a route concerns: the job or run that its path names; what belongs to the sender's owners,
because the handler filters by `RequestContext.owners`; what has no owner; or everything."""


def scope_of(path: str) -> Scope:
    """Return the scope of a route that names none."""
    return "item" if "{job_id}" in path or "{run_id}" in path else "all"


async def refuse_foreign(
    principal: Principal, scope: Scope, parameters: Mapping[str, str], scheduler: Aio
) -> None:
    """Refuse a restricted principal what does not belong to its owners.

    A job or run of another owner is reported as one that does not exist: in the same words, and
    without naming similar ids, which may be another owner's.

    Args:
        principal: the sender of the request.
        scope: the scope of the route.
        parameters: the parameters of the path, as they were matched.
        scheduler: the scheduler.

    Raises:
        HTTPException: 403, the route concerns all owners.
        NotFound: the job or the run does not exist, or belongs to another owner.
    """
    if principal.owners is None:
        return
    if scope == "all":
        raise HTTPException(
            403,
            f"This concerns the jobs of all owners; {principal.name} may only reach those of "
            f"{_list(principal.owners)}.",
        )
    if "job_id" in parameters:
        job_id = from_segment(parameters["job_id"])
        if not await _owns(principal, scheduler.job, job_id):
            raise JobNotFound(job_id)
    if "run_id" in parameters:
        run_id = from_segment(parameters["run_id"])
        if not is_id(run_id) or not await _owns(principal, scheduler.run, run_id):
            raise RunNotFound(run_id)


async def refuse_foreign_body(principal: Principal, creates: bool, body: Any, own: Aio) -> None:
    """Refuse a body that gives a job to another owner, or lets it run after another owner's job.

    Args:
        principal: the sender of the request.
        creates: whether the request creates something, which must have an owner.
        body: the body as it was decoded.
        own: the scheduler.

    Raises:
        HTTPException: 403, ``owner`` is missing or not one of the principal's.
        JobNotFound: ``after`` names a job that does not exist, or belongs to another owner.
    """
    if principal.owners is None:
        return
    items = list(_items(body))
    named = [item["owner"] for item in items if "owner" in item]
    if not all(principal.owns(owner) for owner in named) or (creates and not named):
        raise HTTPException(
            403, f"owner must be given; it may be one of {_list(principal.owners)}."
        )
    for item in items:
        for job_id in [*_list_in(item, "after"), *_list_in(item, "parents")]:
            if not isinstance(job_id, str) or not await _owns(principal, own.job, job_id):
                raise JobNotFound(str(job_id))


def _items(body: Any) -> Iterator[Mapping[str, Any]]:
    """Return the objects of a body that may name an owner, at every depth but in arguments."""
    if isinstance(body, Mapping):
        yield body
        for name, value in body.items():
            if name != "args":
                yield from _items(value)
    elif isinstance(body, Sequence) and not isinstance(body, str):
        for item in body:
            yield from _items(item)


def _list_in(item: Mapping[str, Any], name: str) -> list[Any]:
    value = item.get(name)
    return value if isinstance(value, list) else []


async def _owns(principal: Principal, read: Callable[[str], Awaitable[Any]], name: str) -> bool:
    if not name.isprintable():
        return False
    try:
        return principal.owns((await read(name)).owner)
    except NotFound:
        return False


def _list(owners: Sequence[str]) -> str:
    return ", ".join(map(repr, owners)) or "no owner"

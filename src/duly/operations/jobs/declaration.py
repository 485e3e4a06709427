"""The declaration of a job in code, beside which manual edits take precedence."""

from __future__ import annotations

from duly.errors import ConfigurationError, PayloadError, TriggerError
from duly.model import payload
from duly.model.job import JobDeclaration
from duly.operations.core import Core
from duly.operations.definition import declared
from duly.store import jobs


def declaration(core: Core, job_id: str) -> JobDeclaration | None:
    """Return a job as code declares it; `reset` makes its declaration apply again.

    Args:
        job_id: the job's id.

    Returns:
        ``None`` if code has not declared the job, or if this version of Duly cannot read the
        declaration.

    Raises:
        JobNotFound: the job does not exist.
    """
    with core.store.read() as conn:
        row = jobs.find(conn, job_id)
        if row is None:
            raise jobs.not_found(conn, job_id)
    if row.declared is None:
        return None
    try:
        wanted = declared(row)
        args = payload.decode(wanted.args)
    except (ConfigurationError, PayloadError, TriggerError):
        return None
    return JobDeclaration(wanted.task, args, wanted.trigger, wanted.options, wanted.tags)

"""Replacing the set of jobs that have a tag by another set."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from duly.errors import ConfigurationError
from duly.model.actor import Actor
from duly.model.job import check_tags
from duly.model.record import Record, record
from duly.operations.core import Core
from duly.operations.jobs.add import define_all, store_jobs
from duly.operations.jobs.cursors import catch_up
from duly.operations.jobs.pause import remove_all
from duly.store import jobs as rows
from duly.store.host.session_types import HostSession
from duly.store.transaction import Transaction


@record
class SyncResult(Record):
    """What `sync` has done, as ids of jobs.

    Attributes:
        added: jobs that were not stored.
        changed: jobs that were stored with another definition.
        removed: jobs that are not wanted any more.
        unchanged: jobs that were stored as they are wanted; they keep their next fire.
    """

    added: list[str]
    changed: list[str]
    removed: list[str]
    unchanged: list[str]


def sync(
    core: Core,
    jobs: Iterable[Mapping[str, Any]],
    /,
    *,
    tag: str | Sequence[str],
    session: HostSession | None = None,
    actor: str | Actor | None = None,
) -> SyncResult:
    """Replace the jobs that have a tag by these: add, change and remove what differs.

    It happens in one transaction, so that no job is missing in between. Jobs that do not differ
    keep their next fire, and paused ones stay paused.

    Args:
        jobs: for each job, the arguments of `add` by name, with an ``id``.
        tag: the tag of the set, which is added to its jobs; or several tags, if the sets of
            several tags are replaced at once: then each job must have one of them.
        session: see `add`.
        actor: see `add`.

    Raises:
        ConfigurationError: a job has no id or none of the tags, two have the same id, or an item
            is not a job.
        JobInUse: a job without the tag runs after one that would be removed.
        DulyError: any error of `add`. Its message begins with the position and the id of the job.
    """
    sets = check_tags([tag] if isinstance(tag, str) else tag)
    wanted = define_all(core, [_tagged(index, item, sets) for index, item in enumerate(jobs)])
    kept = [job.id for job in wanted]

    def replace(tx: Transaction) -> SyncResult:
        stored = store_jobs(tx, wanted, app=core.settings.name, origin="api", replace=True)
        removed = sorted(rows.with_tags(tx.conn, sets) - set(kept))
        remove_all(tx, removed)
        touched = {*stored.added, *stored.changed}
        return SyncResult(
            added=sorted(stored.added),
            changed=sorted(stored.changed),
            removed=removed,
            unchanged=sorted(set(kept) - touched),
        )

    if session is None:
        catch_up(core, kept)
    return core.transact(replace, session=session, actor=actor)


def _tagged(index: int, item: Any, sets: Sequence[str]) -> Any:
    """Return a job with the tag of its set.

    Raises:
        ConfigurationError: it has no id, or none of several tags.
    """
    if not isinstance(item, Mapping):
        return item  # which is refused with its position
    if item.get("id") is None:
        raise ConfigurationError(
            f"jobs[{index}] has no id, so that it would be another job at each sync"
        )
    tags = check_tags(item.get("tags", ()))
    if len(sets) == 1:
        tags = check_tags([*tags, *sets])
    if not set(tags) & set(sets):
        raise ConfigurationError(
            f"jobs[{index}] ({item['id']!r}) has none of the tags {', '.join(sets)}"
        )
    return {**item, "tags": tags}

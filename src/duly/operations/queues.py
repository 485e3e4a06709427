"""Controls over all workers: queues and their limits, limits of keys, and the master switch."""

from __future__ import annotations

from duly.model.actor import Actor
from duly.model.checks import CENTURY_S, label, number, optional, whole
from duly.operations.core import Core
from duly.store import control
from duly.store import limits as limit_rows
from duly.store.host.session_types import HostSession
from duly.store.limits import KeyLimit
from duly.store.transaction import Transaction

MAX_LIMIT = 1_000_000
_queue = label(64)
_PERIOD = number(0.001, CENTURY_S, "0.001 seconds or more, at most a century")
_key = label(191)


def pause_queue(
    core: Core,
    name: str,
    *,
    reason: str | None = None,
    session: HostSession | None = None,
    actor: str | Actor | None = None,
) -> None:
    """Stop starting a queue's runs, in every worker; running ones continue.

    Args:
        name: the queue's name.
        reason: why, for the dashboard and the audit trail.
        session: see `add`.
        actor: who acts, for the audit trail.
    """
    queue = _queue("name", name)

    def store(tx: Transaction) -> None:
        why = tx.because(reason)
        control.pause_queue(tx, queue, why)
        tx.record("queue.paused", queue=queue, reason=why)

    core.transact(store, session=session, actor=actor)


def resume_queue(
    core: Core, name: str, *, session: HostSession | None = None, actor: str | Actor | None = None
) -> None:
    """Start a paused queue's runs again.

    Args:
        name: the queue's name.
        session: see `add`.
        actor: who acts, for the audit trail.
    """
    queue = _queue("name", name)

    def store(tx: Transaction) -> None:
        control.resume_queue(tx, queue)
        tx.record("queue.resumed", queue=queue)

    core.transact(store, session=session, actor=actor)


def set_queue(
    core: Core,
    name: str,
    *,
    max_running: int | None = None,
    rate: int | None = None,
    per: float = 60,
    session: HostSession | None = None,
    actor: str | Actor | None = None,
) -> None:
    """Set a queue's limits over all workers; a limit that is not given is removed.

    `status` shows them. A paused queue stays paused. Setting the same limits again, as an
    application does at each of its starts, changes nothing; a new rate keeps what was used of the
    former one.

    Args:
        name: the queue's name.
        max_running: the number of its runs that may run at once; default: no limit.
        rate: the number of its runs that may start in ``per`` seconds; default: no limit. Unused
            starts accumulate up to ``rate``, so that an idle queue may start that many at once.
        per: seconds, 0.001 or more; default: 60.
        session: see `add`.
        actor: who acts, for the audit trail.

    Raises:
        ConfigurationError: a value is out of range.
    """
    queue = _queue("name", name)
    limit = optional(whole(1, MAX_LIMIT))("max_running", max_running)
    starts, period = optional(whole(1, MAX_LIMIT))("rate", rate), float(_PERIOD("per", per))

    def store(tx: Transaction) -> None:
        changes = limit_rows.set_queue(tx, queue, max_running=limit, rate=starts, period=period)
        control.remove_unrestricted(tx, queue)
        if changes:
            interval = None if starts is None else period
            tx.record("queue.changed", queue=queue, max_running=limit, rate=starts, per=interval)

    core.transact(store, session=session, actor=actor)


def set_limit(
    core: Core,
    key: str,
    max_running: int,
    *,
    session: HostSession | None = None,
    actor: str | Actor | None = None,
) -> None:
    """Set the number of runs with a concurrency key that may run at once, over all workers.

    Without a limit, one runs at a time. A lower limit does not stop runs that have started.

    Args:
        key: 1 to 191 characters, as in ``concurrency_key=``.
        max_running: 1 or more; or 0, so that none may start.
        session: see `add`.
        actor: who acts, for the audit trail.

    Raises:
        ConfigurationError: a value is out of range.
    """
    name, limit = _key("key", key), whole(0, MAX_LIMIT)("max_running", max_running)

    def store(tx: Transaction) -> None:
        if limit_rows.set_key(tx, name, limit):
            tx.record("limit.changed", key=name, max_running=limit)

    core.transact(store, session=session, actor=actor)


def remove_limit(
    core: Core, key: str, *, session: HostSession | None = None, actor: str | Actor | None = None
) -> bool:
    """Remove the limit of a concurrency key, so that its runs run one at a time again.

    Args:
        key: 1 to 191 characters.
        session: see `add`.
        actor: who acts, for the audit trail.

    Returns:
        Whether a limit was set.
    """
    name = _key("key", key)

    def store(tx: Transaction) -> bool:
        was_set = limit_rows.unset_key(tx, name)
        if was_set:
            tx.record("limit.removed", key=name)
        return was_set

    return core.transact(store, session=session, actor=actor)


def limits(core: Core) -> list[KeyLimit]:
    """Return the limits of concurrency keys, by key, each with the number of its running runs."""
    with core.store.read() as conn:
        return limit_rows.all_keys(conn)


def stop_all(
    core: Core,
    *,
    reason: str = "",
    session: HostSession | None = None,
    actor: str | Actor | None = None,
) -> None:
    """Switch the scheduler off in every worker: nothing fires, and no run starts.

    Args:
        reason: why, for the dashboard and the audit trail.
        session: see `add`.
        actor: who acts, for the audit trail.
    """

    def store(tx: Transaction) -> None:
        why = tx.because(reason) or ""
        control.stop(tx, why)
        tx.record("scheduler.stopped", reason=why)

    core.transact(store, session=session, actor=actor)


def start_all(
    core: Core, *, session: HostSession | None = None, actor: str | Actor | None = None
) -> None:
    """Switch the scheduler on again; catch-up policies decide what fell due meanwhile.

    Args:
        session: see `add`.
        actor: who acts, for the audit trail.
    """

    def store(tx: Transaction) -> None:
        control.start(tx)
        tx.record("scheduler.started")

    core.transact(store, session=session, actor=actor)

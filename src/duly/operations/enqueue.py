"""Enqueueing: storing calls of tasks, which run as soon as a worker has a free slot."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import (
    Any,
    Generic,
    ParamSpec,
    TypeVar,
    Unpack,
    get_args,
    overload,
)

from duly.decisions.apply import ClaimOnInsert
from duly.errors import ArgumentsError, ConfigurationError, DulyError, StateError
from duly.model.actor import Actor
from duly.model.checks import SECONDS, instant, label
from duly.model.job import MAX_ID
from duly.model.policy import JobOptions
from duly.operations.core import Core
from duly.operations.inputs import with_position
from duly.operations.task_function import (
    Args,
    CallOptions,
    Delay,
    RetryOption,
    TaskFunction,
    Unique,
)
from duly.registry import AnyTask, Task
from duly.store import runs
from duly.store.host.session_types import HostSession
from duly.store.transaction import Transaction
from duly.store.transitions import Origin, new_run
from duly.tracing import sending
from duly.worker.claims.claim import Claim
from duly.worker.in_flight import Reservation

Q = ParamSpec("Q")
R = TypeVar("R")
S = TypeVar("S")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Call:
    """What one or many calls of a task have in common.

    Attributes:
        at: the instant before which they may not start; ``None``: they may start at once.
        delay: or the time that must pass before they may start.
        unique: how long runs hold their unique keys.
        traceparent: the trace context of the span in which the calls are made.
    """

    task: Task
    options: JobOptions
    at: datetime | None = None
    delay: timedelta | None = None
    unique: Unique = "until_start"
    traceparent: str | None = None

    @property
    def is_free(self) -> bool:
        """Whether a call may start at once: it has neither a time nor a concurrency key."""
        return self.at is None and self.delay is None and self.options.concurrency_key is None

    def due(self, now: datetime) -> datetime:
        """Return when a call that is stored now may start."""
        return max(now if self.at is None else self.at, now) + (self.delay or timedelta())


class Enqueue(Generic[S]):
    """The method `enqueue`: the blocking form of `Scheduler`, and the awaitable form of `Aio`.

    ``S`` is the type that it returns: the run's id, or a coroutine that returns the id. All other
    methods are listed in the tables of these classes; pyright would lose the overloads of this one.
    """

    def _perform(
        self, operation: Callable[[Core, HostSession | None], str], session: HostSession | None
    ) -> S:
        """Call an operation on the core, with the caller's session."""
        raise NotImplementedError

    # A call without options is checked against the task's own parameters. Python's type system
    # cannot add keywords to those, so in a call with options only the options are checked: there
    # is an overload for each option that may be the only one.
    @overload
    def enqueue(
        self, task: TaskFunction[..., Q, Any], /, *args: Q.args, **arguments: Q.kwargs
    ) -> S: ...
    @overload
    def enqueue(self, task: Callable[Q, Any], /, *args: Q.args, **arguments: Q.kwargs) -> S: ...
    @overload
    def enqueue(self, task: AnyTask, /, *, args: Args, **options: Unpack[CallOptions]) -> S: ...
    @overload
    def enqueue(self, task: str, /, *positional: Any, **options_and_arguments: Any) -> S: ...
    @overload
    def enqueue(
        self, task: AnyTask, /, *positional: Any, delay: Delay | None, **more: Any
    ) -> S: ...
    @overload
    def enqueue(
        self, task: AnyTask, /, *positional: Any, at: datetime | None, **more: Any
    ) -> S: ...
    @overload
    def enqueue(
        self, task: AnyTask, /, *positional: Any, priority: int | None, **more: Any
    ) -> S: ...
    @overload
    def enqueue(self, task: AnyTask, /, *positional: Any, queue: str | None, **more: Any) -> S: ...
    @overload
    def enqueue(
        self, task: AnyTask, /, *positional: Any, concurrency_key: str | None, **more: Any
    ) -> S: ...
    @overload
    def enqueue(
        self,
        task: AnyTask,
        /,
        *positional: Any,
        unique_key: str | None,
        unique: Unique = ...,
        **more: Any,
    ) -> S: ...
    @overload
    def enqueue(
        self, task: AnyTask, /, *positional: Any, session: HostSession | None, **more: Any
    ) -> S: ...
    @overload
    def enqueue(
        self, task: AnyTask, /, *positional: Any, expires: Delay | None, **more: Any
    ) -> S: ...
    @overload
    def enqueue(self, task: AnyTask, /, *positional: Any, retry: RetryOption, **more: Any) -> S: ...
    @overload
    def enqueue(
        self, task: AnyTask, /, *positional: Any, timeout: Delay | None, **more: Any
    ) -> S: ...
    @overload
    def enqueue(
        self, task: AnyTask, /, *positional: Any, actor: str | Actor | None, **more: Any
    ) -> S: ...
    @overload
    def enqueue(self, task: AnyTask, /, *positional: Any, owner: str | None, **more: Any) -> S: ...
    def enqueue(  # type: ignore[misc]
        self,
        task: AnyTask,
        /,
        *positional: Any,
        args: Args | None = None,
        delay: Delay | None = None,
        at: datetime | None = None,
        priority: int | None = None,
        queue: str | None = None,
        concurrency_key: str | None = None,
        expires: Delay | None = None,
        retry: RetryOption = None,
        timeout: Delay | None = None,
        owner: str | None = None,
        unique_key: str | None = None,
        unique: Unique = "until_start",
        session: HostSession | None = None,
        actor: str | Actor | None = None,
        **arguments: Any,
    ) -> S:
        """Enqueue one call of a task, durably; it runs as soon as a worker has a free slot.

        Args:
            task: a registered function or its name.
            positional: its positional arguments.
            args: or all its arguments by name. This form is required for a task with a parameter
                that has the name of an option here.
            delay: seconds (or a timedelta) before it may start.
            at: or the aware datetime before which it may not start.
            priority: smaller numbers start first; default: the task's.
            queue: the queue of its run; default: the task's.
            concurrency_key: runs with the same key run one at a time, or as many at once as
                `set_limit` allows; default: the task's.
            expires: seconds that it may wait for its first start, from the instant at which it may
                start; then it is ``missed``. Default: the task's, as for the next two.
            retry: a `Retry`, or the number of attempts; 1: it is not retried.
            timeout: the maximum duration of an attempt, in seconds.
            owner: whom its run belongs to; see `JobOptions`.
            unique_key: 1 to 191 characters. While a run holds this key, no second one is created,
                and the id of the first is returned.
            unique: how long the run holds its key: ``until_start``, or ``until_done``; a run that
                is retried manually holds such a key again.
            session: see `add`.
            actor: see `add`.
            arguments: its keyword arguments.

        Returns:
            The run's id.

        Raises:
            UnknownTask: the function is not registered.
            ArgumentsError: the arguments do not match the function's signature.
            ConfigurationError: both ``args`` and other arguments are given, both ``delay`` and
                ``at`` are given, or an option is out of range.
            NaiveDatetimeError: ``at`` has no time zone.
        """

        def operation(core: Core, session: HostSession | None) -> str:
            registered = core.registry.find(task)
            chosen = {
                "priority": priority, "queue": queue, "concurrency_key": concurrency_key,
                "expires": expires, "retry": retry, "timeout": timeout, "owner": owner,
            }  # fmt: skip
            call = _call(
                registered, core.settings.defaults, chosen, delay=delay, at=at, unique=unique
            )
            if args is None:
                others = {"delay": delay, "at": at, "unique_key": unique_key, "actor": actor}
                _refuse_ambiguous(registered, {**chosen, **others})
            encoded = _encode(registered, positional, args, arguments)
            keys = None if unique_key is None else [_checked_key(unique_key)]
            with sending("enqueue", task=registered.name) as span:
                traced = replace(call, traceparent=span.traceparent) if span.traceparent else call
                run_id = _enqueue(core, traced, encoded, keys, session=session, actor=actor)
                span.sent([run_id], call.options.queue)
            return run_id

        return self._perform(operation, session)


class AwaitableEnqueue(Enqueue[Coroutine[Any, Any, str]]):
    """The form of `Enqueue` that coroutines await."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def _hop(self, work: Callable[[Any], R], session: Any) -> R:
        """Call ``work`` in a thread, or through the ``run_sync`` of an asyncio session."""
        if not hasattr(session, "run_sync"):
            return await self._core.call_threads.call(work, session)
        store = self._core.store
        prepare = store.prepare_beside if session.in_transaction() else store.prepare
        await self._core.call_threads.call(prepare)
        result: R = await session.run_sync(work)
        return result

    async def _perform(
        self, operation: Callable[[Core, HostSession | None], str], session: HostSession | None
    ) -> str:
        return await self._hop(lambda joined: operation(self._core, joined), session)


class DirectEnqueue(Enqueue[str]):
    """The form of `Enqueue` that blocks the caller until the run is stored."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def _perform(
        self, operation: Callable[[Core, HostSession | None], str], session: HostSession | None
    ) -> str:
        return operation(self._core, session)


def enqueue_many(
    core: Core,
    task: AnyTask,
    calls: Iterable[Args],
    /,
    *,
    delay: Delay | None = None,
    at: datetime | None = None,
    priority: int | None = None,
    queue: str | None = None,
    concurrency_key: str | None = None,
    expires: Delay | None = None,
    retry: RetryOption = None,
    timeout: Delay | None = None,
    owner: str | None = None,
    unique_keys: Iterable[str | None] | None = None,
    unique: Unique = "until_start",
    session: HostSession | None = None,
    actor: str | Actor | None = None,
) -> list[str]:
    """Enqueue many calls of a task in one transaction: all of them, or none.

    On SQLite all other writers wait for it; a few thousand calls at a time are reasonable.

    Args:
        task: a registered function or its name.
        calls: for each call, its arguments by name: ``[{"user": 7}, {"user": 8}]``.
        delay: see `enqueue`; this and the next eight options apply to all calls.
        at: see `enqueue`.
        priority: see `enqueue`.
        queue: see `enqueue`.
        concurrency_key: see `enqueue`.
        expires: see `enqueue`.
        retry: see `enqueue`.
        timeout: see `enqueue`.
        owner: see `enqueue`.
        unique_keys: for each call, its unique key, or ``None`` if it has none. If an earlier run or
            an earlier call holds the key, the id of that run is returned.
        unique: how long the runs hold their keys: ``until_start`` or ``until_done``.
        session: see `add`.
        actor: see `add`.

    Returns:
        The runs' ids in the given order.

    Raises:
        UnknownTask: the function is not registered.
        ArgumentsError: arguments do not match the function's signature; the message begins with the
            position of the call: ``calls[3]: …``.
        ConfigurationError: both ``delay`` and ``at`` are given, an option is out of range, or the
            numbers of unique keys and calls differ.
        NaiveDatetimeError: ``at`` has no time zone.
    """
    registered = core.registry.find(task)
    chosen = {
        "priority": priority, "queue": queue, "concurrency_key": concurrency_key,
        "expires": expires, "retry": retry, "timeout": timeout, "owner": owner,
    }  # fmt: skip
    call = _call(registered, core.settings.defaults, chosen, delay=delay, at=at, unique=unique)
    args = _check_each(calls, registered.signature.encode, "calls")
    keys = None if unique_keys is None else _checked_keys(unique_keys, len(args))
    with sending("enqueue", task=registered.name) as span:
        traced = replace(call, traceparent=span.traceparent)
        ids = core.transact(
            lambda tx: insert_calls(tx, traced, args, keys), session=session, actor=actor
        )
        span.sent(ids, call.options.queue)
    return ids


def insert_calls(
    tx: Transaction,
    call: Call,
    args: Sequence[str],
    keys: Sequence[str | None] | None = None,
    claim_on_insert: ClaimOnInsert | None = None,
) -> list[str]:
    """Insert the runs of calls that differ in their arguments; return their ids in order.

    Args:
        tx: the transaction.
        call: what the calls have in common.
        args: for each call, its validated arguments as JSON text.
        keys: for each call, its unique key, if it has one; if another run holds that key, the id of
            that run is returned. ``None``: no call has one.
        claim_on_insert: called with the rows of calls without keys before they are inserted.
    """
    common = new_run(
        "", Origin("enqueue", tx.actor, traceparent=call.traceparent), task=call.task.name,
        args="", options=call.options, now=tx.now, due_at=call.due(tx.now),
    )  # fmt: skip
    ids = tx.run_ids(len(args))
    rows = [{**common, "id": run_id, "args": text} for run_id, text in zip(ids, args, strict=True)]
    if keys is None:
        if claim_on_insert is not None and common["state"] == "ready":
            claim_on_insert(rows)
        runs.add(tx, rows)
        return ids
    for row, key in zip(rows, keys, strict=True):
        if key is not None:
            row["unique_key"], row["unique_scope"] = key, call.unique
        row["retaken_key"] = key
    holders = _insert_unique(tx, rows)
    return [run_id if key is None else holders[key] for run_id, key in zip(ids, keys, strict=True)]


def _enqueue(
    core: Core,
    call: Call,
    args: str,
    keys: Sequence[str | None] | None,
    *,
    session: HostSession | None,
    actor: str | Actor | None,
) -> str:
    if session is None and keys is None:
        return _enqueue_plain(core, call, args, actor)
    ids = core.transact(
        lambda tx: insert_calls(tx, call, [args], keys), session=session, actor=actor,
        single=keys is None,
    )  # fmt: skip
    return ids[0]


def _enqueue_plain(core: Core, call: Call, args: str, actor: str | Actor | None) -> str:
    """Insert one call with a single statement, or claim it too if this process has a free slot."""
    if call.is_free:
        with core.worker.reserved_slot(call.options.queue) as reservation:
            if reservation is not None:
                return _enqueue_here(core, call, args, actor, reservation)
    return core.transact(lambda tx: insert_calls(tx, call, [args])[0], actor=actor, single=True)


def _enqueue_here(
    core: Core, call: Call, args: str, actor: str | Actor | None, reservation: Reservation
) -> str:
    """Insert a call and start it in this process, unless older or more urgent work waits."""
    core.refuse_deadlock()
    worker = core.worker
    with worker.pending_start() as pending:

        def store(tx: Transaction) -> tuple[str, Sequence[Claim]]:
            claimer = worker.claim_on_insert(tx, reservation)
            (run_id,) = insert_calls(tx, call, [args], claim_on_insert=claimer)
            claims = claimer.take_claims() if claimer is not None else []
            pending.update((claim.id, claim.claim_id) for claim in claims)
            return run_id, claims

        run_id, claims = core.store.run(store, actor)
        started = worker.start_claims(claims, reservation)
    if not started:
        core.wake()
    return run_id


def _insert_unique(tx: Transaction, rows: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Insert the runs whose keys are free; return the id of the run that holds each key.

    Keys are inserted in sorted order, so that two such transactions cannot deadlock.
    """
    runs.add(tx, [row for row in rows if row["unique_key"] is None])
    keyed = {row["unique_key"]: row for row in reversed(rows) if row["unique_key"] is not None}
    pending, holders = sorted(keyed), dict[str, str]()
    for _attempt in range(3):
        runs.add(tx, [keyed[key] for key in pending])
        holders |= runs.holders_of_keys(tx.conn, pending)
        pending = [key for key in pending if key not in holders]
        if not pending:
            return holders
    raise StateError(
        f"unique_key {pending[0]!r} was taken and released by other transactions three times in a "
        "row; enqueue the call again"
    )


def _call(
    task: Task,
    defaults: JobOptions,
    chosen: Mapping[str, Any],
    *,
    delay: Delay | None,
    at: datetime | None,
    unique: Unique,
) -> Call:
    if delay is not None and at is not None:
        raise ConfigurationError("give either delay= or at=, not both")
    if unique not in get_args(Unique):
        raise ConfigurationError(f"unique={unique!r}; it must be one of {get_args(Unique)}")
    options = task.options_over(defaults, {k: v for k, v in chosen.items() if v is not None})
    moment = None if at is None else instant("at", at)
    wait = None if delay is None else timedelta(seconds=SECONDS("delay", delay))
    return Call(task, options, moment, wait, unique)


def _refuse_ambiguous(task: Task, options: Mapping[str, Any]) -> None:
    """Refuse an option that the task also has a parameter for: it is not clear which is meant.

    Raises:
        ConfigurationError: there is one.
    """
    names = task.signature.names
    for name, value in options.items():
        if value is not None and name in names:
            raise ConfigurationError(
                f"{name}= is an option of enqueue and a parameter of task {task.name!r}; pass all "
                f"the arguments as args={{{name!r}: …}}"
            )


def _encode(task: Task, positional: Sequence[Any], args: Args | None, arguments: Args) -> str:
    if args is not None and (positional or arguments):
        raise ConfigurationError("give the arguments either as args={…} or one by one")
    if positional:
        arguments = task.signature.by_name(positional, arguments)
    try:
        return task.signature.encode(arguments if args is None else args)
    except ArgumentsError as error:
        if len(positional) == 1 and isinstance(positional[0], Mapping | tuple | list):
            raise ArgumentsError(f"{error}; give names and values as args={{…}}") from None
        option = None if args is not None else _misspelt_option(task, arguments)
        if option is not None and "did you mean" not in str(error):
            raise ArgumentsError(f"{error}; did you mean the option {option!r}?") from None
        raise


def _misspelt_option(task: Task, arguments: Args) -> str | None:
    """Return the option of a call that is close to the name of an unknown argument."""
    import difflib  # noqa: PLC0415 - only errors need it

    for name in arguments:
        if name not in task.signature.names:
            near = difflib.get_close_matches(name, CallOptions.__annotations__, n=1)
            if near:
                return near[0]
    return None


def _checked_key(unique_key: str | None) -> str | None:
    return None if unique_key is None else label(MAX_ID)("unique_key", unique_key)


def _checked_keys(unique_keys: Iterable[str | None], count: int) -> list[str | None]:
    keys = _check_each(unique_keys, _checked_key, "unique_keys")
    if len(keys) != count:
        raise ConfigurationError(f"{len(keys)} unique_keys for {count} calls; give one for each")
    return keys


def _check_each(values: Iterable[T], check: Callable[[T], R], name: str) -> list[R]:
    """Check each value; the message of an error begins with the position of the value."""
    checked = []
    for index, value in enumerate(values):
        try:
            checked.append(check(value))
        except DulyError as error:
            raise with_position(error, f"{name}[{index}]")  # noqa: B904 - it is the same error
    return checked

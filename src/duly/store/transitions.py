"""The only module that writes the state of a run: new rows, claims, and every later transition.

`duly.model.transition` defines what each transition changes; this module writes it. The statements
of `apply` and `succeed_all` repeat the state and the token with which the run was read, so that a
run that has changed meanwhile is not overwritten; the other statements repeat the state.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Double,
    and_,
    bindparam,
    case,
    cast,
    extract,
    func,
    insert,
    literal,
    literal_column,
    null,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from duly.errors import StateError
from duly.model.lateness import BOUNDS, NEVER, bucket_of
from duly.model.policy import JobOptions
from duly.model.run import TERMINAL, Cause
from duly.model.transition import SUCCESS, RunSnapshot, Transition, cancel
from duly.store.sql.columns import Id, Instant
from duly.store.sql.long_lists import among
from duly.store.tables import FAILING, attempt, job, outcome_count, run
from duly.store.transaction import ROUTINE, Transaction

MAX_EVENT_MESSAGE = 500
"""Characters of an error's message that an event carries."""


# ------------------------------------------------------------------------------ transitions


class Change(NamedTuple):
    """A transition of one run.

    Attributes:
        run: the run as it was read.
        transition: its next state, and the columns that change with it.
        also: further columns to change.
        detail: further details of the event.
    """

    run: RunSnapshot
    transition: Transition
    also: Mapping[str, Any] = {}
    detail: Mapping[str, Any] = {}


def apply(tx: Transaction, changes: Sequence[Change]) -> None:
    """Write transitions: the runs' rows, their unsuccessful attempts, and the events.

    A run that is given back before its function was called takes its unique key again. If another
    run has taken that meanwhile, the one that is given back is cancelled, with a reason that names
    the other: as the key promises, one unstarted run of it is left, and it will be executed.

    Call it only for runs whose state and token are current. If a running run has changed since it
    was read, its row is not overwritten, but its attempt and event are written and no error is
    raised.

    Args:
        tx: a transaction that has locked the runs, by `runs.lock` or `completions.check_fences`.
        changes: one for each run. Those of runs that no worker executes share a statement where
            they write the same values.

    Raises:
        StateError: the transition is not allowed from a run's state, or a run that was read in
            another state than ``running`` has changed since.
    """
    others, retaking = list[Change](), list[Change]()
    for change in changes:
        (retaking if change.transition.retakes_key(change.run) else others).append(change)
    _apply(tx, others)
    for change in retaking:
        _apply_retaking(tx, change)


def _apply_retaking(tx: Transaction, change: Change) -> None:
    """Give back a run whose claim released its unique key: it takes the key again, or ends."""
    key = change.run.retaken_key or ""
    try:
        with tx.conn.begin_nested():
            _apply(tx, [change])
    except IntegrityError:
        holder = tx.conn.execute(select(run.c.id).where(run.c.unique_key == key)).scalar()
        by = f"run {holder}" if holder else "another transaction"
        reason = f"{by} took its unique key {key!r} before it could start, and replaces it"
        ended = replace(cancel(reason), unstarted=True, release=change.transition.release)
        _apply(tx, [change._replace(transition=ended)])


def _apply(tx: Transaction, changes: Sequence[Change]) -> None:
    running: dict[tuple[bool, tuple[str, ...]], list[dict[str, Any]]] = {}
    waiting: dict[tuple[Any, ...], list[str]] = {}
    for change in changes:
        before = change.run
        values = change.transition.columns(before, tx.now)
        values.update(change.also)
        if before.state == "running":
            batch = running.setdefault((before.claim_id is not None, tuple(values)), [])
            values["seen_id"], values["seen_token"] = before.id, before.token
            if before.claim_id is not None:
                values["seen_claim"] = before.claim_id
            batch.append(values)
        else:
            batch_key = (before.state, before.token, *values.items())
            waiting.setdefault(batch_key, []).append(before.id)
    for (claimed, _names), rows in running.items():
        tx.conn.execute(_OF_CLAIM if claimed else _OF_TOKEN, rows)
    for (state, token, *items), ids in waiting.items():
        _move_alike(tx, ids, state, token, dict(items))
    tx.insert_new(
        attempt, [_attempt(change, tx.now) for change in changes if change.transition.error]
    )
    for change in changes:
        if change.transition.to in TERMINAL:
            _count(tx, change)
        record(tx, change)


def _count(tx: Transaction, change: Change) -> None:
    """Count a run that ends. One that ends again, or before an attempt starts, is not late."""
    before, transition = change.run, change.transition
    executed = before.state == "running" and not transition.unstarted
    lateness = bucket_of(before.due_at, before.started_at) if executed else NEVER
    tx.count_outcome(before.task, before.queue, transition.to, lateness=lateness)


def record(tx: Transaction, change: Change) -> None:
    """Record the event of a transition; a routine one only if it has a listener."""
    before, transition, _also, detail = change
    ping = before.policy.ping if transition.to == "succeeded" else None
    if transition.event in ROUTINE and not ping and not tx.has_listener(transition.event):
        return
    detail = dict(detail)
    if transition.error:
        kind, message, _traceback = transition.error
        detail |= {"error": kind, "message": message[:MAX_EVENT_MESSAGE]}
    if transition.reason and transition.reason != detail.get("message"):
        detail["reason"] = transition.reason
    if ping:
        detail["ping"] = ping
    by_worker = before.state == "running" and transition.release in ("reported", "abandoned")
    tx.record(
        transition.event, job_id=before.job_id, run_id=before.id,
        worker_id=before.worker_id if by_worker else None, **detail,
    )  # fmt: skip


def promote(tx: Transaction, run_ids: Sequence[str]) -> None:
    """Make scheduled runs ready, because they are due."""
    if run_ids:
        tx.conn.execute(_promote(tx.dialect.name), {"ids": run_ids})


def give_slots(tx: Transaction, run_ids: Sequence[str]) -> None:
    """End the wait of runs for a slot of their job: ready if they are due, otherwise scheduled."""
    if run_ids:
        tx.conn.execute(_give_slots(tx.dialect.name), {"ids": run_ids, "now": tx.now})


def end_occupations(tx: Transaction, worker_id: str) -> None:
    """Free the slots that functions of a worker occupy which is dead, or signs off.

    The runs among them that are due become ready.
    """
    tx.conn.execute(_END_OCCUPATIONS, {"of_worker": worker_id, "now": tx.now})


class Executed(NamedTuple):
    """What is counted of a run that has been executed, beside its outcome."""

    task: str
    queue: str
    due_at: datetime
    started_at: datetime


def succeed_all(
    tx: Transaction,
    members: Mapping[str, Executed],
    *,
    claim_id: str,
    token: int,
    keep_until: datetime,
) -> set[str]:
    """End successful runs of one claim that have nothing to report, in one statement.

    Args:
        tx: the transaction.
        members: what is counted of each of these runs, by id.
        claim_id: their claim.
        token: their token.
        keep_until: until when they are kept.

    Returns:
        The ids of the runs that have ended. The others are unchanged: their claims are no longer
        valid, or their jobs have consecutive failures, which a success has to reset.
    """
    parameters: dict[str, Any] = {
        "seen_claim": claim_id, "seen_token": token, "ids": sorted(members), "now": tx.now,
    }  # fmt: skip
    database, values = tx.dialect.name, parameters | {"keep_until": keep_until}
    if tx.dialect.inserts_with_update:
        counted = tx.conn.execute(_succeed_and_count(database), {**values, "minute": tx.minute})
        number = sum(counted.scalars())
    else:
        number = tx.conn.execute(_succeed(database), values).rowcount
    done = set(members)
    if number != len(members):
        done = set(tx.conn.execute(_succeeded(database), parameters).scalars())
    if not tx.dialect.inserts_with_update:
        for run_id in done:
            task, queue, due_at, started_at = members[run_id]
            tx.count_outcome(task, queue, SUCCESS.to, lateness=bucket_of(due_at, started_at))
    return done


def claim_values() -> dict[str, Any]:
    """Return the columns that a claim writes; ``claim``, ``worker`` and ``now`` are parameters."""
    return {
        "state": "running",
        "token": run.c.token + 1,
        "attempt": run.c.attempt + 1,
        "claim_id": bindparam("claim", type_=Id),
        "worker_id": bindparam("worker", type_=Id),
        "started_at": bindparam("now", type_=Instant),
        "cancel_requested": False,
        "occupied": False,
        "unique_key": case((run.c.unique_scope == "until_done", run.c.unique_key), else_=null()),
    }


# ------------------------------------------------------------------------------ new runs


@dataclass(slots=True)
class Origin:
    """The origin of a run.

    Attributes:
        cause: why it was created.
        actor: who requested it; ``None``: the schedule.
        job_id: its job, with ``job_uid``; ``None``: an enqueued call.
        scheduled_for: the nominal time.
        feeds: whether other jobs depend on its job.
        traceparent: the trace context of the span in which it was requested.
        parent_run_id: the run of a parent job that triggered it.
        cause_key: a unique key, so that its cause creates at most one run.
    """

    cause: Cause
    actor: str | None = None
    job_id: str | None = None
    job_uid: str | None = None
    scheduled_for: datetime | None = None
    feeds: bool = False
    traceparent: str | None = None
    parent_run_id: str | None = None
    cause_key: str | None = None


def new_run(
    run_id: str,
    origin: Origin,
    *,
    task: str,
    args: str,
    options: JobOptions,
    now: datetime,
    due_at: datetime,
) -> dict[str, Any]:
    """Return the row of a new run: ready, or scheduled when it is due later.

    Rows of one cause have the same keys.

    Args:
        run_id: see `Transaction.run_id`.
        origin: its origin.
        task: the task's name.
        args: its arguments as JSON text.
        options: the options of its job or task.
        now: the instant of the transaction.
        due_at: when it may start.
    """
    row = {
        "id": run_id, "job_id": origin.job_id, "job_uid": origin.job_uid, "task": task,
        "args": args, "policy": options.run_policy_text,
        "scheduled_for": origin.scheduled_for, "due_at": due_at, "cause": origin.cause,
        "actor": origin.actor, "owner": options.owner, "queue": options.queue,
        "priority": options.priority,
        "state": "ready" if due_at <= now else "scheduled",
        "max_attempts": options.run_policy.max_attempts,
        "expires_at": due_at + timedelta(seconds=options.expires) if options.expires else None,
        "waits_for_slot": False, "finished_at": None, "keep_until": None, "reason": None,
        "concurrency_key": options.concurrency_key,
        "unique_key": None, "unique_scope": None, "retaken_key": None, "feeds": origin.feeds,
        "token": 0, "attempt": 0, "claim_id": None, "worker_id": None, "started_at": None,
        "traceparent": origin.traceparent,
    }  # fmt: skip
    if origin.cause_key is not None:
        row |= {"parent_run_id": origin.parent_run_id, "cause_key": origin.cause_key}
    return row


def start_new(row: dict[str, Any], claim_id: str, worker_id: str, now: datetime) -> None:
    """Claim a new run before it is inserted: set the columns that `claim_values` writes."""
    row["state"], row["token"], row["attempt"] = "running", 1, 1
    row["claim_id"], row["worker_id"], row["started_at"] = claim_id, worker_id, now


def wait_for_slot(row: dict[str, Any]) -> None:
    """Make a new run wait until the earlier runs of its job have ended."""
    row["state"], row["waits_for_slot"] = "scheduled", True


def end_new(
    row: dict[str, Any], transition: Transition, options: JobOptions, now: datetime
) -> dict[str, Any]:
    """End a new run that is not to be executed; return its row.

    Args:
        row: see `new_run`.
        transition: `miss` or `skip`.
        options: the options of its job.
        now: the instant of the transaction.
    """
    row["state"], row["reason"], row["finished_at"] = transition.to, transition.reason, now
    row["keep_until"] = options.run_policy.keep_until(transition.to, now)
    return row


# ------------------------------------------------------------------------------ statements


def _attempt(change: Change, now: datetime) -> dict[str, Any]:
    before = change.run
    kind, message, traceback = change.transition.error or ("", "", None)
    return {
        "run_id": before.id, "attempt": before.attempt, "worker_id": before.worker_id,
        "started_at": before.started_at, "finished_at": now, "error_type": kind,
        "error_message": message, "traceback": traceback,
    }  # fmt: skip


def _move_alike(
    tx: Transaction, run_ids: Sequence[str], state: str, token: int, values: Mapping[str, Any]
) -> None:
    parameters = {**values, "ids": run_ids, "seen_state": state, "seen_token": token}
    moved = tx.conn.execute(_move(tx.dialect.name), parameters).rowcount
    if moved != len(run_ids):
        raise StateError(
            f"{len(run_ids) - moved} of {len(run_ids)} runs that were {state} have been changed by "
            "another transaction since they were read; nothing is written"
        )


@cache
def _move(database: str) -> Any:
    """Return an UPDATE that sets the columns named by its further parameters, as `_OF_CLAIM`."""
    seen = _state() == bindparam("seen_state"), run.c.token == bindparam("seen_token")
    return update(run).where(among(database, run.c.id, "ids"), *seen)


_IS_DUE = run.c.due_at <= bindparam("now", type_=Instant)


@cache
def _promote(database: str) -> Any:
    scheduled = among(database, run.c.id, "ids"), _state() == "scheduled"
    return update(run).where(*scheduled, ~run.c.waits_for_slot).values(state="ready")


@cache
def _give_slots(database: str) -> Any:
    waiting = among(database, run.c.id, "ids"), _state() == "scheduled", run.c.waits_for_slot
    state = case((_IS_DUE, "ready"), else_="scheduled")
    return update(run).where(*waiting).values(state=state, waits_for_slot=False)


_END_OCCUPATIONS = (
    update(run)
    .where(run.c.worker_id == bindparam("of_worker", type_=Id), run.c.occupied)
    .values(
        occupied=False,
        # MariaDB evaluates it with the new state.
        worker_id=case((run.c.state.in_(("scheduled", "ready")), null()), else_=run.c.worker_id),
        state=case(
            (and_(run.c.state == "scheduled", ~run.c.waits_for_slot, _IS_DUE), "ready"),
            else_=run.c.state,
        ),
    )
)


@cache
def _succeed(database: str) -> Any:
    to = {"finished_at": bindparam("now", type_=Instant)}
    to |= {"keep_until": bindparam("keep_until", type_=Instant)}
    failing = select(job.c.id).where(FAILING)
    not_failing = run.c.job_id.is_(None) | run.c.job_id.not_in(failing)
    running = _state() == "running"
    return update(run).where(*_of_batch(database), running, not_failing).values(_PLAIN | to)


@cache
def _succeed_and_count(database: str) -> Any:
    """Return a statement that also stores how many runs it has ended, and returns that."""
    late = extract("epoch", run.c.started_at - run.c.due_at)
    bounds: ColumnElement[Any] = literal_column(f"CAST(ARRAY{list(BOUNDS)} AS DOUBLE PRECISION[])")
    bucket = func.width_bucket(cast(late, Double), bounds).label("lateness")
    done = _succeed(database).returning(run.c.task, run.c.queue, bucket).cte("done")
    kind = (done.c.task, done.c.queue, done.c.lateness)
    minute = bindparam("minute", type_=BigInteger)
    counts = select(*kind, literal(SUCCESS.to), minute, func.count()).group_by(*kind)
    columns = ["task", "queue", "lateness", "outcome", "minute", "count"]
    stored = insert(outcome_count).from_select(columns, counts)
    return stored.add_cte(done).returning(outcome_count.c["count"])


@cache
def _succeeded(database: str) -> Any:
    now = run.c.finished_at == bindparam("now", type_=Instant)
    return select(run.c.id).where(*_of_batch(database), run.c.state == "succeeded", now)


def _of_batch(database: str) -> tuple[ColumnElement[bool], ...]:
    return (
        among(database, run.c.id, "ids"),
        run.c.token == bindparam("seen_token"),
        run.c.claim_id == bindparam("seen_claim", type_=Id),
    )


def _state() -> ColumnElement[str]:
    """Return the state as an expression that no index serves, so that runs are found by their ids.

    For a bare ``state = 'running'``, PostgreSQL scans the index entries of all runs that are
    running or ever were.
    """
    return run.c.state.concat("")


_OF_TOKEN = (
    update(run)
    .where(run.c.id == bindparam("seen_id"), run.c.token == bindparam("seen_token"))
    .where(run.c.state == "running")
)
_OF_CLAIM = _OF_TOKEN.where(run.c.claim_id == bindparam("seen_claim", type_=Id))
_PLAIN = dict.fromkeys(
    (
        "unique_key", "reason", "result", "error_type", "error_message", "counters",
        "progress_done", "progress_total", "progress_note",
    )
) | {"state": SUCCESS.to, "occupied": False, "cancel_requested": False}  # fmt: skip
"""The columns that `SUCCESS` writes to every run of a batch; the claim stays unchanged."""

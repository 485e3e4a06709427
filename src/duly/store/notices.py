"""Notices: what was matched by a rule, and the outbox of what is to be sent."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, delete, func, select, update

from duly.model import payload
from duly.model.notice import Happening, Notice, NoticeRecord, NoticeState
from duly.model.retention import KEEP_DEAD, KEEP_SENT
from duly.store.sql.bulk_insert import insert_rows
from duly.store.tables import (
    DEAD,
    PENDING,
    job,
    job_tag,
    notice,
    notice_item,
    notice_rule,
    notice_subject,
    run,
)
from duly.store.transaction import Transaction

Key = tuple[str, str]
"""The application and the name of a rule."""

WAITS_FOR = timedelta(days=7)
"""How long a due notice waits for a process that can send it."""

MAX_ERROR = 1_000
CHUNK = 500


@dataclass(frozen=True, slots=True)
class Subject:
    """What a rule has sent about one subject.

    Attributes:
        sent_at: when its last notice was created.
        alarmed: whether an alarm was sent that has not ended.
    """

    sent_at: datetime
    alarmed: bool


@dataclass(frozen=True, slots=True)
class Claimed:
    """A notice that this process has claimed, to send it.

    Attributes:
        claim_id: the claim, which another process may replace after the lease.
        app: the application whose code declares its rule.
        channel: the channel that it is sent to.
        address: the address, if the channel takes one.
        attempts: how often sending has failed.
        notice: what is sent.
    """

    claim_id: str
    app: str
    channel: str
    address: str | None
    attempts: int
    notice: Notice


@dataclass(frozen=True, slots=True)
class NoticeFilter:
    """The conditions of a query for notices, combined with AND.

    Attributes:
        before: only notices with a lower id; the newest are returned first.
    """

    state: NoticeState | None = None
    rule: str | None = None
    before: str | None = None
    limit: int = 100


# ------------------------------------------------------------------------------ facts of events


def run_facts(conn: Connection, ids: Collection[str]) -> dict[str, dict[str, Any]]:
    """Return the task, the queue and the owner of runs, by their ids."""
    columns = (run.c.id, run.c.task, run.c.queue, run.c.owner)
    return _facts(conn, columns, ids)


def job_facts(conn: Connection, ids: Collection[str]) -> dict[str, dict[str, Any]]:
    """Return the task, the queue and the owner of jobs, by their ids."""
    columns = (job.c.id, job.c.task, job.c.queue, job.c.owner)
    return _facts(conn, columns, ids)


def job_tags(conn: Connection, ids: Collection[str]) -> dict[str, set[str]]:
    """Return the tags of jobs, by their ids."""
    found: dict[str, set[str]] = {}
    for some in _chunks(ids):
        statement = select(job_tag.c.job_id, job_tag.c.tag).where(job_tag.c.job_id.in_(some))
        for row in conn.execute(statement):
            found.setdefault(row.job_id, set()).add(row.tag)
    return found


def _facts(
    conn: Connection, columns: tuple[Any, ...], ids: Collection[str]
) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for some in _chunks(ids):
        for row in conn.execute(select(*columns).where(columns[0].in_(some))):
            values = dict(row._mapping)
            found[values.pop("id")] = values
    return found


def _chunks(ids: Collection[str]) -> list[list[str]]:
    ordered = sorted(ids)
    return [ordered[first : first + CHUNK] for first in range(0, len(ordered), CHUNK)]


# ------------------------------------------------------------------------------ items


def add_items(tx: Transaction, items: Sequence[tuple[Key, str, Happening]]) -> None:
    """Store what rules have matched: the rule, the subject and the event of each."""
    rows = [
        {
            "app": app, "rule": rule, "subject": subject, "kind": happening.kind,
            "at": happening.at, "content": payload.encode(happening.to_data()),
        }
        for (app, rule), subject, happening in items
    ]  # fmt: skip
    insert_rows(tx.conn, notice_item, rows)


def rules_with_items(conn: Connection) -> list[Key]:
    """Return the rules that have matched something which is in no notice yet."""
    columns = (notice_item.c.app, notice_item.c.rule)
    return [(row.app, row.rule) for row in conn.execute(select(*columns).distinct())]


def items(tx: Transaction, key: Key, limit: int) -> Sequence[Row[int, str, str]]:
    """Return the ids, kinds and subjects of what a rule has collected, oldest first."""
    columns = notice_item.c
    statement = select(columns.id, columns.kind, columns.subject).where(
        columns.app == key[0], columns.rule == key[1]
    )
    return tx.conn.execute(statement.order_by(columns.id).limit(limit)).all()


def happenings(tx: Transaction, ids: Sequence[int]) -> list[Happening]:
    """Return what was matched, by ids in ascending order."""
    columns = notice_item.c
    statement = select(columns.content).where(columns.id.in_(ids)).order_by(columns.id)
    texts = tx.conn.execute(statement).scalars()
    return [Happening.from_data(payload.decode(text)) for text in texts]


def delete_items(tx: Transaction, ids: Sequence[int]) -> None:
    """Delete what is now in notices, or belongs into none."""
    for first in range(0, len(ids), CHUNK):
        some = ids[first : first + CHUNK]
        tx.conn.execute(delete(notice_item).where(notice_item.c.id.in_(some)))


def delete_strays(tx: Transaction) -> None:
    """Delete what was matched by rules that no longer exist."""
    of_rule = (notice_rule.c.app == notice_item.c.app, notice_rule.c.name == notice_item.c.rule)
    rule = select(notice_rule.c.name).where(*of_rule).exists()
    tx.conn.execute(delete(notice_item).where(~rule))


def subjects(tx: Transaction, key: Key, names: Collection[str]) -> dict[str, Subject]:
    """Return what a rule has sent about these subjects, by their names."""
    columns = notice_subject.c
    statement = select(notice_subject).where(
        columns.app == key[0], columns.rule == key[1], columns.subject.in_(sorted(names))
    )
    return {row.subject: Subject(row.sent_at, row.alarmed) for row in tx.conn.execute(statement)}


def set_subject(tx: Transaction, key: Key, name: str, subject: Subject) -> None:
    """Store what a rule has sent about a subject."""
    row = {
        "app": key[0], "rule": key[1], "subject": name, "sent_at": subject.sent_at,
        "alarmed": subject.alarmed,
    }  # fmt: skip
    tx.dialect.upsert(tx.conn, notice_subject, row, ["app", "rule", "subject"])


# ------------------------------------------------------------------------------ the outbox


def add(
    tx: Transaction, app: str, sent: Notice, recipients: Sequence[tuple[str, str | None]]
) -> list[str]:
    """Put a notice into the outbox once for each recipient, and return the ids.

    Args:
        tx: the transaction.
        app: the application whose code declares its rule.
        sent: the notice; each recipient's has an id of its own.
        recipients: the channel of each, and the address if the channel takes one.
    """
    content = {"happenings": [each.to_data() for each in sent.happenings], "more": sent.more}
    ids = tx.run_ids(len(recipients))
    rows = [
        {
            "id": notice_id, "app": app, "rule": sent.rule, "subject": sent.subject,
            "title": sent.title, "channel": channel, "address": address,
            "content": payload.encode(content), "state": "pending", "created_at": tx.now,
            "due_at": tx.now,
        }
        for notice_id, (channel, address) in zip(ids, recipients, strict=True)
    ]  # fmt: skip
    insert_rows(tx.conn, notice, rows)
    return ids


def any_due(conn: Connection, now: datetime, channels: Collection[str]) -> bool:
    """Return whether a notice to one of these channels is due."""
    return conn.execute(_due(now, channels).limit(1)).first() is not None


def claim(
    tx: Transaction, channels: Collection[str], claim_id: str, lease: timedelta
) -> Claimed | None:
    """Claim the oldest due notice to one of these channels; another process may not send it.

    If it is neither finished nor postponed before the lease ends, it is due again.
    """
    oldest = _due(tx.now, channels).order_by(notice.c.id).limit(1)
    row = tx.conn.execute(tx.dialect.lock_rows(oldest, skip_locked=True)).first()
    if row is None:
        return None
    values = {"claim_id": claim_id, "due_at": tx.now + lease}
    tx.conn.execute(update(notice).where(notice.c.id == row.id).values(values))
    return Claimed(claim_id, row.app, row.channel, row.address, row.attempts, _notice(row))


def finish(tx: Transaction, claimed: Claimed, state: NoticeState, error: str | None = None) -> bool:
    """End a claimed notice; return whether the claim was still valid."""
    keep = KEEP_SENT if state == "sent" else KEEP_DEAD
    failures = claimed.attempts + (state != "sent")
    values = {
        "state": state, "finished_at": tx.now, "keep_until": tx.now + keep, "claim_id": None,
        "error": error and error[:MAX_ERROR], "attempts": failures,
    }  # fmt: skip
    return _write(tx, claimed, values)


def postpone(tx: Transaction, claimed: Claimed, due_at: datetime, error: str) -> bool:
    """Let a claimed notice wait, because it could not be sent; return whether that was stored."""
    values = {
        "due_at": due_at, "claim_id": None, "attempts": claimed.attempts + 1,
        "error": error[:MAX_ERROR],
    }  # fmt: skip
    return _write(tx, claimed, values)


def retry(tx: Transaction, notice_id: str) -> Row[Any] | None:
    """Make a notice that is not sent due now, as if it had never failed.

    Returns:
        Its row as it was; ``None`` if there is no such notice.
    """
    statement = select(notice).where(notice.c.id == notice_id)
    row = tx.conn.execute(tx.dialect.lock_rows(statement)).one_or_none()
    if row is not None and row.state != "sent":
        fresh = {
            "state": "pending", "due_at": tx.now, "attempts": 0, "claim_id": None,
            "finished_at": None, "keep_until": None,
        }  # fmt: skip
        tx.conn.execute(update(notice).where(notice.c.id == notice_id).values(fresh))
    return row


def find(conn: Connection, wanted: NoticeFilter) -> list[NoticeRecord]:
    """Return the matching notices, the newest first."""
    statement = select(notice).order_by(notice.c.id.desc()).limit(wanted.limit)
    if wanted.state is not None:
        statement = statement.where(notice.c.state == wanted.state)
    if wanted.rule is not None:
        statement = statement.where(notice.c.rule == wanted.rule)
    if wanted.before is not None:
        statement = statement.where(notice.c.id < wanted.before)
    return [_record(row) for row in conn.execute(statement)]


def get(conn: Connection, notice_id: str) -> NoticeRecord | None:
    """Return one notice."""
    row = conn.execute(select(notice).where(notice.c.id == notice_id)).one_or_none()
    return None if row is None else _record(row)


def count_dead(conn: Connection, limit: int) -> int:
    """Return the number of notices that were given up, counting up to a limit."""
    found = select(notice.c.id).where(DEAD).limit(limit).subquery()
    return int(conn.execute(select(func.count()).select_from(found)).scalar_one())


def overdue(conn: Connection, before: datetime) -> Mapping[str, int]:
    """Return the number of pending notices that are due since before an instant, by channel."""
    statement = select(notice.c.channel, func.count()).where(PENDING, notice.c.due_at < before)
    return {row[0]: row[1] for row in conn.execute(statement.group_by(notice.c.channel))}


def give_up(tx: Transaction, limit: int) -> int:
    """Make notices dead that no process could send for `WAITS_FOR`, at most ``limit`` of them."""
    old = select(notice.c.id).where(PENDING, notice.c.due_at < tx.now - WAITS_FOR).limit(limit)
    ids = list(tx.conn.execute(tx.dialect.lock_rows(old, skip_locked=True)).scalars())
    reason = f"no process that could send it was running for {WAITS_FOR.days} days"
    if ids:
        values = {
            "state": "dead", "finished_at": tx.now, "keep_until": tx.now + KEEP_DEAD,
            "error": reason,
        }  # fmt: skip
        tx.conn.execute(update(notice).where(notice.c.id.in_(ids)).values(values))
    for notice_id in ids:
        tx.record("notice.dead", notice=notice_id, reason=reason)
    return len(ids)


def prune(tx: Transaction, limit: int) -> int:
    """Delete up to ``limit`` notices whose retention has expired."""
    chosen = (
        select(notice.c.id)
        .where(notice.c.keep_until.is_not(None), notice.c.keep_until <= tx.now)
        .order_by(notice.c.keep_until)
        .limit(limit)
    )
    ids = list(tx.conn.execute(tx.dialect.lock_rows(chosen, skip_locked=True)).scalars())
    if ids:
        tx.conn.execute(delete(notice).where(notice.c.id.in_(ids)))
    return len(ids)


def prune_subjects(tx: Transaction, limit: int) -> int:
    """Delete what is known of up to ``limit`` subjects about which nothing was sent for long."""
    columns = notice_subject.c
    statement = select(columns.app, columns.rule, columns.subject).where(
        columns.sent_at < tx.now - KEEP_DEAD
    )
    rows = tx.conn.execute(statement.limit(limit)).all()
    for app, rule, subject in rows:
        one = (columns.app == app, columns.rule == rule, columns.subject == subject)
        tx.conn.execute(delete(notice_subject).where(*one))
    return len(rows)


def _due(now: datetime, channels: Collection[str]) -> Any:
    wanted = notice.c.channel.in_(sorted(channels))
    return select(notice).where(PENDING, wanted, notice.c.due_at <= now)


def _write(tx: Transaction, claimed: Claimed, values: Mapping[str, Any]) -> bool:
    valid = (notice.c.id == claimed.notice.id, notice.c.claim_id == claimed.claim_id)
    return bool(tx.conn.execute(update(notice).where(*valid).values(values)).rowcount)


def _notice(row: Row[Any]) -> Notice:
    """Return the notice that a row of the outbox holds."""
    content = payload.decode(row.content)
    happenings = [Happening.from_data(data) for data in content["happenings"]]
    return Notice(row.id, row.rule, row.subject, happenings, content["more"])


def _record(row: Row[Any]) -> NoticeRecord:
    return NoticeRecord(
        row.id, row.rule, row.app, row.subject, row.title, row.address or row.channel, row.state,
        row.attempts, row.created_at, row.due_at, row.finished_at, row.error,
    )  # fmt: skip

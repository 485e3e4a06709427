"""Notice rules: those that code declares, and those that were added by a call."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select

from duly.errors import ConfigurationError, PayloadError
from duly.model.notice_rule import NoticeRule, decode_rule, encode_rule
from duly.model.release import Release
from duly.store.tables import notice_item, notice_rule, notice_subject
from duly.store.transaction import Transaction

log = logging.getLogger("duly")
_COLUMNS = notice_rule.c


def known(conn: Connection) -> list[NoticeRule]:
    """Return the rules that this version can read; one that it cannot read is logged."""
    statement = select(notice_rule).order_by(_COLUMNS.app, _COLUMNS.name)
    found = (_read(row) for row in conn.execute(statement))
    return [rule for rule in found if rule is not None]


def lock(tx: Transaction, app: str, name: str, *, skip_locked: bool = False) -> NoticeRule | None:
    """Lock a rule, and return it; ``None`` if it is gone, unreadable here, or locked elsewhere."""
    statement = select(notice_rule).where(_COLUMNS.app == app, _COLUMNS.name == name)
    row = tx.conn.execute(tx.dialect.lock_rows(statement, skip_locked=skip_locked)).one_or_none()
    return None if row is None else _read(row)


def add(tx: Transaction, rule: NoticeRule, version: str = "") -> bool:
    """Store a rule, and return whether its name was free."""
    row = {
        "app": rule.app, "name": rule.name, "definition": encode_rule(rule), "version": version,
        "created_by": tx.actor, "created_at": tx.now,
    }  # fmt: skip
    same = select(_COLUMNS.name).where(_COLUMNS.app == rule.app, _COLUMNS.name == rule.name)
    if tx.conn.execute(tx.dialect.lock_rows(same)).first() is not None:
        return False
    tx.conn.execute(insert(notice_rule), row)
    return True


def remove(tx: Transaction, app: str, name: str) -> bool:
    """Delete a rule with what it holds back, and return whether it existed."""
    for table in (notice_item, notice_subject):
        of_rule = (table.c.app == app, table.c.rule == name)
        tx.conn.execute(delete(table).where(*of_rule))
    deleted = tx.conn.execute(delete(notice_rule).where(_COLUMNS.app == app, _COLUMNS.name == name))
    return bool(deleted.rowcount)


def differ(conn: Connection, release: Release, rules: Sequence[NoticeRule]) -> bool:
    """Return whether the stored rules of an application are other than these and not newer."""
    stored = _of_app(conn, release.app)
    if any(release.is_before(row.version) for row in stored):
        return False
    return {row.name: row.definition for row in stored} != _definitions(rules)


def replace(tx: Transaction, release: Release, rules: Sequence[NoticeRule]) -> None:
    """Store these rules in place of the application's former ones, unless those are newer."""
    if not differ(tx.conn, release, rules):
        return
    wanted = _definitions(rules)
    stored = {row.name: row.definition for row in _of_app(tx.conn, release.app)}
    for name in sorted(stored.keys() - wanted.keys()):
        remove(tx, release.app, name)
        tx.record("notice_rule.removed", rule=name, app=release.app)
    for rule in rules:
        if rule.name not in stored:
            add(tx, rule, release.version)
            tx.record("notice_rule.added", rule=rule.name, app=release.app)
        elif stored[rule.name] != wanted[rule.name]:
            row = {"definition": wanted[rule.name], "version": release.version}
            of_rule = (_COLUMNS.app == rule.app, _COLUMNS.name == rule.name)
            tx.conn.execute(notice_rule.update().where(*of_rule).values(row))


def _of_app(conn: Connection, app: str) -> Sequence[Row[Any]]:
    return conn.execute(select(notice_rule).where(_COLUMNS.app == app)).all()


def _definitions(rules: Sequence[NoticeRule]) -> dict[str, str]:
    return {rule.name: encode_rule(rule) for rule in rules}


def _read(row: Row[Any]) -> NoticeRule | None:
    try:
        rule = decode_rule(row.name, row.app, row.definition)
    except (ConfigurationError, PayloadError, TypeError, ValueError) as error:
        log.warning("Notice rule %r cannot be read by this version: %s", row.name, error)
        return None
    return rule.replace(created_by=row.created_by, created_at=row.created_at)

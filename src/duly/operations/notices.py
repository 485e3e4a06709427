"""Notices: rules that tell people of events, and the outbox of what is sent to them."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from typing import Unpack

from duly.errors import (
    ConfigurationError,
    DatabaseUnavailable,
    DuplicateNoticeRule,
    NoticeNotFound,
    NoticeRuleNotFound,
    StateError,
)
from duly.model.actor import Actor
from duly.model.checks import choice, optional
from duly.model.identity import is_id
from duly.model.notice import Happening, Notice, NoticeRecord, NoticeState
from duly.model.notice_rule import NoticeConditions, NoticeRule, is_url, make_rule
from duly.model.page import Page
from duly.notify.channel import Channel
from duly.notify.function_channel import Tell
from duly.notify.outbox import recipient
from duly.notify.outgoing import check_url
from duly.operations.core import Core
from duly.operations.inputs import page_size, searchable
from duly.store import notice_rules as rule_rows
from duly.store import notices as rows
from duly.store.notices import NoticeFilter
from duly.store.transaction import Transaction

TEST = "test"
"""The rule and the subject of notices that `send_test_notice` creates."""


def notify(
    core: Core,
    *to: Channel | Tell | str,
    on: Collection[str],
    name: str | None = None,
    **conditions: Unpack[NoticeConditions],
) -> NoticeRule:
    """Declare a notice rule in code: tell these recipients of these events.

    It is stored at the start, in place of the rules that the application declared before, and then
    holds for what any process of this database does. Notices are sent by the processes that have
    started their scheduler and declare the channel.

    Args:
        to: channels of `duly.notify` (``email(…)``, ``webhook(…)``, ``apprise(…)``), functions that
            take a `Notice`, or names of channels that other rules declare.
        on: kinds of events; see `NoticeRule`.
        name: the rule's name; default: one that follows from what it says.
        conditions: ``jobs``, ``tags``, ``tasks``, ``queues``, ``owners``, ``every``, ``quiet``,
            ``urgent``: see `NoticeRule`.

    Returns:
        The rule.

    Raises:
        ConfigurationError: a value is not valid, or a name is taken.
        UnknownOption: there is no event or condition of this name.
    """
    rule = core.notices.declare(to, on, name, **conditions)
    if core.worker.state in ("starting", "running") or core.worker.alive:
        with suppress(DatabaseUnavailable):  # the worker stores it when it registers again
            store_rules(core)
    return rule


def store_rules(core: Core) -> None:
    """Store the rules that code declares; a process that declares none leaves them unchanged."""
    declared = list(core.notices.declared.values())
    if not declared:
        return
    release = core.settings.release
    with core.store.read() as conn:
        differ = rule_rows.differ(conn, release, declared)
    if differ:
        core.store.run(lambda tx: rule_rows.replace(tx, release, declared))
    core.notices.forget()


def notice_rules(core: Core) -> list[NoticeRule]:
    """Return all notice rules: those added by calls first, then those of each application."""
    with core.store.read() as conn:
        return rule_rows.known(conn)


def add_notice_rule(
    core: Core,
    name: str,
    *,
    on: Collection[str],
    to: Collection[str],
    actor: str | Actor | None = None,
    **conditions: Unpack[NoticeConditions],
) -> NoticeRule:
    """Store a notice rule; other processes follow it within 10 seconds.

    Args:
        name: its name, 1 to 191 printable characters.
        on: kinds of events; see `NoticeRule`.
        to: names of channels that code configures; e-mail addresses, which are sent through the
            mail server of ``DULY_SMTP_URL``; or ``https://`` URLs of webhooks, which are signed
            with ``DULY_WEBHOOK_SECRET``. These are variables of the processes that send.
        actor: who acts, for the audit trail.
        conditions: see `notify`.

    Returns:
        The rule.

    Raises:
        DuplicateNoticeRule: the name is taken.
        AddressRefused: a URL may not be requested.
        ConfigurationError: another value is not valid.
        UnknownOption: there is no event or condition of this name.
    """
    rule = make_rule(name, on, to, **conditions)
    _check_urls(rule.to)

    def store(tx: Transaction) -> NoticeRule:
        if not rule_rows.add(tx, rule):
            raise DuplicateNoticeRule(name)
        tx.record("notice_rule.added", rule=rule.name, on=list(rule.on))
        return rule.replace(created_by=tx.actor, created_at=tx.now)

    stored = core.transact(store, actor=actor)
    core.notices.forget()
    return stored


def remove_notice_rule(
    core: Core, name: str, *, app: str = "", actor: str | Actor | None = None
) -> None:
    """Remove a notice rule, and what it holds back; notices in the outbox are sent all the same.

    Args:
        name: its name.
        app: the application whose code declares it, which stores it again at its next start;
            default: a rule that was added by a call.
        actor: who acts, for the audit trail.

    Raises:
        NoticeRuleNotFound: there is no such rule.
    """
    stored_name, stored_app = searchable(name) or "", searchable(app) or ""

    def store(tx: Transaction) -> None:
        if not rule_rows.remove(tx, stored_app, stored_name):
            raise NoticeRuleNotFound(name)
        tx.record("notice_rule.removed", rule=name, app=app)

    core.transact(store, actor=actor)
    core.notices.forget()


def notices(
    core: Core,
    *,
    state: NoticeState | None = None,
    rule: str | None = None,
    before: str | None = None,
    limit: int = 100,
) -> Page[NoticeRecord]:
    """Return the notices of the outbox that match every given filter, the newest first.

    Args:
        state: ``pending``, ``sent`` or ``dead``.
        rule: the name of their rule.
        before: only notices that are older than the one with this id.
        limit: 1 to 1000.

    Raises:
        ConfigurationError: a filter is not valid.
    """
    wanted_state = optional(choice("pending", "sent", "dead"))("state", state)
    if before is not None and not is_id(before):
        raise ConfigurationError(f"before={before!r} is not the id of a notice")
    size = page_size(limit)
    wanted = NoticeFilter(wanted_state, searchable(rule), before, size + 1)
    with core.store.read() as conn:
        return Page.of(rows.find(conn, wanted), size)


def notice(core: Core, notice_id: str) -> NoticeRecord:
    """Return a notice of the outbox.

    Raises:
        NoticeNotFound: there is no such notice.
    """
    found = None
    if is_id(notice_id):
        with core.store.read() as conn:
            found = rows.get(conn, notice_id)
    if found is None:
        raise NoticeNotFound(notice_id)
    return found


def retry_notice(core: Core, notice_id: str, *, actor: str | Actor | None = None) -> NoticeRecord:
    """Send a notice again that could not be sent; its attempts are counted from 0.

    Args:
        notice_id: its id.
        actor: who acts, for the audit trail.

    Returns:
        The notice as it is now.

    Raises:
        NoticeNotFound: there is no such notice.
        StateError: it has been sent already.
    """

    def store(tx: Transaction) -> None:
        row = rows.retry(tx, notice_id) if is_id(notice_id) else None
        if row is None:
            raise NoticeNotFound(notice_id)
        if row.state == "sent":
            raise StateError(f"notice {notice_id} has been sent already")
        tx.record("notice.retried", notice=notice_id, rule=row.rule, subject=row.subject)

    core.transact(store, actor=actor)
    core.notices.wake()
    return notice(core, notice_id)


def send_test_notice(core: Core, to: str, *, actor: str | Actor | None = None) -> NoticeRecord:
    """Put a test notice into the outbox; `notice` shows what becomes of it.

    Args:
        to: the name of a channel, an e-mail address or a URL, as in `add_notice_rule`.
        actor: who acts, for the audit trail.

    Raises:
        AddressRefused: the URL may not be requested.
        ConfigurationError: ``to`` is not valid.
    """
    checked = make_rule(TEST, ["run.failed"], [to]).to[0]
    _check_urls([checked])

    def store(tx: Transaction) -> str:
        happening = Happening(TEST, tx.now, detail={"reason": "no job is concerned"})
        sent = Notice("", TEST, TEST, [happening])
        channel, address = recipient(checked)
        added = rows.add(tx, "", sent, [(channel, address)])[0]
        tx.record("notice.tested", notice=added, channel=channel)
        return added

    notice_id = core.transact(store, actor=actor)
    core.notices.wake()
    return notice(core, notice_id)


def send_notices(core: Core) -> int:
    """Create and send the notices that are due, in the calling thread; for tests and scripts.

    A scheduler that has been started does this by itself.

    Returns:
        The number of notices that were sent.

    Raises:
        DatabaseUnavailable: the database does not respond.
    """
    return core.notices.outbox.work()


def _check_urls(to: Collection[str]) -> None:
    for each in to:
        if is_url(each):
            check_url(each)

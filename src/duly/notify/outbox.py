"""The outbox: put what rules have matched into notices, and send them."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from duly.errors import AddressRefused, DulyError, NotDelivered
from duly.model.identity import new_id
from duly.model.notice import Notice
from duly.model.notice_rule import is_address, is_url
from duly.model.secrets import Resolve
from duly.model.text import safe_str
from duly.notify.channel import SEND_LIMIT_S, Channel
from duly.notify.routing import Item, route
from duly.notify.secrets import resolving
from duly.store import notice_rules, notices
from duly.store.notices import Claimed, Key
from duly.store.store import Store
from duly.store.transaction import Transaction

log = logging.getLogger("duly.notify")
LEASE = timedelta(seconds=2 * SEND_LIMIT_S)
"""After this time a notice that is being sent may be sent by another process."""

TRIES = 15
FIRST_BACKOFF_S = 5.0
MAX_BACKOFF_S = 1_800.0
BATCH = 50_000
WEBHOOK, EMAIL = "webhook", "email"
"""The channels of URLs and addresses that stored rules name."""

Service = tuple[str, str | None]
Channels = Callable[[], dict[str, Callable[[str | None], Channel]]]
"""Returns the channels of this process by name, each as a function of the stored address."""


def backoff(failures: int) -> float:
    """Return the seconds until the next try: 5, 10, 20, … at most half an hour."""
    return float(min(MAX_BACKOFF_S, FIRST_BACKOFF_S * 2.0 ** min(failures, 30)))


def recipient(to: str) -> tuple[str, str | None]:
    """Return the channel of a recipient, and the address if the channel takes one."""
    if is_url(to):
        return WEBHOOK, to
    return (EMAIL, to) if is_address(to) else (to, None)


@dataclass(slots=True)
class _Outage:
    """A channel that does not respond: how often in a row, and until when it is left alone."""

    failures: int
    until: float


class Outbox:
    """The outbox of one database, as one process works on it.

    Args:
        store: the database.
        channels: the channels of this process.
        secrets: returns the value of a secret by its name; ``None``: the environment does.
    """

    def __init__(self, store: Store, channels: Channels, *, secrets: Resolve | None = None) -> None:
        self._store = store
        self._secrets = secrets
        self._channels = channels
        self._outages: dict[Service, _Outage] = {}

    def work(self, go_on: Callable[[], bool] = lambda: True) -> int:
        """Create the notices that are due and send them; return the number of those sent.

        Args:
            go_on: asked before each one whether to send it.
        """
        self.route()
        sent = 0
        while go_on():
            outcome = self._send_one()
            if outcome is None:
                break
            sent += outcome
        return sent

    @property
    def next_try(self) -> float | None:
        """When a channel is tried again that does not respond, on the steady clock."""
        return min((outage.until for outage in self._outages.values()), default=None)

    def route(self) -> None:
        """Create notices of what rules have matched, as far as it is due now."""
        with self._store.read() as conn:
            keys = notices.rules_with_items(conn)
        for key in keys:
            self._store.run(lambda tx, key=key: _route(tx, key))  # type: ignore[misc]

    def _send_one(self) -> bool | None:
        """Send the oldest due notice; return whether that succeeded, or ``None``: none is due."""
        known = self._channels()
        names = [name for name in known if not self._is_away(name)]
        if not names:
            return None
        with self._store.read() as conn:
            if not notices.any_due(conn, self._store.time.now(), names):
                return None
        claim_id = new_id()
        claimed = self._store.run(lambda tx: notices.claim(tx, names, claim_id, LEASE))
        if claimed is None:
            return None
        try:
            with resolving(self._secrets):
                known[claimed.channel](claimed.address).send(claimed.notice)
        except Exception as error:  # noqa: BLE001 - a function of the host's may raise anything
            self._failed(claimed, error)
            return False
        self._outages.pop(_service(claimed), None)
        self._store.run(lambda tx: _sent(tx, claimed))
        return True

    def _is_away(self, channel: str) -> bool:
        outage = self._outages.get((channel, None))
        return outage is not None and outage.until > self._store.clock.monotonic()

    def _failed(self, claimed: Claimed, error: Exception) -> None:
        reason = safe_str(error, 500) if isinstance(error, DulyError) else type(error).__name__
        pause = backoff(claimed.attempts)
        if isinstance(error, NotDelivered) and error.away:
            pause = self._note_outage(claimed)
        final = isinstance(error, NotDelivered) and error.final
        log.log(
            logging.WARNING if claimed.attempts == 0 or final else logging.INFO,
            "Notice %s could not be sent (%s).", claimed.notice.id, type(error).__name__,
        )  # fmt: skip
        if final or claimed.attempts + 1 >= TRIES:
            kind = "notice.refused" if isinstance(error, AddressRefused) else "notice.dead"
            self._store.run(lambda tx: _given_up(tx, claimed, kind, reason))
        else:
            due_in = timedelta(seconds=pause)
            self._store.run(lambda tx: _postponed(tx, claimed, due_in, reason))

    def _note_outage(self, claimed: Claimed) -> float:
        """Leave a channel alone that does not respond, and return for how many seconds."""
        service = _service(claimed)
        known = self._outages.get(service)
        failures = 0 if known is None else known.failures + 1
        pause = backoff(failures)
        self._outages[service] = _Outage(failures, self._store.clock.monotonic() + pause)
        return pause


def _service(claimed: Claimed) -> Service:
    """Return the service that a notice is sent to; each URL of a stored rule is one of its own."""
    return claimed.channel, claimed.address if claimed.channel == WEBHOOK else None


def _route(tx: Transaction, key: Key) -> None:
    rule = notice_rules.lock(tx, *key, skip_locked=True)
    if rule is None:  # another process does it, or the rule is gone
        notices.delete_strays(tx)
        return
    by_subject = defaultdict(list)
    for row in notices.items(tx, key, BATCH):
        by_subject[row.subject].append(Item(row.id, row.kind))
    known = notices.subjects(tx, key, by_subject)
    recipients = [recipient(to) for to in rule.to]
    done = list[int]()
    for subject, items in by_subject.items():
        routed = route(rule, known.get(subject), items, tx.now)
        done += routed.done
        for ids, more in routed.notices:
            notice = Notice("", rule.name, subject, notices.happenings(tx, ids), more)
            notices.add(tx, rule.app, notice, recipients)
        if routed.subject is not None and routed.notices:
            notices.set_subject(tx, key, subject, routed.subject)
    notices.delete_items(tx, done)


def _sent(tx: Transaction, claimed: Claimed) -> None:
    if notices.finish(tx, claimed, "sent"):
        tx.record("notice.sent", **_facts(claimed))


def _given_up(tx: Transaction, claimed: Claimed, kind: str, reason: str) -> None:
    if notices.finish(tx, claimed, "dead", reason):
        tx.record(kind, **_facts(claimed), reason=reason)


def _postponed(tx: Transaction, claimed: Claimed, due_in: timedelta, reason: str) -> None:
    if notices.postpone(tx, claimed, tx.now + due_in, reason):
        tx.record("notice.failed", **_facts(claimed), reason=reason, attempt=claimed.attempts + 1)


def _facts(claimed: Claimed) -> dict[str, Any]:
    notice = claimed.notice
    return {
        "notice": notice.id, "rule": notice.rule, "subject": notice.subject,
        "channel": claimed.channel,
    }  # fmt: skip

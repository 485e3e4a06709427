"""The notices of one scheduler: its channels, its rules, and the thread that sends."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Collection, Sequence
from typing import Unpack

from duly.errors import ConfigurationError
from duly.model.event import Event
from duly.model.notice_rule import NoticeConditions, NoticeRule, encode_rule, make_rule
from duly.model.secrets import Resolve
from duly.notify.channel import Channel
from duly.notify.function_channel import Tell, notify
from duly.notify.matching import concerns, store_matches
from duly.notify.outbox import EMAIL, WEBHOOK, Outbox
from duly.notify.sender import Sender
from duly.store import notice_rules
from duly.store.store import Store
from duly.store.transaction import Transaction

RULES_FOR_S = 10.0
"""Seconds for which a process uses the rules that it has read."""


class Notices:
    """What one scheduler knows of notices.

    Args:
        app: the scheduler's name.
        secrets: returns the value of a secret by its name; ``None``: the environment does.

    Attributes:
        declared: the rules that code declares, by name.
    """

    outbox: Outbox
    _sender: Sender

    def __init__(self, app: str, secrets: Resolve | None) -> None:
        self._app = app
        self._secrets = secrets
        self.declared: dict[str, NoticeRule] = {}
        self._channels: dict[str, Channel] = {}

    def use(self, store: Store) -> None:
        """Use this database from now on: its transactions pass the events here that they store."""
        self._store = store
        self._rules: Sequence[NoticeRule] = ()
        self._read_at: float | None = None
        store.on_events = self._match
        self.outbox = Outbox(store, self.channels, secrets=self._secrets)
        self._sender = Sender(store, self.outbox)

    def declare(
        self,
        to: Sequence[Channel | Tell | str],
        on: Collection[str],
        name: str | None,
        **conditions: Unpack[NoticeConditions],
    ) -> NoticeRule:
        """Declare a rule of the code, and the channels that it names.

        Raises:
            ConfigurationError: a value is not valid, another rule has this name, or another
                channel has the name of one of these.
        """
        given = [each if isinstance(each, str) else _channel(each) for each in to]
        names = [each if isinstance(each, str) else each.name for each in given]
        channels = {each.name: each for each in given if not isinstance(each, str)}
        for each, channel in channels.items():
            if each in (EMAIL, WEBHOOK) or self._channels.get(each, channel) != channel:
                raise ConfigurationError(
                    f"another channel is named {each!r} already; give one of them a name='…'"
                )
        rule = make_rule(name or "-", on, names, app=self._app, **conditions)
        if name is None:
            digest = hashlib.sha256(encode_rule(rule).encode()).hexdigest()
            rule = rule.replace(name=f"rule-{digest[:10]}")
        if self.declared.get(rule.name, rule) != rule:
            raise ConfigurationError(f"another notice rule is named {rule.name!r} already")
        self._channels.update(channels)
        self.declared[rule.name] = rule
        self.forget()
        return rule

    def channels(self) -> dict[str, Callable[[str | None], Channel]]:
        """Return the channels of this process by name, each as a function of a stored address."""
        # Only what sends needs smtplib, email and http.client.
        from duly.notify.mail import URL_VARIABLE, MailChannel  # noqa: PLC0415
        from duly.notify.webhooks import SECRET_VARIABLE, stored_webhook  # noqa: PLC0415

        found: dict[str, Callable[[str | None], Channel]] = {
            name: lambda _address, channel=channel: channel  # type: ignore[misc]
            for name, channel in self._channels.items()
        }
        if os.environ.get(URL_VARIABLE):
            found[EMAIL] = lambda address: MailChannel(EMAIL, (address or "",))
        if os.environ.get(SECRET_VARIABLE):
            found[WEBHOOK] = lambda address: stored_webhook(address or "")
        return found

    def forget(self) -> None:
        """Read the rules again when they are needed next, because they have changed."""
        self._read_at = None

    def start(self) -> None:
        """Send notices from now on, in a thread of their own."""
        self._sender.start()

    def stop(self) -> None:
        """Stop sending."""
        self._sender.stop()

    def after_commit(self, events: Sequence[Event]) -> None:
        """Send at once what these events of this process may have given cause to."""
        if self._sender.is_running and concerns(events):
            self._sender.wake()

    def wake(self) -> None:
        """Look at the outbox now, if this process sends."""
        self._sender.wake()

    def after_fork(self) -> None:
        """Leave the parent's thread to the parent."""
        self._sender = Sender(self._store, self.outbox)

    def _match(self, tx: Transaction, events: Sequence[Event]) -> None:
        if concerns(events):
            rules = self._current(tx)
            if rules:
                store_matches(tx, events, rules)

    def _current(self, tx: Transaction) -> Sequence[NoticeRule]:
        """Return the rules; they are read again if that was long ago."""
        steady = self._store.clock.monotonic()
        if self._read_at is None or steady - self._read_at >= RULES_FOR_S:
            self._rules = notice_rules.known(tx.conn)
            self._read_at = steady
        return self._rules


def _channel(given: Channel | Tell) -> Channel:
    return given if isinstance(given, Channel) else notify(given)

"""A mail provider that is down and a process that is killed lose no reminder."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from email import message_from_bytes
from email.policy import default
from typing import Any

import pytest

from apps.sneaky_klaus import reminders
from apps.sneaky_klaus.database import db
from apps.sneaky_klaus.models import Match, ReminderDelivery
from duly import SystemClock
from tests.apps.resend import Resend
from tests.apps.sneaky_klaus.site import Site
from tests.apps.sneaky_klaus.world import World, app_on, found
from tests.notify.conftest import MailServer
from tests.support.waiting import wait_until

pytestmark = pytest.mark.processes

SLOTS = 4
Provider = Any


class ResendProvider(Resend):
    """Resend, and what it knows."""

    def settings(self) -> dict[str, Any]:
        return {"mail": "resend", "resend_url": self.url, "resend_api_key": "a key"}

    def handed_over(self) -> list[tuple[str, str]]:
        """The key of each mail that was handed over, repetitions included, and its address."""
        return [(key, self.known[key]["to"][0]) for key in self.requests]

    def arrived(self) -> Counter[str]:
        """How many mails each address has received."""
        return Counter(mail["to"][0] for mail in self.accepted)


class SmtpProvider(MailServer):
    """A mail server that can fall silent after it has accepted a mail, and that knows no keys."""

    def __init__(self) -> None:
        super().__init__()
        self.silent_after: int | None = None

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        message: Any = message_from_bytes(envelope.content, policy=default)
        self.messages.append(message)
        if self.silent_after is not None and len(self.messages) > self.silent_after:
            await asyncio.Event().wait()
        return "250 OK"

    def settings(self) -> dict[str, Any]:
        return {"mail": "smtp", "smtp_port": self.port, "smtp_security": "none"}

    def handed_over(self) -> list[tuple[str, str]]:
        return [(message["Message-ID"], message["To"]) for message in self.messages]

    def arrived(self) -> Counter[str]:
        return Counter(to for _key, to in self.handed_over())


@pytest.fixture(params=[ResendProvider, SmtpProvider], ids=["resend", "smtp"])
def provider(request: pytest.FixtureRequest) -> Iterator[Provider]:
    """A mail service that can be stopped and started again."""
    made = request.param()
    yield made
    made.stop()


@pytest.mark.parametrize(
    ("people", "outage"),
    [(16, 3.0), pytest.param(200, 60.0, marks=pytest.mark.slow)],
    ids=["short", "minute"],
)
def test_24_an_outage_and_a_kill_lose_no_reminder(
    site: Site, provider: Provider, people: int, outage: float, report: Callable[[str], None]
) -> None:
    """The provider accepts mails and falls silent, the process is killed, the provider is down.

    Through Resend each reminder arrives once. A mail server, which knows no keys, has those twice
    that it accepted without an answer, and both have the same ``Message-ID``.
    """
    provider.silent_after = people // 4
    provider.start()
    with app_on(site.url, SystemClock()) as world:
        exchange = due_soon(world, people)
        server = site.serve(**provider.settings())
        wait_until(lambda: len(provider.handed_over()) >= people // 4 + SLOTS)
        server.kill()
        unanswered = len(provider.handed_over()) - people // 4
        provider.stop()
        provider.silent_after = None
        site.serve(**provider.settings())
        busy, latest = during(world, outage)
        provider.start()
        wait_until(lambda: len(world.rows(ReminderDelivery)) == people, what="all reminders")
        attempts = sum(run.attempt for run in world.runs("mail_reminder"))
        addresses = {person.email for person in world.participants(exchange)}
    handed_over, arrived = provider.handed_over(), provider.arrived()
    twice = [to for to, number in arrived.items() if number > 1]
    report(
        f"{type(provider).__name__}: {people} reminders, {arrived.total()} mails accepted, "
        f"{len(handed_over)} handed over, {attempts} attempts, {len(twice)} twice; busy slots in "
        f"{len(busy)} samples of {outage:g} s: {dict(sorted(Counter(busy).items()))}; "
        f"another run took at most {latest:.2f} s"
    )
    assert arrived.keys() == addresses
    assert len(set(handed_over)) == people
    assert len(twice) <= (0 if isinstance(provider, ResendProvider) else unanswered)
    assert 0 in busy


def due_soon(world: World, people: int) -> int:
    """A matched exchange whose reminders are due at once, without mails about the match."""
    exchange = world.exchange(
        world.clock.now() + timedelta(days=1, seconds=2), people=people, days=(1,)
    )
    ids = [person.id for person in world.participants(exchange)]

    def match() -> None:
        found(exchange).state = "MATCHED"
        db.session.add_all(
            Match(exchange_id=exchange, giver_id=giver, receiver_id=receiver)
            for giver, receiver in zip(ids, ids[1:] + ids[:1], strict=True)
        )
        reminders.plan(exchange)

    world.do(match)
    return exchange


def during(world: World, outage: float) -> tuple[list[int], float]:
    """How many mails were being sent at each moment, and how long another one waited at most.

    That one is to an admin who does not exist: its run needs a slot, and no provider.
    """
    end, busy, latest = world.clock.monotonic() + outage, [], 0.0
    while (began := world.clock.monotonic()) < end:
        busy.append(world.scheduler.count_runs(state="running", task="mail_reminder"))
        other = world.scheduler.enqueue("mail_notice", admin_id=0, title="", text="")
        assert world.scheduler.wait(other, timeout=150).state == "discarded"
        latest = max(latest, world.clock.monotonic() - began)
    return busy, latest

"""The sample data of the demo."""

from __future__ import annotations

from apps.sneaky_klaus.models import Admin, Exchange
from apps.sneaky_klaus.seed import seed
from tests.apps.sneaky_klaus.world import World


def test_a_reminder_falls_due_within_a_minute_of_each_start(world: World) -> None:
    """Also when the exchange has been completed before."""
    assert_reminded(world, exchange=4)
    assert_reminded(world, exchange=4)
    world.move(4, "complete")
    assert_reminded(world, exchange=5)
    assert len(world.rows(Admin)) == 1
    assert {each.state for each in world.rows(Exchange)} == {
        "COMPLETED", "MATCHED", "REGISTRATION_CLOSED", "REGISTRATION_OPEN"
    }  # fmt: skip


def assert_reminded(world: World, *, exchange: int) -> None:
    world.do(seed)
    people = {each.name for each in world.participants(exchange)}
    assignments = {f"Office party: you give a present to {name}" for name in people}
    assert {sent.mail.subject for sent in world.mails()} <= assignments
    world.forward(minutes=1)
    assert [sent.mail.subject for sent in world.mails()] == ["Office party is tomorrow"] * 5

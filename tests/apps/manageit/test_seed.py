"""The sample data of the demo."""

from __future__ import annotations

from apps.manageit.seed import ADMIN, OFFICIAL, STUDENT, seed
from tests.apps.manageit.visitors import visitor
from tests.apps.manageit.world import World


def test_alerts_appear_within_a_minute_of_the_start(world: World) -> None:
    """On SQLite and on MariaDB; a second start adds nothing twice."""
    world.execute("DELETE FROM messes")
    world.do(seed)
    world.do(seed)
    assert world.messages() == []
    world.forward(minutes=1)
    assert [text.partition(":")[0] for text in world.messages()] == [
        "⚠ High waste", "⚠ Low feedback"
    ]  # fmt: skip
    assert len(world.rows("users")) == 4
    browser = visitor(world)
    for email, password, _role in (STUDENT, OFFICIAL, ADMIN):
        assert browser.post("/login", email=email, password=password).status_code == 303

"""A mail server is away while notices are created; when it returns, all of them arrive once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from duly import Scheduler, VirtualClock
from duly.notify import Smtp, email
from tests.notify.conftest import MailServer

COUNT = 50


def test_all_notices_arrive_once_after_an_outage(
    prepared_database_url: str, mail_server: Callable[..., MailServer]
) -> None:
    """For a minute, in which the server is tried four times and not two hundred."""
    clock, server = VirtualClock(), mail_server()
    scheduler = Scheduler(prepared_database_url, clock=clock, queues={"default": COUNT})

    @scheduler.task()
    def fail() -> None:
        raise RuntimeError("it failed")

    smtp = Smtp("127.0.0.1", "duly@example.com", server.port, "none")
    scheduler.notify(email("ops@example.com", smtp=smtp), on=["run.failed"])
    server.stop()
    for _ in range(COUNT):
        scheduler.enqueue(fail)
    scheduler.tick()
    for _ in range(60):
        assert scheduler.send_notices() == 0
        clock.advance(1)
    tries = len(scheduler.events(kind="notice.failed", limit=1000))
    server.start()
    for _ in range(30):
        scheduler.send_notices()
        clock.advance(1)
    ids = Counter(message["Message-ID"] for message in server.messages)
    assert (len(ids), set(ids.values()), tries) == (COUNT, {1}, 4)
    scheduler.stop()

"""Several processes send the notices of one database, and some of them are killed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text

from duly import Scheduler
from tests.notify.conftest import MailServer
from tests.support.processes import Children
from tests.support.waiting import wait_until

SENDER = Path(__file__).with_name("sender.py")
COUNT = 30


@pytest.fixture
def scheduler(prepared_database_url: str) -> Scheduler:
    """A scheduler whose process executes and sends nothing."""
    return Scheduler(prepared_database_url)


def record_failures(scheduler: Scheduler, count: int) -> None:
    with scheduler.store.write() as tx:
        for _ in range(count):
            tx.record("run.failed")


def test_two_processes_send_each_notice_once(
    scheduler: Scheduler, mail_server: Callable[..., MailServer], children: Children
) -> None:
    """None is lost, and none is sent twice."""
    server = mail_server()
    url = scheduler.store.given_url.render_as_string(False)
    for _ in range(2):
        children.python(SENDER, url, str(server.port), "fast").wait_for("started")
    record_failures(scheduler, COUNT)
    wait_until(lambda: len(scheduler.notices(state="sent")) == COUNT)
    ids = Counter(message["Message-ID"] for message in server.messages)
    assert len(ids) == COUNT
    assert set(ids.values()) == {1}


def test_what_a_killed_process_was_sending_arrives_with_the_same_id(
    scheduler: Scheduler, mail_server: Callable[..., MailServer], children: Children
) -> None:
    """Killed between the server's answer and the record of it, which is the only such moment."""
    server = mail_server()
    url = scheduler.store.given_url.render_as_string(False)
    slow = children.python(SENDER, url, str(server.port), "slow")
    slow.wait_for("started")
    record_failures(scheduler, COUNT)
    slow.wait_for("sent")
    slow.kill()
    children.python(SENDER, url, str(server.port), "fast").wait_for("started")
    wait_until(lambda: len(scheduler.notices(state="sent")) == COUNT - 1)
    end_leases(scheduler)
    wait_until(lambda: len(scheduler.notices(state="sent")) == COUNT)
    ids = Counter(message["Message-ID"] for message in server.messages)
    assert len(ids) == COUNT
    assert sorted(ids.values()) == [1] * (COUNT - 1) + [2]


def end_leases(scheduler: Scheduler) -> None:
    """Let the lease of the killed process end now; it would take a minute."""
    with scheduler.store.write() as tx:
        tx.conn.execute(text("update duly_notice set due_at = created_at where state = 'pending'"))

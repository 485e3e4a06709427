"""A host with thousands of open files: select() refuses descriptors above 1,023."""

from __future__ import annotations

import os
import resource
import signal
import threading
from collections.abc import Iterator

import pytest

from duly import Scheduler
from duly.cli.signals import StopSignals
from duly.store.notifier import Notifier
from tests.support.waiting import wait_until

MANY = 1_100


@pytest.fixture
def many_open_files() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 2 * MANY:
        pytest.skip(f"this system allows {hard} open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2 * MANY), hard))
    opened = [os.open(os.devnull, os.O_RDONLY) for _ in range(MANY)]
    yield
    for descriptor in opened:
        os.close(descriptor)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("many_open_files")
def test_E14_notices_are_heard(prepared_postgresql_url: str) -> None:
    """Another process's notice still wakes this one."""
    scheduler = Scheduler(prepared_postgresql_url)
    store = scheduler.store
    notifier = Notifier(store.engine, store.engine, store.dialect.notices)
    subscription = notifier.subscribe()
    received: list[bool] = []
    thread = threading.Thread(target=lambda: received.append(subscription.wait()))
    thread.start()
    other = Notifier(store.engine, store.engine, store.dialect.notices)
    other.send()
    wait_until(lambda: received, timeout=60)
    assert received == [True]
    thread.join()
    subscription.stop()
    assert subscription.wait() is False
    subscription.close()
    other.settle()
    store.dispose()


@pytest.mark.usefixtures("many_open_files")
def test_E14_the_commands_still_stop_at_a_signal() -> None:
    """``duly run`` waits for signals whatever the number of its pipe is."""
    with StopSignals(lambda: None) as signals:
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGTERM)).start()
        signals.wait()
    assert signals.received == ["SIGTERM"]

"""On SQLite, a lock file proves that a worker lives; its absence proves nothing."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from duly import Scheduler, VirtualClock
from duly.errors import StoreError
from duly.model.worker import PROFILES
from duly.worker.worker_locks import WorkerLocks
from tests.support.processes import Children
from tests.worker.internals import die, lease_of

LEASE = PROFILES["normal"].lease
ONE_USER = not hasattr(os, "geteuid") or os.geteuid() != 0
NOBODY = 65534


USER = """
import logging, os, sys, threading
from duly import Scheduler

logging.basicConfig(level="INFO")
url, other_url, user = sys.argv[1:]
with Scheduler(other_url).running():  # imports what the other user may not be able to read
    pass
if int(user):
    os.setgroups([])
    os.setgid(int(user))
    os.setuid(int(user))
os.umask(0o022)
scheduler = Scheduler(url, heartbeat="fast")
scheduler.start()
halt = threading.Event()
while not halt.wait(0.2):
    print("state", scheduler.state, "workers", len(scheduler.workers()), flush=True)
"""


class World:
    """Workers on one SQLite file, with one clock."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "app.db"
        self.locks = folder / "app.db-workers"
        self.clock = VirtualClock()
        self.made: list[Scheduler] = []

    def worker(self) -> Scheduler:
        scheduler = Scheduler(f"sqlite:///{self.file}", clock=self.clock)
        scheduler.task(name="work")(work)
        scheduler.tick()
        self.made.append(scheduler)
        return scheduler

    def give_run(self, worker: Scheduler) -> str:
        run = worker.enqueue("work")
        self.sql("update duly_run set state='running', worker_id=:w, token=1", w=worker.worker_id)
        return run

    def sql(self, statement: str, **parameters: object) -> None:
        with self.made[0].store.write() as tx:
            tx.conn.execute(text(statement), parameters)

    def close(self) -> None:
        for scheduler in self.made:
            scheduler.stop(grace=0)
            scheduler.store.dispose()


def work() -> None:
    """A task."""


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.close()


def elsewhere(world: World, worker: Scheduler) -> None:
    """Make a worker's process one that this process knows nothing about, as in a container."""
    world.sql("update duly_worker set process='1 2 x y' where id=:w", w=worker.worker_id)


@pytest.mark.parametrize("tidied", ["file", "folder"])
@pytest.mark.parametrize("known", [True, False], ids=["known process", "unknown process"])
def test_E20_a_tidied_lock_does_not_make_a_living_worker_look_dead(
    world: World, tidied: str, known: bool
) -> None:
    """Its run is not started a second time, and its next heartbeat restores the file."""
    alive, other = world.worker(), world.worker()
    run = world.give_run(alive)
    if not known:
        elsewhere(world, alive)
    if tidied == "folder":
        shutil.rmtree(world.locks)
    else:
        (world.locks / f"{alive.worker_id}.lock").unlink()
    world.clock.advance(20)
    other.tick()
    assert other.run(run).state == "running"
    lease_of(alive).beat()
    assert (world.locks / f"{alive.worker_id}.lock").exists()
    world.clock.advance(2 * LEASE)  # no heartbeat for longer than a lease: the lock is enough
    other.tick()
    assert other.run(run).state == "running"
    die(alive)
    world.clock.advance(20)
    other.tick()
    assert other.run(run).state != "running"


def test_E20_without_lock_and_process_the_lease_decides(world: World) -> None:
    """A worker that is silent for a lease, and of which nothing else is known, counts as dead.

    The rescuer must have been in contact with the database for as long.
    """
    silent, other = world.worker(), world.worker()
    run = world.give_run(silent)
    elsewhere(world, silent)
    die(silent)
    shutil.rmtree(world.locks)
    world.clock.advance(LEASE - 1)
    other.tick()
    assert other.run(run).state == "running"
    for _ in range(3):  # a worker that is stepped by hand stores a suspicion first
        world.clock.advance(LEASE + 1)
        other.tick()
    assert other.run(run).state != "running"
    assert [worker.id for worker in other.workers()] == [other.worker_id]


def test_E20_the_file_of_a_dead_worker_proves_its_death_until_its_row_is_gone(world: World) -> None:
    """Then the file is deleted, and no other."""
    dead, other = world.worker(), world.worker()
    lock = world.locks / f"{dead.worker_id}.lock"
    die(dead)
    for _ in range(2):
        assert lock.exists()
        world.clock.advance(20)
        other.tick()
    assert not lock.exists()
    assert [file.name for file in world.locks.iterdir()] == [f"{other.worker_id}.lock"]


@pytest.mark.parametrize("bad", ["../../precious", "..", "a/b", "", "x" * 36])
def test_E20_a_worker_id_never_names_a_file_outside_the_folder(
    world: World, tmp_path: Path, bad: str
) -> None:
    """Whatever id a row has, only files that Duly itself has named are opened and deleted."""
    worker = world.worker()
    precious = [tmp_path / "precious.lock", tmp_path.parent / "precious.lock"]
    for file in precious:
        file.write_text("keep")
    world.sql(
        "insert into duly_worker (id, app, host, pid, process, version, tzdb, queues, started_at,"
        " beat_at, lease_until, draining)"
        " select :id, app, host, pid, '1 2 x y', version, tzdb, queues, started_at, beat_at,"
        " lease_until, false from duly_worker limit 1",
        id=bad,
    )
    for _ in range(4):
        world.clock.advance(LEASE + 1)
        worker.tick()
    assert all(file.read_text() == "keep" for file in precious)
    assert [known.id for known in worker.workers()] == [worker.worker_id]
    precious[1].unlink()


def test_E20_a_link_in_the_folder_is_not_followed(tmp_path: Path) -> None:
    """A link that another user has put there neither proves life nor leads to a write."""
    locks = WorkerLocks(tmp_path / "app.db")
    (tmp_path / "app.db-workers").mkdir()
    target = tmp_path / "target"
    target.write_text("keep")
    worker_id = "01234567-89ab-4def-8123-456789abcdef"
    (tmp_path / "app.db-workers" / f"{worker_id}.lock").symlink_to(target)
    (tmp_path / "app.db-workers" / f"{worker_id}.new").symlink_to(target)
    assert locks.is_locked(worker_id) is None
    locks.take(worker_id)
    assert target.read_text() == "keep"
    assert locks.is_locked(worker_id) is True
    assert WorkerLocks(tmp_path / "app.db").is_locked(worker_id) is True
    locks.release(worker_id)


@pytest.mark.parametrize("mode", [0o600, 0o660, 0o664, 0o666])
def test_E20_lock_files_have_the_permissions_of_the_database_file(world: World, mode: int) -> None:
    """As SQLite does for its log; a later change of the file's mode is followed."""
    first = world.worker()
    world.file.chmod(mode)
    second = world.worker()
    lock = world.locks / f"{second.worker_id}.lock"
    assert stat.S_IMODE(lock.stat().st_mode) == mode
    assert stat.S_IMODE(world.locks.stat().st_mode) == mode | (mode >> 2 & 0o111)
    assert first.worker_id != second.worker_id


@pytest.mark.skipif(ONE_USER, reason="only root can become another system user")
def test_E20_two_system_users_run_workers_on_one_file(children: Children, tmp_path: Path) -> None:
    """A file that both may write is enough: the second starts, and takes nobody for dead."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:  # its parents can be entered by all
        folder = Path(name)
        folder.chmod(0o777)
        url, other = f"sqlite:///{folder}/app.db", f"sqlite:///{tmp_path}/other.db"
        first = children.python("-c", USER, url, other, "0")
        first.wait_for("state running")
        (folder / "app.db").chmod(0o666)
        for file in folder.glob("app.db-*"):
            file.chmod(0o777 if file.is_dir() else 0o666)
        (folder / "app.db-workers").chmod(0o755)  # as the first user's mask left it
        third = children.python("-c", USER, url, other, "0")
        third.wait_for("state running")
        second = children.python("-c", USER, url, other, str(NOBODY))
        second.wait_for(r"state running workers 3")
        for child in (second, third, first):
            assert "dead" not in child.output()
            child.kill()


def test_E20_a_folder_that_cannot_be_used_is_one_clear_error(tmp_path: Path) -> None:
    """The error says which folder, and what to do."""
    (tmp_path / "app.db-workers").write_text("a file, not a folder")
    scheduler = Scheduler(f"sqlite:///{tmp_path}/app.db")
    with pytest.raises(StoreError, match=r"lock file in .*app\.db-workers.*write to that folder"):
        scheduler.tick()
    scheduler.store.dispose()

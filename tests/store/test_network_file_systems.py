"""An SQLite file on a network file system is refused before anything is written."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import create_engine

from duly import Scheduler, prepare_engine
from duly.errors import ConfigurationError
from duly.store.dialects import sqlite_file_system
from duly.store.dialects.sqlite_file_system import file_system

MOUNTS = r"""
proc /proc proc rw,nosuid 0 0
/dev/vda1 / ext4 rw,relatime 0 0
tmpfs /tmp tmpfs rw 0 0
server:/export /srv nfs4 rw,vers=4.2 0 0
/dev/vdb1 /srv/local xfs rw 0 0
systemd-1 /mnt autofs rw,fd=29 0 0
//server/files /mnt cifs rw 0 0
ana@host:/ /media/my\040disk fuse.sshfs rw 0 0
broken
"""


@pytest.mark.parametrize(
    ("file", "kind"),
    [
        ("/var/app.db", "ext4"),
        ("/tmp/app.db", "tmpfs"),
        ("/tmpfiles/app.db", "ext4"),
        ("/srv/app.db", "nfs4"),
        ("/srv/deep/er/app.db", "nfs4"),
        ("/srv/local/app.db", "xfs"),
        ("/mnt/app.db", "cifs"),
        ("/media/my disk/app.db", "fuse.sshfs"),
        ("/media/other/app.db", "ext4"),
    ],
)
def test_the_nearest_and_latest_mount_decides(file: str, kind: str) -> None:
    """A mount point below another one wins, as does what is mounted over it later."""
    assert file_system(Path(file), MOUNTS) == kind


@pytest.mark.parametrize("mounts", ["", "\n", "one two", "a /elsewhere nfs rw"])
def test_what_is_not_told_is_not_known(mounts: str) -> None:
    """Other systems have no such list: nothing is refused there."""
    assert file_system(Path("/var/app.db"), mounts) is None


@pytest.fixture
def mount(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Says that the test's folder is of that file system."""

    def one(kind: str) -> None:
        mounts = tmp_path / "mounts"
        mounts.write_text(
            f"/dev/vda1 / ext4 rw 0 0\nserver:/x {tmp_path.resolve()} {kind} rw 0 0\n"
        )
        monkeypatch.setattr(sqlite_file_system, "MOUNTS", mounts)

    return one


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "fuse.sshfs"])
def test_a_scheduler_refuses_to_start_there(mount, tmp_path: Path, kind: str) -> None:
    """The error says what is wrong, where, and what to do; the file is not touched."""
    mount(kind)
    scheduler = Scheduler(f"sqlite:///{tmp_path}/app.db", heartbeat="fast")
    for opening in (scheduler.start, scheduler.tick, scheduler.prepare):
        with pytest.raises(ConfigurationError, match=f"app.db is on.*{kind}.*local disk"):
            opening()
    (finding,) = scheduler.examine()
    assert (finding.check, finding.level) == ("database", "problem")
    assert not scheduler.health().ok
    assert not (tmp_path / "app.db").exists() or not (tmp_path / "app.db").stat().st_size
    assert not (tmp_path / "app.db-wal").exists()


def test_the_hosts_own_engine_is_refused(mount, tmp_path: Path) -> None:
    """`prepare_engine` would give it a write-ahead log as well."""
    mount("nfs")
    engine = prepare_engine(create_engine(f"sqlite:///{tmp_path}/app.db"))
    with pytest.raises(ConfigurationError, match="network file system"):
        engine.connect()
    engine.dispose()


def test_local_files_and_databases_in_memory_are_accepted(mount, tmp_path: Path) -> None:
    """A file on a local disk is reported with its file system."""
    mount("xfs")
    engine = prepare_engine(create_engine("sqlite://"))
    engine.connect().close()
    engine.dispose()
    scheduler = Scheduler(f"sqlite:///{tmp_path}/app.db")
    scheduler.prepare()
    assert "app.db on xfs" in scheduler.examine()[0].text
    scheduler.store.dispose()

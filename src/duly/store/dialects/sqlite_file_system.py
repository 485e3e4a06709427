"""Refuse SQLite files on network file systems, where processes cannot share memory."""

from __future__ import annotations

import re
from pathlib import Path

from duly.errors import ConfigurationError

MOUNTS = Path("/proc/self/mounts")
NETWORK = frozenset({
    "nfs", "nfs4", "cifs", "smb2", "smb3", "smbfs", "ncpfs", "9p", "afs", "auristorfs", "coda",
    "ceph", "glusterfs", "lustre", "gpfs", "beegfs", "orangefs", "pvfs2", "ocfs2", "gfs2", "davfs",
    "vboxsf", "fuse.sshfs", "fuse.glusterfs", "fuse.ceph", "fuse.ceph-fuse", "fuse.rclone",
    "fuse.s3fs", "fuse.gcsfuse", "fuse.goofys", "fuse.juicefs", "fuse.moosefs", "fuse.mfs",
    "fuse.davfs2", "fuse.smbnetfs", "fuse.curlftpfs", "fuse.vmhgfs-fuse", "fuse.blobfuse2",
})  # fmt: skip
_ESCAPED = re.compile(r"\\([0-7]{3})")


def refuse_network(file: Path) -> None:
    """Refuse a file on which WAL mode cannot work, because its index is shared memory.

    Args:
        file: the database.

    Raises:
        ConfigurationError: the file is on a network file system.
    """
    kind = file_system(file.resolve(), mounts())
    if kind in NETWORK:
        raise ConfigurationError(
            f"the SQLite file {file} is on a network file system ({kind}), where processes "
            "cannot share its write-ahead log and would damage it; put it on a local disk, or use "
            "PostgreSQL or MariaDB"
        )


def mounts() -> str:
    """Return Linux's list of mounted file systems; empty on other systems."""
    try:
        return MOUNTS.read_text(errors="surrogateescape")
    except OSError:
        return ""


def file_system(file: Path, mounts: str) -> str | None:
    """Return the type of the file system that contains a file.

    Args:
        file: an absolute path without symbolic links; the file need not exist.
        mounts: the lines of ``/proc/self/mounts``: device, mount point, type, options.

    Returns:
        The type as Linux names it; ``None`` where nothing is mounted above the file.
    """
    nearest, kind = -1, None
    for line in mounts.splitlines():
        parts = line.split(" ")
        if len(parts) < 3:
            continue
        point = Path(_ESCAPED.sub(lambda found: chr(int(found[1], 8)), parts[1]))
        depth = len(point.parts)
        if depth >= nearest and file.is_relative_to(point):  # the later one lies above
            nearest, kind = depth, parts[2]
    return kind

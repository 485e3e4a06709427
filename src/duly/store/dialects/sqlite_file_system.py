"""Refuse SQLite files whose log would be damaged or lost: it lies beside the file's name.

Processes share the log's index in memory, which a network file system does not offer.
"""

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


def refuse_unsafe(file: Path) -> None:
    """Refuse a file that processes could not share, or whose log would not outlive a container.

    Args:
        file: the database.

    Raises:
        ConfigurationError: the file is on a network file system, has several hard links, or is
            mounted without its folder.
    """
    _refuse_hard_links(file)
    file, lines = file.resolve(), mounts()
    kind = file_system(file, lines)
    if file in mount_points(lines):
        raise ConfigurationError(
            f"the SQLite file {file} is mounted without its folder, so that its write-ahead log, "
            "which lies beside it, would be lost with the container; mount the folder instead"
        )
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


def mount_points(mounts: str) -> dict[Path, str]:
    """Return the type of the file system that is mounted at each point, the topmost one.

    Args:
        mounts: the lines of ``/proc/self/mounts``: device, mount point, type, options.
    """
    points = {}
    for line in mounts.splitlines():
        parts = line.split(" ")
        if len(parts) >= 3:
            points[Path(_ESCAPED.sub(lambda found: chr(int(found[1], 8)), parts[1]))] = parts[2]
    return points


def file_system(file: Path, mounts: str) -> str | None:
    """Return the type of the file system that contains a file.

    Args:
        file: an absolute path without symbolic links; the file need not exist.
        mounts: see `mount_points`.

    Returns:
        The type as Linux names it; ``None`` where nothing is mounted above the file.
    """
    points = mount_points(mounts)
    return next((points[above] for above in (file, *file.parents) if above in points), None)


def _refuse_hard_links(file: Path) -> None:
    try:
        links = file.stat().st_nlink
    except OSError:
        return
    if links > 1:
        raise ConfigurationError(
            f"the SQLite file {file} has {links} hard links: processes that open it by different "
            "names would write different logs and damage it. Keep one name and delete the others, "
            f"which this finds: find / -xdev -samefile {file}"
        )

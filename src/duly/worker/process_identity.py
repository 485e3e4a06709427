"""Who a process is, beyond its number: so that a number used again is not taken for the old one."""

from __future__ import annotations

import os
import socket
from pathlib import Path


def own_host() -> str:
    """This machine's name, for people."""
    return socket.gethostname()[:191]


def own_process() -> str:
    """This process, among all that ever were: number, start, and where such numbers are unique."""
    return f"{os.getpid()} {_started(os.getpid())} {_realm()}"


def is_gone(process: str) -> bool:
    """Whether a process of this very machine does not exist any more; ``False`` when unknown."""
    pid, _, rest = process.partition(" ")
    started, _, realm = rest.partition(" ")
    if not started or "?" in realm or realm != _realm():
        return False
    return _started(int(pid)) != started


def _realm() -> str:
    """The boot of this machine and the namespace of process numbers (a container has its own)."""
    boot = _read("/proc/sys/kernel/random/boot_id") or "?"
    try:
        namespace = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        namespace = "?"
    return f"{boot} {namespace}"


def _started(pid: int) -> str:
    """When a process started, in ticks since boot; empty when there is none (or a zombie)."""
    facts = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return facts[19] if facts and facts[0] not in "ZX" else ""


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""

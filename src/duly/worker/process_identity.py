"""The identity of a process beyond its number, which the system reuses."""

from __future__ import annotations

import os
import socket
from pathlib import Path


def own_host() -> str:
    """Return this machine's name, for display."""
    return socket.gethostname()[:191]


def own_process() -> str:
    """Return a unique identity of this process: its number, its start, and its realm."""
    return f"{os.getpid()} {_started(os.getpid())} {_realm()}"


def is_gone(process: str) -> bool | None:
    """Return whether a process of this machine has ended; ``None`` if that is unknown."""
    pid, _, rest = process.partition(" ")
    started, _, realm = rest.partition(" ")
    if not pid.isdecimal() or not started or "?" in realm or realm != _realm():
        return None
    return _started(int(pid)) != started


def _realm() -> str:
    """Return where process numbers are unique: a boot of this machine and a PID namespace."""
    boot = _read("/proc/sys/kernel/random/boot_id") or "?"
    try:
        namespace = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        namespace = "?"
    return f"{boot} {namespace}"


def _started(pid: int) -> str:
    """Return when a process started, in ticks since boot; empty if it has ended or is a zombie."""
    facts = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return facts[19] if facts and facts[0] not in "ZX" else ""


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""

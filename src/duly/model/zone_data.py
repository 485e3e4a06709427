"""The time zone data that this process uses."""

from __future__ import annotations

import zoneinfo
from functools import cache
from pathlib import Path

import tzdata  # type: ignore[import-untyped]


@cache
def tzdb_version() -> str:
    """Return the version of the files that ``zoneinfo`` loads, such as ``2026a``.

    The system's files take precedence over the ``tzdata`` package. If they do not state their
    version, it is ``system``.
    """
    folder = _system_folder()
    return str(tzdata.IANA_VERSION) if folder is None else _stated_version(folder)


def tzdb_location() -> str:
    """Return the location of these files: a system folder, or ``the package tzdata``."""
    return str(_system_folder() or "the package tzdata")


def _system_folder() -> Path | None:
    folders = map(Path, zoneinfo.TZPATH)
    return next((folder for folder in folders if (folder / "UTC").exists()), None)


def _stated_version(folder: Path) -> str:
    for name in ("tzdata.zi", "+VERSION"):
        try:
            with (folder / name).open(encoding="ascii") as file:
                return file.readline().strip().removeprefix("# version ")[:32]
        except OSError:
            continue
    return "system"

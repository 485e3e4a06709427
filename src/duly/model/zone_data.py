"""Which time zone data this process works with."""

from __future__ import annotations

import importlib.metadata
import zoneinfo
from functools import cache
from pathlib import Path


@cache
def tzdb_version() -> str:
    """The version of the files that ``zoneinfo`` really loads, such as ``2026a``.

    The system's files win over the ``tzdata`` package; ``system`` where they do not tell theirs.
    """
    folder = _system_files()
    return importlib.metadata.version("tzdata") if folder is None else _stated(folder)


def tzdb_place() -> str:
    """Where these files are: a folder of the system's, or ``the package tzdata``."""
    return str(_system_files() or "the package tzdata")


def _system_files() -> Path | None:
    folders = map(Path, zoneinfo.TZPATH)
    return next((folder for folder in folders if (folder / "UTC").exists()), None)


def _stated(folder: Path) -> str:
    for name in ("tzdata.zi", "+VERSION"):
        try:
            with (folder / name).open(encoding="ascii") as file:
                return file.readline().strip().removeprefix("# version ")[:32]
        except OSError:
            continue
    return "system"

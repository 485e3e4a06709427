"""A release of an application: its name, and the version by which deployments are ordered."""

from __future__ import annotations

import re
from dataclasses import dataclass

from duly.errors import ConfigurationError

LONGEST = 64
"""The largest number of characters in a version."""

_DOTTED = re.compile(r"v?(\d+(?:\.\d+)*)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Release:
    """The release of an application that declares jobs.

    Attributes:
        app: the scheduler's name.
        version: as `check_version` returns it; empty, and so the oldest, if none was given.
    """

    app: str
    version: str

    def is_before(self, version: str) -> bool:
        """Return whether this release is older than ``version``."""
        return order(self.version) < order(version)


def check_version(version: object) -> str:
    """Return a version as it is stored: numbers separated by dots, or empty for ``None``.

    Args:
        version: an int, or a string such as ``1.4.2``, ``2026.11.21`` or ``v43``.

    Raises:
        ConfigurationError: the version has no defined order.
    """
    if version is None:
        return ""
    is_number = isinstance(version, int) and not isinstance(version, bool)
    text = str(version) if is_number else version
    found = _DOTTED.fullmatch(text) if isinstance(text, str) and len(text) <= LONGEST else None
    if found is None:
        raise ConfigurationError(
            f"version={version!r} is not valid, because versions must have an order; give numbers "
            "that increase with every deployment: 43, '1.4.2' or '2026.11.21', not a commit hash"
        )
    return ".".join(str(int(number)) for number in found[1].split("."))


def order(version: str) -> tuple[int, ...]:
    """Return the sort key of a stored version: 1.9 sorts before 1.10, and 1 before 1.0."""
    return tuple(int(number) for number in version.split(".")) if version else ()

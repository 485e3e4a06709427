"""A release of an application: its name, and its version, by which deploys are put in order."""

from __future__ import annotations

import re
from dataclasses import dataclass

from duly.errors import ConfigurationError

LONGEST = 64
"""Characters of a version."""

_DOTTED = re.compile(r"v?(\d+(?:\.\d+)*)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Release:
    """Whose declarations these are.

    Attributes:
        app: the scheduler's name.
        version: as `check_version` returns it; empty where none was given, which is older than any.
    """

    app: str
    version: str

    def is_before(self, version: str) -> bool:
        """Whether this release is older than that version."""
        return order(self.version) < order(version)


def check_version(version: object) -> str:
    """A version as it is stored: numbers with dots, or empty for none.

    Args:
        version: a whole number, or text such as ``1.4.2``, ``2026.11.21`` or ``v43``.

    Raises:
        ConfigurationError: it cannot be put in order.
    """
    if version is None:
        return ""
    is_number = isinstance(version, int) and not isinstance(version, bool)
    text = str(version) if is_number else version
    found = _DOTTED.fullmatch(text) if isinstance(text, str) and len(text) <= LONGEST else None
    if found is None:
        raise ConfigurationError(
            f"version={version!r} cannot be put in order; give numbers that rise with every "
            "deploy: 43, '1.4.2' or '2026.11.21', not the hash of a commit"
        )
    return ".".join(str(int(number)) for number in found[1].split("."))


def order(version: str) -> tuple[int, ...]:
    """What a stored version is sorted by: 1.9 comes before 1.10, and 1 before 1.0."""
    return tuple(int(number) for number in version.split(".")) if version else ()

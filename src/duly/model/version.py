"""The version of this package, which a frozen application has no metadata to ask for."""

from __future__ import annotations

VERSION = "0.1.0"

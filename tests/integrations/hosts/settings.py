"""What the tests tell the host applications, by their environment."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from duly import Heartbeat

URL = os.environ["HOST_DATABASE"]
GRACE = float(os.environ.get("HOST_GRACE", "20"))
BEAT = float(os.environ.get("HOST_BEAT", "1"))
START: Literal["retry", "required"] = "required" if "HOST_REQUIRED" in os.environ else "retry"
RHYTHM = Heartbeat(interval=1, fence=40, lease=50, rescue=2)
"""Nobody is taken for dead on a busy machine; who really is, on this host, is found at once."""
FOLDER = Path(os.environ.get("HOST_FOLDER", "."))
"""Here running functions say that they have begun, and look for the word that lets them end."""

ASYNC_URL = URL.replace("sqlite:", "sqlite+aiosqlite:")
"""The same database for the host's own asyncio engine."""


def say(word: str) -> None:
    """Leave a word for the test."""
    (FOLDER / word).touch()


def heard(word: str) -> bool:
    """Whether the test has left this word."""
    return (FOLDER / word).exists()

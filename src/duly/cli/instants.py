"""Instants on a command line."""

from __future__ import annotations

from datetime import datetime

import click

from duly.clock import SystemClock, aware_utc
from duly.errors import NaiveDatetimeError


def parse_instant(text: str | None, option: str) -> datetime:
    """The instant that a text names; now, where there is none.

    Args:
        text: ISO 8601 with its offset.
        option: which option it was given to.

    Raises:
        click.BadParameter: it cannot be read, or has no offset.
    """
    if text is None:
        return SystemClock().now()
    try:
        return aware_utc(datetime.fromisoformat(text), option)
    except NaiveDatetimeError as error:
        raise click.BadParameter(str(error), param_hint=option) from error
    except ValueError as error:
        raise click.BadParameter(
            f"{text!r} is no ISO 8601 instant, such as 2026-03-08T00:00:00Z", param_hint=option
        ) from error

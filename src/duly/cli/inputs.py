"""Parsing of instants and of JSON on the command line."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import click

from duly.clock import SystemClock, aware_utc
from duly.errors import NaiveDatetimeError


def parse_instant(text: str | None, option: str) -> datetime:
    """Return the instant that a text denotes, or the current time for ``None``.

    Args:
        text: ISO 8601 with a UTC offset.
        option: the option that the text was given to, for the error message.

    Raises:
        click.BadParameter: the text is not valid, or has no UTC offset.
    """
    if text is None:
        return SystemClock().now()
    try:
        return aware_utc(datetime.fromisoformat(text), option)
    except NaiveDatetimeError as error:
        raise click.BadParameter(str(error), param_hint=option) from error
    except ValueError as error:
        raise click.BadParameter(
            f"{text!r} is not a valid ISO 8601 instant, such as 2026-03-08T00:00:00Z",
            param_hint=option,
        ) from error


def read_json(text: str, option: str) -> Any:
    """Return the JSON value that an option holds.

    Raises:
        click.BadParameter: it is not JSON.
    """
    try:
        return json.loads(text)
    except ValueError as error:
        raise click.BadParameter(f"{error}; give JSON", param_hint=option) from error

"""The errors to which a web application that `init_app` has connected responds with a status."""

from __future__ import annotations

from duly.errors import (
    ArgumentsError,
    Conflict,
    DatabaseUnavailable,
    DulyError,
    NaiveDatetimeError,
    NotFound,
    PayloadError,
    TooManyWaiting,
    TriggerError,
)

ANSWERED: tuple[type[DulyError], ...] = (
    NotFound,
    Conflict,
    ArgumentsError,
    PayloadError,
    TriggerError,
    NaiveDatetimeError,
    DatabaseUnavailable,
    TooManyWaiting,
)
"""The errors that a request can cause. The others, such as `UnknownTask` or `ConfigurationError`,
are mistakes in the application: they stay errors, which servers log with their tracebacks."""

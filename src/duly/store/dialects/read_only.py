"""Discard connections to a server that cannot be written to, such as a standby after a failover.

The address of a database may lead to one for a while. A connection to it works, and would stay in
the pool when the address leads to a writer again.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Engine, event
from sqlalchemy.engine import ExceptionContext


def discard_read_only(engine: Engine, is_read_only: Callable[[BaseException], bool]) -> None:
    """Discard all pooled connections of an engine when one of them answers "read-only".

    Args:
        engine: an engine of Duly's own.
        is_read_only: returns whether a driver's error means that the server cannot be written to.
    """

    def mark(context: ExceptionContext) -> None:
        if is_read_only(context.original_exception):
            context.is_disconnect = True

    event.listen(engine, "handle_error", mark)

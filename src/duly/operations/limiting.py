"""Limits that hold over all workers together."""

from __future__ import annotations

from duly.model.checks import TIME, label, optional, whole
from duly.operations import queues as limit_commands
from duly.operations.core import Wiring
from duly.operations.patience import patient
from duly.store import limits
from duly.store.limits import KeyLimit

MOST = 1_000_000


class Limiting(Wiring):
    """How many runs may run at once, and how many may start in a time."""

    @patient
    def set_limit(self, key: str, max_running: int, *, actor: str | None = None) -> None:
        """Say how many runs with a concurrency key may run at once, over all workers.

        Without it one runs at a time. A lower limit stops nothing that runs already.

        Args:
            key: 1 to 191 characters, as in ``concurrency_key=``.
            max_running: 1 or more; 0 holds all of them back.
            actor: who does it, for the audit trail.

        Raises:
            ConfigurationError: a value out of range.
        """
        held, most = label(191)("key", key), whole(0, MOST)("max_running", max_running)
        with self._write(actor) as tx:
            limit_commands.set_limit(tx, held, most)

    @patient
    def remove_limit(self, key: str, *, actor: str | None = None) -> bool:
        """One run with this key at a time again; says whether a limit was set."""
        with self._write(actor) as tx:
            return limit_commands.remove_limit(tx, label(191)("key", key))

    def limits(self) -> list[KeyLimit]:
        """The limits that were set, by key, each with how many of its runs run now."""
        with self.store.read() as conn:
            return limits.all_keys(conn)

    @patient
    def set_queue(
        self,
        name: str,
        *,
        max_running: int | None = None,
        rate: int | None = None,
        per: float = 60,
        actor: str | None = None,
    ) -> None:
        """Say what a queue allows, over all workers; what is not given is not limited.

        `status` shows it. Whether the queue is paused stays as it is.

        Args:
            name: the queue.
            max_running: how many of its runs may run at once.
            rate: how many of its runs may start in ``per`` seconds. What is not used adds up to
                ``rate`` starts, so that a quiet queue may start as many at once.
            per: seconds.
            actor: who does it, for the audit trail.

        Raises:
            ConfigurationError: a value out of range.
        """
        held = label(64)("name", name)
        most = optional(whole(1, MOST))("max_running", max_running)
        starts, period = optional(whole(1, MOST))("rate", rate), float(TIME("per", per))
        with self._write(actor) as tx:
            limit_commands.set_queue(tx, held, max_running=most, rate=starts, period=period)

"""Handing runs to the executors of other systems, such as Celery (engine rule 30).

A hand-off is written in the transaction that claims its run, and its message is sent after the
commit. Whatever happens to the message, the database decides what starts: a lost message is sent
again, and one that is late or doubled finds that its run has another token.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from functools import partial

from duly.errors import DulyError, ExecutorUnavailable
from duly.hooks import HandOff, RemoteExecutor
from duly.model.settings import Settings
from duly.model.text import safe_str
from duly.registry import Registry
from duly.store import hand_offs
from duly.store.store import Store
from duly.store.transaction import Transaction
from duly.worker.claims.claim import Claim
from duly.worker.claims.claimer import Capacity
from duly.worker.claims.claims import Claims

log = logging.getLogger("duly.worker")
BATCH = 100
"""The number of runs of one queue that one transaction hands off."""

POLL = 1.0
"""Seconds between two looks for messages that are to be sent again."""

BACK_OFF = 5.0
"""Seconds before another attempt to reach an executor."""


class HandOffs:
    """Hands runs to one executor, for one worker.

    Args:
        store: the database.
        name: the name of the executor.
        executor: the executor.
        claims: claim the runs to hand off, by the queues that they claim from.
        worker_id: returns the id of the worker; empty while it must not claim.

    Attributes:
        trouble: why the executor cannot be reached, if it cannot.
    """

    def __init__(
        self,
        store: Store,
        name: str,
        executor: RemoteExecutor,
        claims: Mapping[tuple[str, ...], Claims],
        worker_id: Callable[[], str],
    ) -> None:
        self._store = store
        self._name = name
        self._executor = executor
        self._claims = claims
        self._worker_id = worker_id
        self._resend = timedelta(seconds=executor.resend)
        self._next_look = self._next_try = 0.0
        self._waiting = Counter[str]()
        self._wake = threading.Event()
        self._halt = threading.Event()
        self._thread: threading.Thread | None = None
        self.name = name
        self.trouble: str | None = None

    def start(self) -> None:
        """Hand runs off on a thread from now on."""
        if self._thread is None:
            self._halt.clear()
            self._thread = threading.Thread(
                target=self._serve, name=f"duly-hand-off-{self._name}", daemon=True
            )
            self._thread.start()

    def stop(self) -> None:
        """Hand off nothing more."""
        thread, self._thread = self._thread, None
        self._halt.set()
        self._wake.set()
        if thread is not None:
            thread.join(timeout=BACK_OFF)

    def wake(self) -> None:
        """Look for runs to hand off now."""
        self._wake.set()

    def step(self) -> bool:
        """Hand off what is ready, send overdue messages again; return whether there may be more."""
        steady, worker_id = self._store.clock.monotonic(), self._worker_id()
        if not worker_id or steady < self._next_try:
            return False
        messages: list[HandOff] = []
        if steady >= self._next_look:
            self._next_look = steady + POLL
            messages += self._store.run(self._look)
            self._count()
        more = self._claim(worker_id, messages)
        self._send(messages)
        return more and self.trouble is None

    def _look(self, tx: Transaction) -> list[HandOff]:
        hand_offs.sweep(tx, self._name)
        return hand_offs.take_overdue(tx, self._name, self._resend, BATCH)

    def _claim(self, worker_id: str, messages: list[HandOff]) -> bool:
        """Claim runs and hand them off; return whether there may be more."""
        more = False
        for queues, claims in self._claims.items():
            free = {queue: self._room(queue) for queue in queues}
            wanted = {
                queue: Capacity(min(room, BATCH), 0) for queue, room in free.items() if room > 0
            }
            if not wanted:
                continue
            claimed = claims.claim(worker_id, wanted, idle=True)
            if claimed is not None:
                messages += [_message(claim) for claim in claimed.claims]
                self._waiting.update(claim.queue for claim in claimed.claims)
                more |= claimed.more
        return more

    def _room(self, queue: str) -> int:
        """Return how many runs of a queue may be handed off; count them only if it seems full."""
        if self._waiting[queue] >= self._executor.window:
            self._count()
        return self._executor.window - self._waiting[queue]

    def _count(self) -> None:
        with self._store.read() as conn:
            self._waiting = Counter(hand_offs.waiting(conn, self._name))

    def _send(self, messages: Sequence[HandOff]) -> None:
        if not messages:
            return
        try:
            self._executor.send(messages)
        except ExecutorUnavailable as error:
            self._store.run(partial(hand_offs.withdraw, hand_offs=messages))
            self._next_try = self._store.clock.monotonic() + BACK_OFF
            if self.trouble is None:
                log.error(
                    "The executor %r cannot be reached (%s); its runs wait until it can.",
                    self._name, safe_str(error, 500),
                )  # fmt: skip
            self.trouble = safe_str(error, 500)
            return
        if self.trouble is not None:
            log.info("The executor %r can be reached again.", self._name)
        self.trouble = None

    def _serve(self) -> None:
        while not self._halt.is_set():
            more = False
            try:
                more = self.step()
            except DulyError as error:
                log.warning("Runs cannot be handed off now: %s", safe_str(error, 500))
                self._store.clock.wait(self._halt, POLL)
            except Exception:
                log.exception("Handing runs to the executor %r failed.", self._name)
                self._store.clock.wait(self._halt, BACK_OFF)
            if not more:
                self._store.clock.wait(self._wake, POLL)
                self._wake.clear()


def _message(claim: Claim) -> HandOff:
    """Return the hand-off of a run that was claimed, which has raised its token once more."""
    return HandOff(claim.id, claim.token + 1, claim.policy.timeout)


def hand_offs_of(
    store: Store, registry: Registry, settings: Settings, worker_id: Callable[[], str]
) -> list[HandOffs]:
    """Return one `HandOffs` for each executor of a scheduler.

    A queue of the executor's own is handed over as a whole; of the scheduler's other queues, the
    runs of the tasks that name the executor.
    """
    if settings.sole_worker or settings.lent:
        return []
    made = []
    for name, executor in settings.executors.items():
        resend = timedelta(seconds=executor.resend)

        def on_claim(
            tx: Transaction, claims: Sequence[Claim], name: str = name, resend: timedelta = resend
        ) -> None:
            hand_offs.add(tx, name, [claim.snapshot for claim in claims], resend)

        parts: dict[tuple[str, ...], Claims] = {}
        if executor.queues:
            whole = tuple(executor.queues)
            parts[whole] = Claims(store, registry.names, whole, on_claim)
        if settings.own_queues:
            others = tuple(settings.own_queues)
            own_tasks = partial(registry.executed_by, (name,))
            parts[others] = Claims(store, own_tasks, others, on_claim)
        made.append(HandOffs(store, name, executor, parts, worker_id))
    return made

"""What is in flight: the claims of this worker that wait for a slot, and its running attempts."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from duly.clock import Clock
from duly.worker.attempt import Attempt
from duly.worker.claims.claim import Claim
from duly.worker.claims.claimer import Capacity
from duly.worker.queue_slots import QueueSlots


class Reservation:
    """Capacity that one transaction has reserved for the runs that it may claim.

    Two threads that only looked at the same free slot would both claim for it, and the second run
    would wait here, while another worker may be idle.

    Args:
        in_flight: where the capacity is.

    Attributes:
        reserved: the number of runs for which capacity is reserved, by queue.
    """

    def __init__(self, in_flight: InFlight) -> None:
        self._in_flight = in_flight
        self.reserved: dict[str, int] = {}

    def take(self, queue: str, wanted: int) -> int:
        """Reserve capacity for up to this many runs of a queue; return for how many in total."""
        missing = wanted - self.reserved.get(queue, 0)
        if missing > 0:
            self._in_flight.reserve(self.reserved, queue, missing)
        return self.reserved.get(queue, 0)

    def take_slot(self, queue: str) -> bool:
        """Reserve a slot in which a run can start at once, if there is one."""
        return self._in_flight.reserve(self.reserved, queue, 1, only_free=True) > 0

    def take_all(self) -> dict[str, Capacity]:
        """Reserve all capacity that there is, and return it."""
        return self._in_flight.reserve_all(self.reserved)


class InFlight:
    """All claims and attempts of this worker, until the attempts' functions have returned.

    Args:
        queues: the number of runs of each queue that this worker executes at once.
        clock: measures how long a claim has waited.

    Attributes:
        empty: set while nothing is in flight.
    """

    def __init__(self, queues: Mapping[str, int], clock: Clock) -> None:
        self._slots = {queue: QueueSlots(size) for queue, size in queues.items()}
        self._admitted: set[Claim] = set()
        self._clock = clock
        self._attempts: dict[Claim, Attempt | None] = {}
        self._quarantined: Claim | None = None
        self._lock = threading.Lock()
        self.empty = threading.Event()
        self.empty.set()

    @property
    def has_capacity(self) -> bool:
        """Whether any run may be claimed."""
        with self._lock:
            return self._quarantined not in self._attempts and any(
                any(slots.capacity()) for slots in self._slots.values()
            )

    @contextmanager
    def reservation(self) -> Iterator[Reservation]:
        """Reserve capacity in the block; what is not used by then is released."""
        reservation = Reservation(self)
        try:
            yield reservation
        finally:
            with self._lock:
                for queue, count in reservation.reserved.items():
                    self._slots[queue].reserved -= count

    def reserve(
        self, reserved: dict[str, int], queue: str, wanted: int, *, only_free: bool = False
    ) -> int:
        """Reserve capacity for up to this many runs of a queue; return for how many."""
        with self._lock:
            slots = self._slots.get(queue)
            if slots is None or self._quarantined in self._attempts:  # it must run alone
                return 0
            free, prefetch = slots.capacity()
            count = min(wanted, free if only_free else free + prefetch)
            if count:
                slots.reserved += count
                reserved[queue] = reserved.get(queue, 0) + count
            return count

    def admit(self, attempt: Attempt) -> None:
        """Begin an attempt that another system has chosen to execute here: it needs no slot."""
        with self._lock:
            self._attempts[attempt.claim] = attempt
            self._admitted.add(attempt.claim)
            if attempt.claim.quarantined:
                self._quarantined = attempt.claim
            attempt.begin()
            self.empty.clear()

    def reserve_all(self, reserved: dict[str, int]) -> dict[str, Capacity]:
        """Reserve all capacity, and return it by queue."""
        capacities = {}
        with self._lock:
            if self._quarantined in self._attempts:
                return {}
            for queue, slots in self._slots.items():
                capacity = slots.capacity()
                if any(capacity):
                    capacities[queue] = capacity
                    slots.reserved += sum(capacity)
                    reserved[queue] = reserved.get(queue, 0) + sum(capacity)
        return capacities

    def add(self, claims: Sequence[Claim], reservation: Reservation) -> None:
        """Add claims; they wait for slots, and use up what was reserved for them."""
        steady = self._clock.monotonic()
        with self._lock:
            for claim in claims:
                self._attempts[claim] = None
                if claim.quarantined:
                    self._quarantined = claim
                slots = self._slots[claim.queue]
                slots.waiting.append((steady, claim))
                if reservation.reserved.get(claim.queue, 0) > 0:
                    reservation.reserved[claim.queue] -= 1
                    slots.reserved -= 1
            if self._attempts:
                self.empty.clear()

    def begin_next(self, queue: str, make: Callable[[Claim], Attempt]) -> Attempt | None:
        """Make an attempt of the next claim of a queue, if there is a slot for it."""
        with self._lock:
            claim = self._slots[queue].take()
            if claim is None:
                return None
            attempt = self._attempts[claim] = make(claim)
            attempt.begin()
        return attempt

    def end(self, attempt: Attempt, seconds: float) -> None:
        """Remove an attempt whose function has ended, and free its slot."""
        with self._lock:
            claim = attempt.claim
            del self._attempts[claim]
            if claim in self._admitted:
                self._admitted.remove(claim)
            else:
                self._slots[claim.queue].release(seconds)
            if not self._attempts:
                self.empty.set()

    def withdraw(self, before: float) -> list[Claim]:
        """Remove and return the claims that have waited since ``before`` on the steady clock."""
        withdrawn = []
        with self._lock:
            for slots in self._slots.values():
                while slots.waiting and slots.waiting[0][0] <= before:
                    withdrawn.append(slots.waiting.popleft()[1])
                    slots.forget_speed()
            for claim in withdrawn:
                del self._attempts[claim]
            if not self._attempts:
                self.empty.set()
        return withdrawn

    def claims(self) -> list[Claim]:
        """Return the claims of everything in flight."""
        with self._lock:
            return list(self._attempts)

    def attempts(self) -> list[Attempt]:
        """Return the attempts whose functions have started."""
        with self._lock:
            return [attempt for attempt in self._attempts.values() if attempt is not None]

    @property
    def any_live(self) -> bool:
        """Whether anything is in flight whose result still counts."""
        with self._lock:
            attempts = list(self._attempts.values())
        return any(attempt is None or not attempt.has_outlived_run for attempt in attempts)

    def __len__(self) -> int:
        return len(self._attempts)

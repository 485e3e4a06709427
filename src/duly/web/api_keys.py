"""Access with the keys that the scheduler stores, and the limit of their requests."""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass

from starlette.exceptions import HTTPException
from starlette.requests import Request

from duly.model.key import PREFIX, KeyRecord
from duly.scheduler import Scheduler
from duly.web.access import Principal, bearer_token

MAX_BUCKETS = 10_000
PER_S = 60.0


@dataclass(slots=True)
class TokenBucket:
    """The requests that a key has left: a minute's worth at first, refilled evenly.

    Attributes:
        left: the number of requests; below 1, the next one is refused.
        at: when that was computed, by the monotonic clock.
    """

    left: float
    at: float

    def take(self, rate: int, now: float) -> float:
        """Take one request; return 0, or the seconds until there is one."""
        self.left = min(float(rate), self.left + (now - self.at) * rate / PER_S)
        self.at = now
        if self.left >= 1:
            self.left -= 1
            return 0
        return (1 - self.left) * PER_S / rate


class ApiKeys:
    """Finds out which stored key a request has.

    The limits are kept in this process: with several web processes, each admits the whole rate.

    Args:
        scheduler: the scheduler that stores the keys.
    """

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._buckets: OrderedDict[str, TokenBucket] = OrderedDict()

    async def principal_of(self, request: Request) -> Principal | None:
        """Return the principal of a request's key; ``None``: it has none that is stored.

        Raises:
            HTTPException: 401, the key is revoked or has expired; 429, it has no requests left.
        """
        token = bearer_token(request)
        if token is None or not token.startswith(PREFIX):
            return None
        record = await self._scheduler.aio.verify_key(token)
        if record is None:
            return None
        if not record.is_valid(self._scheduler.store.time.now()):
            fate = "has expired" if record.revoked_at is None else "was revoked"
            raise HTTPException(
                401, f"The key {record.name!r} {fate}.", {"WWW-Authenticate": "Bearer"}
            )
        self._take(record)
        return Principal(f"key:{record.name}", record.role, record.owners)

    def _take(self, record: KeyRecord) -> None:
        """Count a request against the limit of its key."""
        if record.rate is None:
            return
        now = self._scheduler.clock.monotonic()
        bucket = self._buckets.setdefault(record.id, TokenBucket(record.rate, now))
        self._buckets.move_to_end(record.id)
        if len(self._buckets) > MAX_BUCKETS:
            self._buckets.popitem(last=False)
        wait = bucket.take(record.rate, now)
        if wait:
            raise HTTPException(
                429,
                f"The key {record.name!r} may send {record.rate} requests per minute; try again "
                f"in {math.ceil(wait)} s.",
                {"Retry-After": str(math.ceil(wait))},
            )

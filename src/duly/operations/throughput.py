"""How many runs end and how late they start, over the last hour, day or week."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Literal, get_args

from duly.errors import ConfigurationError
from duly.model.lateness import quantile
from duly.model.record import Record, record
from duly.operations.core import Core
from duly.store import throughput as rows

Window = Literal["1h", "24h", "7d"]


@record
class ThroughputPeriod(Record):
    """The runs that ended in one period.

    Attributes:
        start: its first instant.
        outcomes: the number of runs by the state in which they ended, such as ``succeeded``. Each
            nominal time that was missed counts.
        lateness_p50: the lateness in seconds that half of those that had started did not exceed,
            rounded up to a bound of Duly's histogram; ``None`` if none of them had started. The
            lateness of a run is the time from the instant when its last attempt was due until that
            started.
        lateness_p99: the lateness that 99 % did not exceed.
    """

    start: datetime
    outcomes: dict[str, int]
    lateness_p50: float | None
    lateness_p99: float | None


@record
class Throughput(Record):
    """The runs that ended in a window of time.

    Attributes:
        at: the instant, by the scheduler's clock.
        window: ``1h``, ``24h`` or ``7d``.
        seconds: the length of each period.
        periods: the periods, oldest first, without gaps; the last one has not ended.
        outcomes: the number of runs in the whole window, by the state in which they ended.
        lateness_p50: as in each period, for the whole window.
        lateness_p99: as in each period, for the whole window.
    """

    at: datetime
    window: Window
    seconds: int
    periods: list[ThroughputPeriod]
    outcomes: dict[str, int]
    lateness_p50: float | None
    lateness_p99: float | None


def throughput(core: Core, window: Window = "24h") -> Throughput:
    """Return how many runs have ended in each period of a window, and how late they started.

    It reads sums that workers keep, and no runs, so that it takes no longer with many runs. A run
    that ends more than once, because it was retried manually, counts each time.

    Args:
        window: ``1h`` (60 periods of a minute), ``24h`` (96 of 15 minutes) or ``7d`` (84 of two
            hours). Periods begin at multiples of their length in UTC.

    Raises:
        ConfigurationError: the window is none of these.
    """
    periods = rows.WINDOWS.get(window)
    if periods is None:
        known = ", ".join(map(repr, get_args(Window)))
        raise ConfigurationError(f"window is {window!r}; it must be one of {known}")
    with core.store.read() as conn:
        now = core.store.time.now()
        last = int(now.timestamp()) // periods.width * periods.width
        starts = range(last - (periods.number - 1) * periods.width, last + 1, periods.width)
        found = rows.read(conn, periods, starts[0])
    ended: defaultdict[int, dict[rows.Ended, int]] = defaultdict(dict)
    for key, count in found.items():
        # A worker whose clock is ahead may have counted in a period that has not begun here.
        ended[min(key.start, last)][key] = count
    return Throughput(
        at=now,
        window=window,
        seconds=periods.width,
        periods=[_period(start, ended[start]) for start in starts],
        outcomes=_outcomes(found),
        **_lateness(found),
    )


def _period(start: int, ended: Mapping[rows.Ended, int]) -> ThroughputPeriod:
    moment = datetime.fromtimestamp(start, UTC)
    return ThroughputPeriod(moment, _outcomes(ended), **_lateness(ended))


def _outcomes(ended: Mapping[rows.Ended, int]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for key, count in ended.items():
        counts[key.outcome] += count
    return dict(sorted(counts.items()))


def _lateness(ended: Mapping[rows.Ended, int]) -> dict[str, float | None]:
    counts: Counter[int] = Counter()
    for key, count in ended.items():
        counts[key.lateness] += count
    return {"lateness_p50": quantile(counts, 0.5), "lateness_p99": quantile(counts, 0.99)}

"""The mapping between the wall clock of a zone and instants, as a sequence of pieces.

All numbers are whole seconds since 1970: *instants* count UTC, *wall seconds* count what a wall
clock shows. Within a plain piece, ``wall = instant + offset``. A clock change adds a short special
piece, which implements the ``gap=`` and ``fold=`` policies (rule R3 and rule R4):

====================  ==========================================  ===============================
change, policy        special piece                               wall times that fire there
====================  ==========================================  ===============================
gap, ``shift``        the first g seconds after a gap of g        under the new and the old offset
gap, ``first``        the first second after the gap              all that the gap skipped
gap, ``skip``         none
fold, ``first``       the second pass of the fold                 none
fold, ``last``        the first pass of the fold                  none
fold, ``both``        none
====================  ==========================================  ===============================
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from zoneinfo import ZoneInfo

from duly.triggers.wallclock.changes import MARGIN, ClockChange, changes_around, offset_at
from duly.triggers.wallclock.seconds import EARLIEST, LATEST, year_of, year_start
from duly.triggers.wallclock.zones import load_zone

Bands = tuple[tuple[int, int], ...]
"""(low, high): instant x fires if a wall second in [x + low, x + high] matches."""

Piece = tuple[int, int, int, Bands | None]
"""(start, end, offset, bands): ``end`` is excluded; ``bands`` is ``None`` in a plain piece."""

_Window = Callable[[int, int, int], tuple[int, int, Bands]]


class Timeline:
    """The pieces of one zone under one pair of policies, computed year by year on demand.

    Args:
        zone: the zone.
        gap: see `duly.triggers.wallclock.clock.WallClock`.
        fold: see `duly.triggers.wallclock.clock.WallClock`.
    """

    __slots__ = ("_fold", "_gap", "_recent", "_years", "_zone")

    def __init__(self, zone: ZoneInfo, gap: str, fold: str) -> None:
        self._zone = zone
        self._gap = gap
        self._fold = fold
        self._years: dict[int, tuple[list[int], list[Piece]]] = {}
        fixed = zone.utcoffset(None)
        self._recent: Piece = (0, 0, 0, None)
        if fixed is not None:
            self._recent = (EARLIEST, LATEST, int(fixed.total_seconds()), None)

    def at(self, second: int) -> Piece:
        """Return the piece that contains an instant between `EARLIEST` and `LATEST`."""
        piece = self._recent
        if piece[0] <= second < piece[1]:
            return piece
        year = year_of(second)
        if (known := self._years.get(year)) is None:
            pieces = self._year(year)
            known = self._years[year] = ([piece[0] for piece in pieces], pieces)
        self._recent = piece = known[1][bisect_right(known[0], second) - 1]
        return piece

    def _year(self, year: int) -> list[Piece]:
        """Return the pieces of a year, clipped to it."""
        start, end = year_start(year), year_start(year + 1)
        changes = changes_around(self._zone, year)
        offset = changes[0].before if changes else offset_at(self._zone, start)
        pieces = _pieces(changes, start - MARGIN, end + MARGIN, offset, self._window)
        return [
            (max(s, start), min(e, end), offset, bands)
            for s, e, offset, bands in pieces
            if s < end and e > start
        ]

    def _window(self, at: int, before: int, after: int) -> tuple[int, int, Bands]:
        """Return the start, end and bands of the special piece of a clock change."""
        if after > before:
            if self._gap == "shift":
                return at, at + after - before, ((after, after), (before, before))
            if self._gap == "first":
                return at, at + 1, ((before, after),)
        elif self._fold == "first":
            return at, at + before - after, ()
        elif self._fold == "last":
            return at - (before - after), at, ()
        return at, at, ()


@lru_cache(maxsize=2048)
def timeline(tz: str, gap: str, fold: str) -> Timeline:
    """Return the timeline of a zone. Cached: equal arguments share one object."""
    return Timeline(load_zone(tz), gap, fold)


def _pieces(
    changes: Iterable[ClockChange], start: int, end: int, offset: int, window: _Window
) -> Iterator[Piece]:
    for at, before, after in changes:
        special, special_end, bands = window(at, before, after)
        if start < special:
            yield start, special, before, None
        if special < special_end:
            yield special, special_end, after if special == at else before, bands
        start, offset = max(at, special_end), after
    yield start, end, offset, None

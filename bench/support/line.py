"""One line of the results: a scenario on a database, Duly beside its peers and the limit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from math import isnan
from typing import ParamSpec

from bench.support.contender import CannotRun

P = ParamSpec("P")
DULY = "Duly"
HEAD = ("id", "scenario", "database", "goal", "Duly", "best peer", "ratio", "of the limit")


@dataclass
class Line:
    """The figures of one scenario on one database.

    Attributes:
        id: F1 to F11.
        scenario: what is measured.
        database: where.
        goal: the figure that Duly should reach, as text.
        unit: the unit of every figure.
        less: whether a smaller figure is better.
        figures: the figure of each contender, by name.
        limit: what a loop written by hand reaches with the driver alone.
        troubles: why a contender could not be measured, by name.
    """

    id: str
    scenario: str
    database: str
    goal: str
    unit: str
    less: bool = False
    figures: dict[str, float] = field(default_factory=dict)
    limit: float | None = None
    troubles: dict[str, str] = field(default_factory=dict)

    def take(self, name: str, measure: Callable[P, float], *args: P.args, **kw: P.kwargs) -> None:
        """Measure a contender; if it cannot run here, note why and continue."""
        try:
            self.figures[name] = measure(*args, **kw)
        except CannotRun as error:
            self.troubles[name] = str(error)

    def take_limit(self, measure: Callable[P, float], *args: P.args, **kw: P.kwargs) -> None:
        """Measure the loop written by hand."""
        try:
            self.limit = measure(*args, **kw)
        except CannotRun as error:
            self.troubles["the limit"] = str(error)

    def take_note(self, name: str, done: float, wanted: int) -> None:
        """Note that a contender was stopped early; its rate until then counts."""
        if done < wanted:
            self.troubles[name] = f"was stopped after {done:,.0f} of {wanted:,} runs"

    @property
    def best_peer(self) -> tuple[str, float] | None:
        """The peer with the best figure, if any was measured."""
        peers = [
            (value, name)
            for name, value in self.figures.items()
            if name != DULY and not isnan(value)
        ]
        if not peers:
            return None
        value, name = min(peers) if self.less else max(peers)
        return name, value

    @property
    def ratio(self) -> float | None:
        """The factor by which Duly is better than the best peer."""
        return None if self.best_peer is None else self._against(self.best_peer[1])

    @property
    def share(self) -> float | None:
        """The share of the limit that Duly reaches."""
        return self._against(self.limit)

    def _against(self, other: float | None) -> float | None:
        own = self.figures.get(DULY)
        if not own or not other or own * other < 0:
            return None
        return other / own if self.less else own / other

    def cells(self) -> tuple[str, ...]:
        """Return the cells of the columns of `HEAD`."""
        own, peer = self.figures.get(DULY), self.best_peer
        return (
            self.id,
            self.scenario,
            self.database,
            self.goal,
            self._why([DULY]) if own is None else f"{rounded(own)} {self.unit}",
            self._why(set(self.troubles) - {DULY}) if peer is None else self._shown(*peer),
            "-" if self.ratio is None else f"{rounded(self.ratio)} x",
            "-" if self.share is None else f"{self.share:.0%}",
        )

    def _shown(self, name: str, value: float) -> str:
        return f"{name}: {rounded(value)} {self.unit}"

    def _why(self, names: Iterable[str]) -> str:
        """Return why there is no figure for any of these contenders."""
        return "; ".join(sorted({self.troubles[n] for n in names if n in self.troubles})) or "-"

    def details(self) -> list[str]:
        """Return a line for each figure, and for each contender that could not be measured."""
        every = dict(self.figures)
        if self.limit is not None:
            every["the limit"] = self.limit
        figures = ", ".join(f"{name} {rounded(value)}" for name, value in every.items())
        what = f"{self.id} {self.scenario}, {self.database}"
        measured = [f"{what} ({self.unit}): {figures}"] if figures else []
        return measured + [f"{what}: {name}: {why}" for name, why in self.troubles.items()]


def rounded(value: float) -> str:
    """Format a figure with three significant digits."""
    if isnan(value):
        return "none"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def table(lines: Iterable[Line]) -> str:
    """Return a Markdown table, without lines for which no contender was chosen."""
    chosen = [line.cells() for line in lines if line.figures or line.troubles]
    rows = [HEAD, ("---",) * len(HEAD), *chosen]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def take_all(
    lines: Mapping[str, Line], name: str, measure: Callable[[], Mapping[str, float]]
) -> None:
    """Measure a contender once for several lines; if it cannot run, the first one notes why."""
    try:
        figures = measure()
    except CannotRun as error:
        next(iter(lines.values())).troubles[name] = str(error)
        return
    for key, line in lines.items():
        if key in figures:
            line.figures[name] = figures[key]

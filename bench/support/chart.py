"""A chart of the ratios, in SVG."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from math import log10

from bench.support.line import Line

WIDTH, LABEL, BAR, ROW, TOP = 940, 420, 330, 26, 64
DECADES = (0.1, 1, 10, 100)
BETTER, WORSE = "#2f7d4f", "#b4552d"
STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#555}"
    ".title{font-size:16px;font-weight:600}.small{font-size:11px}"
    "@media(prefers-color-scheme:dark){text{fill:#bbb}}"
)


def draw(lines: Iterable[Line], about: str) -> str:
    """Draw a bar for each line: the factor by which Duly beats the best peer, logarithmic."""
    ratios = [(line, line.ratio) for line in lines]
    bars = [(line, ratio) for line, ratio in ratios if ratio is not None]
    height = TOP + ROW * len(bars) + 34
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}"'
        f' width="{WIDTH}" role="img" aria-label="Duly against its best peer">',
        f"<style>{STYLE}</style>",
        '<text class="title" x="12" y="26">Duly against its best peer, times better</text>',
        f'<text class="small" x="12" y="44">{escape(about)}; made by make bench</text>',
        *(_grid(decade, height) for decade in DECADES),
        *(_bar(number, line, ratio) for number, (line, ratio) in enumerate(bars)),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _grid(decade: float, height: int) -> str:
    x = _x(decade)
    return (
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 6}" y2="{height - 28}" stroke="#999"'
        f' stroke-opacity="{0.9 if decade == 1 else 0.3}"/>'
        f'<text class="small" x="{x:.1f}" y="{height - 12}" text-anchor="middle">{decade:g}</text>'
    )


def _bar(number: int, line: Line, ratio: float) -> str:
    y, one, end = TOP + ROW * number, _x(1), _x(ratio)
    peer = line.best_peer[0] if line.best_peer else ""
    database = "" if line.database == "-" else f", {line.database}"
    return (
        f'<text x="12" y="{y + 14}">{escape(f"{line.id} {line.scenario}{database}")}</text>'
        f'<rect x="{min(one, end):.1f}" y="{y + 2}" width="{abs(end - one):.1f}" height="16"'
        f' fill="{BETTER if ratio >= 1 else WORSE}"/>'
        f'<text class="small" x="{max(one, end) + 6:.1f}" y="{y + 14}">'
        f"{ratio:.3g} x {escape(peer)}</text>"
    )


def _x(ratio: float) -> float:
    """Return the position of a ratio; one outside the scale is drawn at its end."""
    low, high = log10(DECADES[0]), log10(DECADES[-1])
    return LABEL + BAR * (min(max(log10(ratio), low), high) - low) / (high - low)

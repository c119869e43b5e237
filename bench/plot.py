"""Curves as SVG, both axes logarithmic.

Written by hand: a plot of a few lines needs no library, and the text of the file changes only where the figures do.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from math import ceil, floor, log10
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

WIDTH: Final = 860
HEIGHT: Final = 440
_LEFT, _RIGHT, _TOP, _BOTTOM = 76, 232, 46, 52
_STYLE: Final = """\
text { font: 13px system-ui, sans-serif; fill: #333 }
.title { font-size: 15px; font-weight: 600 }
.grid { stroke: #ddd } .axis { stroke: #888 }
.line { fill: none; stroke-width: 2 }
.back { fill: #fff }
@media (prefers-color-scheme: dark) {
text { fill: #ddd } .grid { stroke: #333 } .axis { stroke: #777 } .back { fill: #161616 }
}"""
#: Lines of the legend are at least so far apart.
_SPACING: Final = 18


@dataclass(frozen=True)
class Series:
    """One curve.

    Attributes:
        name: in the legend.
        points: (x, y), ascending.
        colour: as SVG writes it.
        strong: drawn thicker than the others.
    """

    name: str
    points: Sequence[tuple[float, float]]
    colour: str
    strong: bool = False


@dataclass(frozen=True)
class Plot:
    """A plot; both axes are logarithmic.

    Attributes:
        title: above it.
        x: what the axis means.
        y: likewise.
        series: curves.
    """

    title: str
    x: str
    y: str
    series: Sequence[Series] = field(default_factory=tuple)

    def svg(self) -> str:
        """Return the file's text."""
        drawn = [it for it in self.series if it.points]
        if not drawn:
            raise ValueError(f"nothing to plot: {self.title}")
        across = _Axis([x for it in drawn for x, _ in it.points], _LEFT, WIDTH - _RIGHT)
        up = _Axis([y for it in drawn for _, y in it.points], HEIGHT - _BOTTOM, _TOP)
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
            f"<title>{escape(self.title)}</title><style>{_STYLE}</style>",
            f'<rect class="back" width="{WIDTH}" height="{HEIGHT}"/>',
            f'<text class="title" x="{_LEFT}" y="24">{escape(self.title)}</text>',
            *_grid(across, up),
            *_labels(self),
            *(_curve(it, across, up) for it in drawn),
            *_legend(drawn, across, up),
            "</svg>",
        ]
        return "\n".join(parts) + "\n"


class _Axis:
    """Decades from below the smallest value to above the largest one, on a stretch of the picture."""

    def __init__(self, values: Sequence[float], begin: int, end: int) -> None:
        self.first, self.last = floor(log10(min(values))), ceil(log10(max(values)))
        self.last = max(self.last, self.first + 1)
        self.begin, self.end = begin, end

    def __call__(self, value: float) -> float:
        part = (log10(value) - self.first) / (self.last - self.first)
        return round(self.begin + part * (self.end - self.begin), 1)

    @property
    def decades(self) -> list[float]:
        return [10.0**power for power in range(self.first, self.last + 1)]


def _grid(across: _Axis, up: _Axis) -> list[str]:
    vertical = [
        f'<line class="grid" x1="{across(value)}" x2="{across(value)}" y1="{up.end}" y2="{up.begin}"/>'
        f'<text x="{across(value)}" y="{up.begin + 18}" text-anchor="middle">{_short(value)}</text>'
        for value in across.decades
    ]
    horizontal = [
        f'<line class="grid" x1="{across.begin}" x2="{across.end}" y1="{up(value)}" y2="{up(value)}"/>'
        f'<text x="{across.begin - 8}" y="{up(value) + 4}" text-anchor="end">{_short(value)}</text>'
        for value in up.decades
    ]
    axes = [
        f'<line class="axis" x1="{across.begin}" x2="{across.end}" y1="{up.begin}" y2="{up.begin}"/>',
        f'<line class="axis" x1="{across.begin}" x2="{across.begin}" y1="{up.begin}" y2="{up.end}"/>',
    ]
    return [*vertical, *horizontal, *axes]


def _labels(plot: Plot) -> list[str]:
    middle = (_LEFT + WIDTH - _RIGHT) / 2
    height = (HEIGHT - _BOTTOM + _TOP) / 2
    return [
        f'<text x="{middle}" y="{HEIGHT - 12}" text-anchor="middle">{escape(plot.x)}</text>',
        f'<text x="16" y="{height}" text-anchor="middle" transform="rotate(-90 16 {height})">{escape(plot.y)}</text>',
    ]


def _curve(series: Series, across: _Axis, up: _Axis) -> str:
    places = [(across(x), up(y)) for x, y in series.points]
    path = " ".join(f"{x},{y}" for x, y in places)
    width = ' style="stroke-width: 4"' if series.strong else ""
    dots = "".join(f'<circle cx="{x}" cy="{y}" r="3.5" fill="{series.colour}"/>' for x, y in places)
    return f'<polyline class="line" stroke="{series.colour}" points="{path}"{width}/>{dots}'


def _legend(drawn: Sequence[Series], across: _Axis, up: _Axis) -> list[str]:
    """Write each name beside the end of its curve, or as near as the others allow."""
    text: list[str] = []
    lowest = HEIGHT - _BOTTOM
    by_height = sorted(range(len(drawn)), key=lambda number: up(drawn[number].points[-1][1]))
    above = float(_TOP - _SPACING)
    for place, number in enumerate(by_height):
        room_below = (len(drawn) - 1 - place) * _SPACING
        above = min(max(up(drawn[number].points[-1][1]), above + _SPACING), lowest - room_below)
        text += [
            f'<circle cx="{across.end + 16}" cy="{above - 4:.1f}" r="5" fill="{drawn[number].colour}"/>',
            f'<text x="{across.end + 28}" y="{above:.1f}">{escape(drawn[number].name)}</text>',
        ]
    return text


def _short(value: float) -> str:
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{unit}"
    return f"{value:g}"

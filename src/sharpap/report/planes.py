"""Charts whose vertical axis need not start at 0: curves, scatters and heat maps, in the style of `charts`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, isnan, sqrt

from markupsafe import Markup

from sharpap.report.charts import RIGHT, TOP, WIDTH, Mark, Series, dot, legend, polyline, round_step, text
from sharpap.report.template import escape

LEFT, BOTTOM = 104, 56


def curves(
    series: Sequence[Series], *, x_label: str, y_label: str, title: str, about: str, height: int = 300
) -> Markup:
    """A line chart over the range of its data."""
    points = [(x, y) for each in series for x, y in each.points if not isnan(y)]
    if not points:
        return Markup("")
    axes = _Axes.around(points, height)
    parts = [axes.frame(x_label, y_label)]
    parts += [polyline(each, axes.at) for each in series]
    return _svg(parts, WIDTH, height, title, about) + legend([each for each in series if not each.faint])


def scatter(
    marks: Sequence[Mark], *, x_label: str, y_label: str, title: str, about: str, height: int = 320,
    lines: Sequence[Series] = (),
) -> Markup:  # fmt: skip
    """Dots over the range of their data, and lines between some of them; marks of one style share a key."""
    shown = [mark for mark in marks if not (isnan(mark.x) or isnan(mark.y))]
    if not shown:
        return Markup("")
    axes = _Axes.around([(mark.x, mark.y) for mark in shown], height)
    parts = [axes.frame(x_label, y_label)]
    parts += [polyline(each, axes.at) for each in lines] + [dot(mark, axes.at) for mark in shown]
    return _svg(parts, WIDTH, height, title, about)


def heat_map(
    values: Sequence[Sequence[float]],
    rows: Sequence[float],
    columns: Sequence[float],
    *,
    low: float,
    high: float,
    x_label: str,
    y_label: str,
    title: str,
    about: str,
) -> Markup:
    """A square of tiles, the lowest value the strongest colour; first row at the bottom.

    Colour runs from `low` to `high` on a square-root scale, so that small differences show, as in the transfer matrix.
    """
    if not values:
        return Markup("")
    tile = max(1, round(360 / len(values)))  # whole, so that no seam shows between tiles
    size, left, top, bottom = tile * len(values), 74, 10, 92
    parts = []
    for i, row in enumerate(values):
        for j, value in enumerate(row):
            heat = sqrt(min(max((high - value) / (high - low), 0), 1)) if high > low else 0.0
            parts.append(
                f'<rect class="tile" x="{left + j * tile:.1f}" y="{top + size - (i + 1) * tile:.1f}" width="{tile:.1f}" '
                f'height="{tile:.1f}" fill-opacity="{0.04 + 0.96 * heat:.3f}">'
                f"<title>{value:.5f} at ({columns[j]:+.2f}, {rows[i]:+.2f})</title></rect>"
            )
    for place in (0, len(values) // 2, len(values) - 1):
        middle = (place + 0.5) * tile
        parts.append(text(left + middle, top + size + 20, f"{columns[place]:+.2g}", "middle"))
        parts.append(text(left - 8, top + size - middle + 5, f"{rows[place]:+.2g}", "end"))
    parts.append(text(left + size / 2, top + size + 42, x_label, "middle"))
    parts.append(_turned(18, top + size / 2, y_label))
    centre = (len(values) // 2 + 0.5) * tile
    parts.append(f'<circle class="centre" cx="{left + centre:.1f}" cy="{top + size - centre:.1f}" r="6"/>')
    keys, wide = 8, 150
    parts += [
        f'<rect class="tile" x="{left + size / 2 - wide / 2 + key * wide / keys:.1f}" y="{top + size + 58}" '
        f'width="{wide / keys:.1f}" height="14" fill-opacity="{0.04 + 0.96 * sqrt(1 - key / (keys - 1)):.3f}"/>'
        for key in range(keys)
    ]
    parts.append(text(left + size / 2 - wide / 2 - 8, top + size + 70, f"{low:.3g}", "end"))
    parts.append(text(left + size / 2 + wide / 2 + 8, top + size + 70, f"{high:.3g}", "start"))
    return _svg(parts, left + size + 16, top + size + bottom, title, about, "plane")


@dataclass(frozen=True)
class _Axes:
    """Round ticks on both axes and where a value lies on the page."""

    xs: list[float]
    ys: list[float]
    height: int

    @classmethod
    def around(cls, points: Sequence[tuple[float, float]], height: int) -> _Axes:
        return cls(_span([x for x, _ in points]), _span([y for _, y in points]), height)

    def x(self, value: float) -> float:
        return LEFT + (value - self.xs[0]) / (self.xs[-1] - self.xs[0]) * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        low, high = self.ys[0], self.ys[-1]
        return self.height - BOTTOM - (value - low) / (high - low) * (self.height - TOP - BOTTOM)

    def at(self, x: float, y: float) -> tuple[float, float]:
        return self.x(x), self.y(y)

    def frame(self, x_label: str, y_label: str) -> str:
        parts = [
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{self.y(tick):.1f}" y2="{self.y(tick):.1f}"/>'
            + text(LEFT - 8, self.y(tick) + 5, f"{tick:.10g}", "end")
            for tick in self.ys
        ]
        parts += [text(self.x(tick), self.height - BOTTOM + 22, f"{tick:.10g}", "middle") for tick in self.xs]
        parts.append(text((LEFT + WIDTH - RIGHT) / 2, self.height - 5, x_label, "middle"))
        parts.append(_turned(18, (TOP + self.height - BOTTOM) / 2, y_label))
        return "".join(parts)


def _span(values: Sequence[float]) -> list[float]:
    """Three to seven round numbers from just below the least value to just above the greatest."""
    low, high = min(values), max(values)
    if high - low <= 1e-12 * max(abs(low), abs(high)):
        margin = abs(low) / 2 or 0.5
        low, high = low - margin, high + margin
    step = round_step((high - low) / 4)
    first, last = floor(low / step + 1e-9), ceil(high / step - 1e-9)
    return [round(step * index, 12) for index in range(first, last + 1)]


def _svg(parts: Sequence[str], width: float, height: float, title: str, about: str, style: str = "") -> Markup:
    kind = f' class="{style}"' if style else ""
    head = (
        f'<svg{kind} viewBox="0 0 {width:.0f} {height:.0f}" role="img" aria-label="{escape(title)}">'
        f"<title>{escape(title)}</title><desc>{escape(about)}</desc>"
    )
    return Markup(f"{head}{''.join(parts)}</svg>")  # noqa: S704 - every label is escaped where it is put in


def _turned(x: float, y: float, words: str) -> str:
    return f'<text transform="translate({x:.0f} {y:.0f}) rotate(-90)" text-anchor="middle">{escape(words)}</text>'

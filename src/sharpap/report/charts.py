"""Charts as inline SVG: no script, no network, colours from the page's style sheet so that dark mode works.

matplotlib's SVG bakes in colours and sizes, a megabyte of fonts comes with it, and its text does not reflow on a phone; these
charts are a few dozen lines.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import floor, isnan, log10

from markupsafe import Markup

from sharpap.report.template import escape

WIDTH = 640
LEFT, RIGHT, TOP, BOTTOM = 74, 16, 10, 52


@dataclass(frozen=True, kw_only=True)
class Series:
    """One line of a chart.

    Attributes:
        label: for the legend.
        style: CSS class, e.g. "s0", "genuine".
        points: (x, y) pairs.
        faint: draw it thin and leave it out of the legend.
    """

    label: str
    style: str
    points: Sequence[tuple[float, float]]
    faint: bool = False


@dataclass(frozen=True, kw_only=True)
class Mark:
    """One dot at a place of a chart."""

    label: str
    style: str
    x: float
    y: float


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One mean with its interval."""

    label: str
    style: str
    mean: float
    low: float
    high: float


def lines(
    series: Sequence[Series], *, x_label: str, y_label: str, height: int = 240, y_max: float | None = None,
    dots: Sequence[Mark] = (),
) -> Markup:  # fmt: skip
    """A line chart from 0 upwards, with dots within its range."""
    xs = [x for each in series for x, _ in each.points]
    ys = [y for each in series for _, y in each.points if not isnan(y)]
    if not xs or not ys:
        return Markup("")
    x_low, x_high = min(xs), max(xs) if max(xs) > min(xs) else min(xs) + 1
    ticks = _ticks(y_max or max(ys))
    top = ticks[-1]

    def at(x: float, y: float) -> tuple[float, float]:
        return (
            LEFT + (x - x_low) / (x_high - x_low) * (WIDTH - LEFT - RIGHT),
            height - BOTTOM - y / top * (height - TOP - BOTTOM),
        )

    parts = [_frame(ticks, lambda y: at(x_low, y)[1], height, x_label, y_label)]
    marks = [x_low + tick for tick in _ticks(x_high - x_low) if x_low + tick <= x_high]
    parts += [text(at(x, 0)[0], height - BOTTOM + 18, _short(x), "middle") for x in marks]
    parts += [polyline(each, at) for each in series] + [dot(mark, at) for mark in dots]
    return _svg(parts, height, f"{y_label} by {x_label}") + legend([each for each in series if not each.faint])


def intervals(groups: Sequence[tuple[str, Sequence[Bar]]], *, x_label: str) -> Markup:
    """Means with intervals, grouped: one row a bar."""
    bars = [bar for _, members in groups for bar in members]
    ends = [value for bar in bars for value in (bar.mean, bar.high) if not isnan(value)]
    lows = [bar.low for bar in bars if not isnan(bar.low)]
    if not ends:
        return Markup("")
    ticks = _ticks(max(ends))
    left, row, head = 150, 20, 22
    height = sum(head + row * len(members) for _, members in groups) + BOTTOM
    low = min(0.0, *lows) if lows else 0.0

    def at(value: float) -> float:
        return left + (value - low) / (ticks[-1] - low) * (WIDTH - left - RIGHT)

    parts = []
    for tick in ticks:
        parts.append(f'<line class="grid" x1="{at(tick):.1f}" x2="{at(tick):.1f}" y1="4" y2="{height - BOTTOM}"/>')
        parts.append(text(at(tick), height - BOTTOM + 18, _short(tick), "middle"))
    y = 0.0
    for title, members in groups:
        y += head
        parts.append(f'<text class="group" x="8" y="{y - 6:.0f}">{escape(title)}</text>')
        for bar in members:
            if not isnan(bar.mean):
                middle = y + row / 2
                ends_known = not (isnan(bar.low) or isnan(bar.high))
                tip = f"{bar.label} on {title}: {bar.mean:.4f}" + (
                    f" [{bar.low:.4f}, {bar.high:.4f}]" if ends_known else ""
                )
                parts.append(f'<g class="{bar.style}"><title>{escape(tip)}</title>')
                if ends_known:
                    parts.append(
                        f'<line class="whisker" x1="{at(bar.low):.1f}" x2="{at(bar.high):.1f}" y1="{middle}" y2="{middle}"/>'
                    )
                parts.append(f'<circle cx="{at(bar.mean):.1f}" cy="{middle}" r="5"/></g>')
                parts.append(text(left - 10, middle + 4, bar.label, "end"))
            y += row
    parts.append(text((left + WIDTH - RIGHT) / 2, height - 6, x_label, "middle"))
    return _svg(parts, height, x_label)


def polyline(series: Series, at: Callable[[float, float], tuple[float, float]]) -> str:
    """The line of a series; `at` gives a point's place on the page."""
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (at(*point) for point in series.points if not isnan(point[1])))
    return (
        f'<polyline class="line {series.style}{" faint" if series.faint else ""}" points="{path}">'
        f"<title>{escape(series.label)}</title></polyline>"
    )


def dot(mark: Mark, at: Callable[[float, float], tuple[float, float]]) -> str:
    """A mark, with its label where the pointer rests on it."""
    x, y = at(mark.x, mark.y)
    return f'<g class="{mark.style}"><circle cx="{x:.1f}" cy="{y:.1f}" r="5"><title>{escape(mark.label)}</title></circle></g>'


def mean_of_draws(label: str, style: str, runs: Sequence[Sequence[tuple[float, float]]]) -> list[Series]:
    """The mean over the runs of target draws, as far as the shortest, after each run thin where there are several."""
    mean = [(column[0][0], sum(y for _, y in column) / len(runs)) for column in zip(*runs, strict=False)]
    thin = [Series(label=f"{label}, draw {i + 1}", style=style, points=run, faint=True) for i, run in enumerate(runs)]
    return [*(thin if len(runs) > 1 else []), Series(label=label, style=style, points=mean)]


def style(attacks: Sequence[str], attack: str) -> str:
    """The colour class of an attack, the same one in every chart; from the seventh on, dashed."""
    place = attacks.index(attack)
    return f"s{place % 6}{' dashed' if place >= 6 else ''}"


def legend(series: Sequence[Series]) -> Markup:
    """Colour keys under a chart."""
    keys = "".join(f'<li><span class="key {each.style}"></span>{escape(each.label)}</li>' for each in series)
    return Markup('<ul class="legend">') + Markup(keys) + Markup("</ul>")  # noqa: S704 - labels are escaped above


def _svg(parts: list[str], height: float, title: str) -> Markup:
    body = "".join(parts)
    head = f'<svg viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{escape(title)}">'
    return Markup(f"{head}{body}</svg>")  # noqa: S704 - every label is escaped where it is put in


def _frame(ticks: list[float], y_at: Callable[[float], float], height: int, x_label: str, y_label: str) -> str:
    parts = [
        f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y_at(tick):.1f}" y2="{y_at(tick):.1f}"/>'
        + text(LEFT - 6, y_at(tick) + 4, _short(tick), "end")
        for tick in ticks
    ]
    middle = (TOP + height - BOTTOM) / 2
    parts.append(text((LEFT + WIDTH - RIGHT) / 2, height - 6, x_label, "middle"))
    parts.append(
        f'<text transform="translate(12 {middle:.0f}) rotate(-90)" text-anchor="middle">{escape(y_label)}</text>'
    )
    return "".join(parts)


def text(x: float, y: float, words: str, anchor: str) -> str:
    """A label at a place."""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def _ticks(top: float) -> list[float]:
    """Round numbers from 0 to just above `top`."""
    if top < 1e-300:  # a step of which would be 0
        return [0.0, 1.0]
    step = round_step(top / 4)
    count = 1
    while step * count < top:
        count += 1
    return [step * index for index in range(count + 1)]


def round_step(least: float) -> float:
    """The round number at or just above `least`."""
    size = 10 ** floor(log10(least))
    return next(size * factor for factor in (1, 2, 2.5, 5, 10) if size * factor >= least * 0.999)


def _short(value: float) -> str:
    return f"{value:.10g}" if abs(value) >= 1e-4 or value == 0 else f"{value:.0e}"

"""One chart of a report as a file of its own: an SVG that follows the reader's light or dark colours."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from sharpap.errors import ConfigError, suggest
from sharpap.files import write_text
from sharpap.report import charts, reach, sections, sharpness, tradeoff
from sharpap.report.template import escape

if TYPE_CHECKING:
    from sharpap.assess.results import Results

Kind = Literal["victims", "tradeoff", "reach", "sharpness"]
_SIZE = re.compile(r'viewBox="0 0 (\d+) (\d+)"')
_COLOUR = re.compile(r"(--[a-z0-9]+): light-dark\((#[0-9a-f]+), (#[0-9a-f]+)\)")
_KEY, _ROW, _MARGIN = 150, 22, 12


@dataclass(frozen=True)
class Picture:
    """A chart; notebooks show it.

    Attributes:
        svg: the whole file.
    """

    svg: str

    def _repr_svg_(self) -> str:
        return self.svg

    def save(self, path: str | Path) -> Path:
        """Write it to a file whose name ends in .svg."""
        path = Path(path)
        if path.suffix != ".svg":
            raise ConfigError(f"{path} is no name of a picture.", hint=f"Pictures are SVG: {path.with_suffix('.svg')}.")
        write_text(path, self.svg)
        return path


def picture(results: Results, kind: Kind = "victims", k: int | None = None) -> Picture:
    """One chart of a run.

    Args:
        results: the run.
        kind: "victims": every attack on every victim with its interval; "tradeoff": each victim's exposure against its
            accuracy; "reach": the bound on any attack by number of fakes, where one is known; "sharpness": the attack loss
            around the surrogates, where it was measured.
        k: list length; None: the run's main one.

    Raises:
        ConfigError: an unknown kind or list length, or nothing to draw.
    """
    if kind not in get_args(Kind):
        raise ConfigError(f"There is no picture {kind!r}.", hint=suggest(str(kind), get_args(Kind)))
    k = results.main_k if k is None else k
    if k not in results.ks:
        raise ConfigError(f"These results have no K = {k}.", hint=f"They have {', '.join(map(str, results.ks))}.")
    if kind == "victims":
        return standalone(sections.by_victim(results, k), [])
    if kind == "reach":
        return _reach(results, k)
    if kind == "sharpness":
        return _sharpness(results, k)
    found = next((each for each in tradeoff.section(results, [k])), None)
    if found is None:
        raise ConfigError(f"A picture of the trade-off needs {tradeoff.LEAST} victims that were attacked.")
    return standalone(found["chart"], found["kinds"])


def _reach(results: Results, k: int) -> Picture:
    found = reach.section(results, k)
    if found is None or results.cliffs is None:
        raise ConfigError("A picture of reach needs a victim with a bound.", hint="docs/reach.md says which have one.")
    names = list(results.cliffs.shares)[: reach.DRAWN]
    return standalone(found["chart"], [(name, charts.style(names, name)) for name in names])


def _sharpness(results: Results, k: int) -> Picture:
    """Each attack in the colour that it has in the report."""
    drawn = sections.shown(results, k)
    found = sharpness.section(results, drawn)
    if found is None or not found["curves"]:
        raise ConfigError("The loss landscape was not measured.", hint="Run the recipe with --set sharpness=true.")
    chart = found["curves"][0]["chart"]
    names = [name for name in drawn if f"<title>{escape(name)}</title>" in chart]
    return standalone(chart, [(name, charts.style(drawn, name)) for name in names])


def standalone(chart: str, keys: Sequence[tuple[str, str]]) -> Picture:
    """A chart with the style that it needs, and (label, CSS class) keys below it."""
    found = _SIZE.search(chart)
    if found is None:
        raise ConfigError("There is nothing to draw: no attack was measured on any victim.")
    width, height = int(found[1]), int(found[2])
    across = max(1, width // _KEY)
    drawn = []
    for number, (label, style) in enumerate(keys):
        x, y = (number % across) * _KEY + _MARGIN, height + (number // across) * _ROW + _ROW // 2
        drawn.append(f'<g class="{style}"><circle cx="{x}" cy="{y}" r="5"/></g>')
        drawn.append(f'<text x="{x + 10}" y="{y + 4}">{escape(label)}</text>')
    whole = height + -(-len(keys) // across) * _ROW
    body = chart[chart.index(">") + 1 : chart.index("</svg>")]  # a legend of the page may follow
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {whole}" width="{width}" height="{whole}" role="img">'
        f'<style>{_style()}</style><rect width="{width}" height="{whole}" fill="var(--paper)"/>'
    )
    return Picture(f"{head}{body}{''.join(drawn)}</svg>\n")


@cache
def _style() -> str:
    """The page's colours, once for light and once for dark, and its rules for charts."""
    sheet = resources.files("sharpap.report").joinpath("templates", "style.css").read_text("utf-8")
    colours = _COLOUR.findall(sheet)
    light, dark = (";".join(f"{each[0]}:{each[place]}" for each in colours) for place in (1, 2))
    classes = "".join(re.findall(r"\.(?:genuine|s\d) \{ --c: [^}]*\}", sheet))
    rules = sheet.split("/* charts */", 1)[1].split("/* end of charts */", 1)[0]
    font = "font-family:system-ui,sans-serif"
    return f"svg{{{light};{font}}}@media (prefers-color-scheme:dark){{svg{{{dark}}}}}{classes}{rules}"

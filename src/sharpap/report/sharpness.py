"""The report's section on sharpness: curves, planes, and sharpness beside transfer."""

from __future__ import annotations

from math import isnan
from typing import TYPE_CHECKING, Any

import polars as pl

from sharpap.report.charts import Mark, Series, legend, mean_of_draws, style
from sharpap.report.planes import curves, heat_map, scatter

if TYPE_CHECKING:
    from sharpap.assess.results import Results
    from sharpap.assess.tables.landscape import Landscape

FLOOR = -1.0
ALONG = "step along a random direction"


def section(results: Results, drawn: list[str]) -> dict[str, Any] | None:
    """Everything the template shows of sharpness; None where it was not measured."""
    if not results.sharpness:
        return None
    return {
        "k": results.sharpness[0].k,
        "rows": summary(results),
        "curves": _curves(results, drawn),
        "planes": _planes(results),
        "scatter": _scatter(results, drawn),
        "caption": caption(results),
        "legend": legend(
            [
                Series(label=row["attack"], style=_style(drawn, row["attack"]), points=[])
                for row in summary(results)
                if not isnan(row["drop"])
            ]
        ),
    }


def _style(drawn: list[str], attack: str) -> str:
    return style(drawn, attack) if attack in drawn else "genuine"


def summary(results: Results) -> list[dict[str, Any]]:
    """Means over the draws of each attack; the drop over those poisons that have one."""
    table = results.sharpness_table.with_columns(pl.col("drop").fill_nan(None))
    return table.group_by("attack", maintain_order=True).mean().fill_null(float("nan")).to_dicts()


def caption(results: Results) -> str:
    """What the scatter says, in plain words."""
    from sharpap.assess.tables.landscape import correlation

    table = results.sharpness_table
    found = correlation(table)
    left_out = table.height - found.n
    missing = f" {left_out} without a hit on the surrogate, or without another victim, left out." if left_out else ""
    clipped = table.filter(pl.col("drop") < FLOOR).height
    missing += f" {clipped} with a drop below {FLOOR:g} drawn at {FLOOR:g}." if clipped else ""
    if isnan(found.rho):
        return f"n = {found.n} poison{'' if found.n == 1 else 's'}: too few to say anything.{missing}"
    if found.p >= 0.05:
        meaning = "no clear relation between the sharpness of the attack loss and what is lost in transfer"
    elif found.rho > 0:
        meaning = "poisons with a sharper attack loss lose more in transfer"
    else:
        meaning = "poisons with a sharper attack loss lose less in transfer"
    return (
        f"{meaning[0].upper()}{meaning[1:]}: Spearman's rho {found.rho:+.2f}, p {found.p:.3f}, n = {found.n} poisons (those "
        f"of one draw share their targets, so p is too small).{missing}"
    )


def _groups(results: Results) -> list[tuple[str, ...]]:
    """Each base attack with its partners; what has none stands together."""
    bases = list(dict.fromkeys(base for _, base in results.pairs))
    groups = [(base, *(attack for attack, other in results.pairs if other == base)) for base in bases]
    rest = tuple(name for name in results.attacks if not any(name in group for group in groups))
    return groups + ([rest] if rest else [])


def _curves(results: Results, drawn: list[str]) -> list[dict[str, Any]]:
    charts = []
    for members in _groups(results):
        group = [name for name in members if name in drawn]
        names = ", ".join(group)
        chart = curves(
            [line for attack in group for line in _lines(results, drawn, attack, relative=False)],
            x_label=ALONG, y_label="L_atk",
            title=f"Attack loss around surrogates: {names}",
            about="The attack loss along one random direction; lower is better for the attacker, 0 is the surrogate itself.",
        )  # fmt: skip
        charts.append({"chart": chart, "text": f"Attack loss: {names}. Lower is better for the attacker."})
    everyone = [line for attack in drawn for line in _lines(results, drawn, attack, relative=True)]
    chart = curves(
        everyone, x_label=ALONG, y_label="L_rec / L_rec at 0", title="Recommendation loss around surrogates",
        about="The recommendation loss along the same direction, as a multiple of its value at the surrogate.",
    )  # fmt: skip
    charts.append({"chart": chart, "text": "Recommendation loss, as a multiple of that of the surrogate."})
    return [each for each in charts if each["chart"]]


def _lines(results: Results, drawn: list[str], attack: str, *, relative: bool) -> list[Series]:
    """The mean over draws, and each draw thin where there are several."""
    runs = []
    for found in (each for each in results.sharpness if each.attack == attack):
        centre = found.rec_line[len(found.rec_line) // 2] if relative else 1.0
        values = found.rec_line if relative else found.atk_line
        runs.append([(share, value / centre) for share, value in zip(found.shares, values, strict=True)])
    if not runs:
        return []
    return mean_of_draws(attack, style(drawn, attack), runs)


def _planes(results: Results) -> list[list[dict[str, Any]]]:
    """The planes of draw 0 for each base attack and its partners, which share a scale."""
    known: dict[str, Landscape] = {found.attack: found for found in results.sharpness if found.plane}
    rows = []
    for group in _groups(results):
        members = [known[attack] for attack in group if attack in known]
        if len(members) < 2 or not any(group[0] == base for _, base in results.pairs):
            continue
        values = [value for found in members for row in found.plane for value in row]
        rows.append([
            {
                "attack": found.attack,
                "chart": heat_map(
                    found.plane, found.plane_rows, found.plane_columns, low=min(values),
                    high=max(values), x_label="along the gradient of L_atk",
                    y_label="along a random direction", title=f"Attack loss around the surrogate of {found.attack}",
                    about="Strong colour: low attack loss, many hits. The ring is the surrogate itself.",
                ),
            }
            for found in members
        ])  # fmt: skip
    return rows


def _scatter(results: Results, drawn: list[str]) -> Any:
    """Drops below `FLOOR` (more hits on other victims than on the surrogate by far) stand on the edge."""
    marks = []
    for row in results.sharpness_table.iter_rows(named=True):
        label = f"{row['attack']}, draw {row['draw'] + 1}: sharpness {row['sharp_atk']:.4f}, drop {row['drop']:.3f}"
        drop = row["drop"] if isnan(row["drop"]) else max(row["drop"], FLOOR)
        marks.append(
            Mark(
                label=label,
                style=_style(drawn, row["attack"]),
                x=row["sharp_atk"],
                y=drop,
            )
        )
    return scatter(
        marks, x_label="sharpness of L_atk, % of 1 + |L_atk|", y_label="transfer drop",
        title="Sharpness and transfer of every poison",
        about="One dot a poison: sharpness of the attack loss against the share of hits lost on victims other than WRMF.",
    )  # fmt: skip

# ruff: noqa: E501, PERF401
"""The scaling study's table and plot, from the results of the "growth" benchmarks."""

from __future__ import annotations

import math
from statistics import median

from benchmarks.speed.suite import GROWTH, Found, exponent, growth_name

TIMES = {"outer step": "wall", "WRMF, a sweep": "wrmf_s", "LightGCN, an epoch": "lightgcn_s"}
SHOWN = ("all", "users", "items")


def points(found: Found, series: str) -> list[dict[str, float]]:
    """The facts of each point that was run, its wall time among them."""
    rows = [found.get(growth_name(series, shape), [{"failed": "not run"}])[0] for shape in GROWTH[series]]
    return [
        each["facts"] | {"wall": median(each["wall"]), "peak_mib": each["peak_mib"]}
        for each in rows
        if "failed" not in each
    ]


def table(found: Found) -> list[str]:
    """One line a point, and the exponents of each series."""
    lines = [
        "| users | items | interactions | read s | peak | outer step s | peak | WRMF sweep s | peak | LightGCN epoch s | peak |",
        "|" + "---:|" * 11,
    ]
    fits = []
    for series in SHOWN:
        made = points(found, series)
        for p in made:
            cells = [f"{int(p[name]):,}" for name in ("users", "items", "interactions")]
            cells += [f"{p['read_s']:.3g}", f"{p['read_mib']:.0f}", f"{p['wall']:.3g}", f"{p['peak_mib']:.0f}"]
            cells += [
                f"{p['wrmf_s']:.3g}",
                f"{p['wrmf_mib']:.0f}",
                f"{p['lightgcn_s']:.3g}",
                f"{p['lightgcn_mib']:.0f}",
            ]
            lines.append("| " + " | ".join(cells) + " |")
        if len(made) > 1:
            axis = "interactions" if series == "all" else series
            slopes = [
                f"{name} {exponent([p[axis] for p in made], [p[key] for p in made]):.2f}" for name, key in TIMES.items()
            ]
            last = exponent([p[axis] for p in made[-2:]], [p["wall"] for p in made[-2:]])
            what = "interactions, users and items growing along" if series == "all" else f"{series} alone"
            fits.append(f"- {what}: {', '.join(slopes)}; outer step between the two largest {last:.2f}")
    return (
        [*lines, "", "Fitted exponents of time (peaks above are of the whole process, MiB):", "", *fits] if fits else []
    )


def plot(found: Found, width: int = 640, height: int = 340) -> str:
    """Seconds over interactions, both logarithmic, for the series in which everything grows."""
    made = points(found, "all")
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="11">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        f'<text x="{width // 2}" y="{height - 8}" text-anchor="middle">interactions</text>',
        f'<text x="14" y="{height // 2}" transform="rotate(-90 14 {height // 2})" text-anchor="middle">seconds</text>',
    ]
    values = [p[key] for p in made for key in TIMES.values()]
    if len(made) < 2 or min(values) <= 0:
        return "\n".join([*parts, "</svg>", ""])
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    left, right = math.log10(made[0]["interactions"]), math.log10(made[-1]["interactions"])

    def x(value: float) -> float:
        return 60 + (width - 230) * (math.log10(value) - left) / (right - left)

    def y(value: float) -> float:
        return height - 44 - (height - 64) * (math.log10(value) - low) / (high - low)

    for tick in range(low, high + 1):
        parts.append(
            f'<path d="M60,{y(10**tick):.1f} H{width - 170}" stroke="#ddd"/><text x="54" y="{y(10**tick) + 4:.1f}" text-anchor="end" fill="#666">{10**tick:g}</text>'
        )
    for p in made:
        parts.append(
            f'<text x="{x(p["interactions"]):.1f}" y="{height - 26}" text-anchor="middle" fill="#666">{p["interactions"] / 1e6:.3g} M</text>'
        )
    for (name, key), colour in zip(TIMES.items(), ("#1f6fb4", "#c2571a", "#3a8a3f"), strict=True):
        places = [(x(p["interactions"]), y(p[key])) for p in made]
        slope = exponent([p["interactions"] for p in made], [p[key] for p in made])
        parts.append(
            f'<path d="M{" L".join(f"{a:.1f},{b:.1f}" for a, b in places)}" fill="none" stroke="{colour}" stroke-width="2"/>'
        )
        parts += [f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3" fill="{colour}"/>' for a, b in places]
        parts.append(
            f'<text x="{places[-1][0] + 8:.1f}" y="{places[-1][1] + 4:.1f}" fill="{colour}">{name}: {slope:.2f}</text>'
        )
    return "\n".join([*parts, "</svg>", ""])

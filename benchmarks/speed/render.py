# ruff: noqa: E501, PERF401
"""From the results to the tables of docs/performance.md, between its two markers."""

from __future__ import annotations

import math
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.speed import scaling
from benchmarks.speed.runner import Row
from benchmarks.speed.suite import BENCHMARKS, TARGETS, Found, ratio

START, END = "<!-- tables: made by python -m benchmarks.speed -->", "<!-- end of tables -->"


def render(results: dict[str, Any], page: Path) -> None:
    """Put the tables into the page, and the roofline plot beside it."""
    text = page.read_text() if page.exists() else f"# Performance\n\n{START}\n{END}\n"
    before, rest = text.split(START)
    page.write_text(before + START + "\n" + tables(results) + END + rest.split(END)[1])
    (page.parent / "roofline.svg").write_text(roofline(results))
    (page.parent / "scaling.svg").write_text(scaling.plot(rows_of(results)))


def rows_of(results: dict[str, Any]) -> Found:
    """The rows of each benchmark by its name."""
    return {name: made["rows"] for name, made in results["benchmarks"].items()}


def tables(results: dict[str, Any]) -> str:
    """Hardware, targets, every benchmark."""
    about, found = results["machine"], rows_of(results)
    roofs = about["roofs"]
    lines = [
        f"{about['cpus']} CPUs ({about['cpu']}), {about['memory_gib']} GiB, Python {about['python']}, torch {about['torch']}, "
        f"numba {about['numba']}; {about['torch_threads']} threads. Measured peaks: {roofs['read_gb_s']} GB/s read, "
        f"{roofs['triad_gb_s']} GB/s triad, {roofs['gflop_s']} Gflop/s float32.",
        "", "| target | bound | measured | met |", "|---|---:|---:|---|",
    ]  # fmt: skip
    for target in TARGETS:
        value = target.measured(found)
        sign = "<=" if target.at_most else ">="
        met = (
            ""
            if value is None
            else "yes"
            if (value <= target.bound) == target.at_most or value == target.bound
            else "**no**"
        )
        shown = "not run" if value is None else f"{value:.3g} {target.unit}"
        lines.append(f"| {target.what} | {sign} {target.bound:g} {target.unit} | {shown} | {met} |")
    lines += ["", "| benchmark | side | wall s | CPU s | peak MiB | ratio to ours | revision |"]
    lines.append("|---|---|---:|---:|---:|---:|---|")
    for each in BENCHMARKS:
        if each.name.startswith("growth-"):
            continue
        for number, row in enumerate(found.get(each.name, ())):
            title = f"{each.title} ({_rounds(row)})" if number == 0 else ""
            revision = results["benchmarks"][each.name].get("revision", "") if number == 0 else ""
            if "failed" in row:
                lines.append(f"| {title} | {row['name']} | failed: {row['failed']} | | | | {revision} |")
                continue
            times = f"{median(row['wall']):.4g} | {median(row['cpu']):.4g} | {row['peak_mib']:.0f}"
            against = f"{ratio(found, each.name, number):.2f}" if number and "failed" not in found[each.name][0] else ""
            lines.append(f"| {title} | {row['name']} | {times} | {against} | {revision} |")
    return "\n".join([*lines, "", *scaling.table(found), ""])


def bandwidth(roofs: dict[str, float]) -> float:
    """GB/s of the better of the two streams."""
    return max(roofs["read_gb_s"], roofs["triad_gb_s"])


def _rounds(row: Row) -> str:
    return f"{len(row['wall'])} round" + "s" * (len(row["wall"]) != 1)


def roofline(results: dict[str, Any], width: int = 640, height: int = 360) -> str:
    """Gflop/s over flops per byte, both logarithmic, under the measured roofs."""
    roofs = results["machine"]["roofs"]
    points = [
        (name.removeprefix("kernel-"), rows[0]["facts"])
        for name, made in results["benchmarks"].items()
        if name.startswith("kernel-") and "gflop_s" in (rows := made["rows"])[0].get("facts", {})
    ]
    low, high, bottom, top = 0.125, 64.0, 1.0, 1024.0

    def x(value: float) -> float:
        return 60 + (width - 80) * math.log(value / low) / math.log(high / low)

    def y(value: float) -> float:
        return height - 40 - (height - 60) * math.log(max(value, bottom) / bottom) / math.log(top / bottom)

    ridge = roofs["gflop_s"] / bandwidth(roofs)
    path = f"M{x(low):.1f},{y(low * bandwidth(roofs)):.1f} L{x(ridge):.1f},{y(roofs['gflop_s']):.1f} L{x(high):.1f},{y(roofs['gflop_s']):.1f}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="11">',
        f'<rect width="{width}" height="{height}" fill="white"/><path d="{path}" fill="none" stroke="#444" stroke-width="2"/>',
        f'<text x="{width // 2}" y="{height - 8}" text-anchor="middle">flops per byte, every named row counted as fetched</text>',
        f'<text x="14" y="{height // 2}" transform="rotate(-90 14 {height // 2})" text-anchor="middle">Gflop/s</text>',
    ]
    for tick in (0.125, 0.5, 2, 8, 32):
        parts.append(f'<text x="{x(tick):.1f}" y="{height - 24}" text-anchor="middle" fill="#666">{tick:g}</text>')
    for tick in (1, 10, 100, 1000):
        parts.append(f'<text x="54" y="{y(tick) + 4:.1f}" text-anchor="end" fill="#666">{tick}</text>')
    for number, (name, facts) in enumerate(sorted(points)):
        at = (x(facts["flops"] / facts["bytes"]), y(facts["gflop_s"]))
        label = (width - 175, 120 + 15 * number)
        parts.append(
            f'<circle cx="{at[0]:.1f}" cy="{at[1]:.1f}" r="4" fill="#1f6fb4"/>'
            f'<path d="M{at[0]:.1f},{at[1]:.1f} L{label[0] - 4},{label[1] - 4}" stroke="#bbb" stroke-width="0.7"/>'
            f'<text x="{label[0]}" y="{label[1]}">{name}: {100 * facts["share_of_roof"]:.0f} %</text>'
        )
    return "\n".join([*parts, "</svg>", ""])

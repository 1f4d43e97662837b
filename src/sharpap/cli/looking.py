"""The verbs that look at results: `report` and `results`. What they need is imported when one runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sharpap.cli.options import Json, Metric
from sharpap.errors import ConfigError


def report(
    folder: Annotated[Path, typer.Argument(help="Results folder.")],
    k: Annotated[
        int | None,
        typer.Option(help="List length of the tables; default: 10 where it was measured, else the shortest."),
    ] = None,
    metric: Metric = "H",
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Tables as Markdown.")] = False,
    as_json: Json = False,
) -> None:
    """Show the tables of a results folder and write its report.html anew."""
    if as_markdown and as_json:
        raise ConfigError("--markdown and --json are two forms of the same tables.", hint="Choose one.")
    from sharpap.cli.inspect import show_report

    show_report(folder, k, metric, as_markdown, as_json)


def results(
    folders: Annotated[list[Path], typer.Argument(help="Results folders.")],
    attack: Annotated[
        list[str] | None, typer.Option(help="Only these attacks (none: the clean run); repeatable.")
    ] = None,
    victim: Annotated[list[str] | None, typer.Option(help="Only these victims; repeatable.")] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(help="H, anyH, N, segmentH, rank, rank_shift, Recall, NDCG, or all; repeatable. Default: H."),
    ] = None,
    k: Annotated[list[int] | None, typer.Option("--k", help="Only these list lengths; repeatable.")] = None,
    pivot: Annotated[bool, typer.Option("--pivot", help="One column for each victim.")] = False,
    compare: Annotated[
        bool, typer.Option("--compare", help="Show the second folder minus the first, draw by draw.")
    ] = False,
    bound: Annotated[bool, typer.Option("--bound", help="Show H beside the bound on any attack.")] = False,
    rows: Annotated[bool, typer.Option("--rows", help="Show every measurement instead of means over draws.")] = False,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write to a .csv, .parquet or .tex instead.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file of --out.")] = False,
    as_json: Json = False,
) -> None:
    """Query results folders: filter, pivot, compare two runs, export."""
    from sharpap.cli.results import Query, show_results

    asked = {"pivot": pivot, "compare": compare, "bound": bound, "rows": rows}
    shapes = [name for name, wanted in asked.items() if wanted]
    if len(shapes) > 1:
        raise ConfigError(f"--{shapes[0]} and --{shapes[1]} exclude each other.")
    metrics = () if "all" in (metric or ()) else tuple(metric or ["H"])
    query = Query(attacks=tuple(attack or ()), victims=tuple(victim or ()), metrics=metrics, ks=tuple(k or ()))
    show_results(folders, query, shape=(shapes or ["means"])[0], out=out, overwrite=overwrite, as_json=as_json)

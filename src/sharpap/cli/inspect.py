"""`sharpap report` and `sharpap data`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table
from rich.text import Text

from sharpap.assess.folder.save import REPORT
from sharpap.assess.recipe import dataset_from
from sharpap.checksums import note_again
from sharpap.cli.console import loaded, reporting, stdout
from sharpap.cli.run import summary_json
from sharpap.data import Dataset, TargetPool
from sharpap.data.targets import KINDS
from sharpap.errors import ConfigError
from sharpap.folders import MARKER, is_ours
from sharpap.report import show, write_html
from sharpap.report.markdown import markdown


def show_report(folder: Path, k: int | None, metric: str, as_markdown: bool, as_json: bool) -> None:
    """Tables of a results folder, and its page made anew."""
    results = loaded(folder)
    k = results.main_k if k is None else k
    if k not in results.ks:
        raise ConfigError(f"These results have no K = {k}.", hint=f"They have {', '.join(map(str, results.ks))}.")
    if metric.startswith("segment") and all(row[4] != metric for row in results.rows):
        raise ConfigError(
            f"--metric {metric}: these results name no group of users.", hint="Name one in the recipe: targets.users."
        )
    ours = is_ours(folder, "results")
    if ours:
        write_html(results, folder / REPORT)
        note_again(folder, REPORT)
    if as_json:
        print(json.dumps(summary_json(results, folder, metric), indent=2))
        return
    if as_markdown:
        print(markdown(results, k, metric))
        return
    show(results, stdout(), k, metric)
    page = f"Report in {folder / REPORT}" if ours else f"{folder} holds no {MARKER}: nothing is written there."
    stdout().print(page, markup=False, highlight=False)


def show_data(recipe: dict[str, Any], quiet: bool, as_json: bool) -> None:
    """Load and describe a dataset (`plans.of_data`)."""
    with reporting(quiet=quiet):
        dataset, _ = dataset_from(recipe["data"])
    facts = describe_data(dataset)
    if as_json:
        print(json.dumps(facts | {"source": dataset.source}, indent=2))
        return
    table = Table(title=Text(dataset.name), show_header=False)
    for key, value in facts.items():
        table.add_row(key, Text(_words(value)))
    for key, value in dataset.source.items():
        table.add_row(Text(key, style="dim"), Text(_words(value), style="dim"))
    stdout().print(table)


def _words(value: object) -> str:
    """A fact as one line: what is None is left out."""
    if isinstance(value, dict):
        return ", ".join(
            f"{str(key).replace('_', ' ')} {_words(each)}" for key, each in value.items() if each is not None
        )
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def describe_data(dataset: Dataset) -> dict[str, Any]:
    """Size, shape and pools of a dataset."""
    train = dataset.train
    sizes = train.user_counts[train.user_counts > 0]
    pools = {kind: TargetPool(kind=kind).pool(train) for kind in KINDS}  # pyright: ignore[reportArgumentType]
    return {
        "users": dataset.num_users,
        "items": dataset.num_items,
        "items in train": int((train.item_counts > 0).sum()),
        "train": train.nnz,
        "validation": dataset.valid.nnz,
        "test": dataset.test.nnz,
        "density": f"{train.nnz / (dataset.num_users * dataset.num_items):.2e}",
        "profile length": f"mean {sizes.mean():.1f}, median {np.median(sizes):.0f}, longest {sizes.max()}",
        "target pools": ", ".join(f"{kind} {len(pool)}" for kind, pool in pools.items()),
        "fingerprint": train.fingerprint,
    }

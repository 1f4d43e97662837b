"""`sharpap report`, `sharpap data` and `sharpap list`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table
from rich.text import Text

from sharpap.assess.recipe import dataset_from, names, read_recipe
from sharpap.assess.store import REPORT
from sharpap.checksums import note_again
from sharpap.cli.console import loaded, reporting, stdout
from sharpap.cli.run import summary_json
from sharpap.cli.settings import apply
from sharpap.config import REGISTRY, plugins
from sharpap.data import Dataset, TargetPool, entries
from sharpap.data.targets import KINDS, RANGES
from sharpap.errors import ConfigError, suggest
from sharpap.folders import MARKER, is_ours
from sharpap.report import markdown, show, write_html

TARGET_METRICS = ("H", "N", "anyH", "segmentH", "segmentN")


def show_report(folder: Path, k: int | None, metric: str, as_markdown: bool, as_json: bool) -> None:
    """Tables of a results folder, and its page made anew."""
    if as_markdown and as_json:
        raise ConfigError("--markdown and --json are two forms of the same tables.", hint="Choose one.")
    results = loaded(folder)
    k = results.main_k if k is None else k
    if k not in results.ks:
        raise ConfigError(f"These results have no K = {k}.", hint=f"They have {', '.join(map(str, results.ks))}.")
    if metric not in TARGET_METRICS:
        raise ConfigError(
            f"--metric {metric}: there is no such metric of targets.",
            hint=f"Choose one of {', '.join(TARGET_METRICS)}.",
        )
    if metric.startswith("segment") and all(row[4] != metric for row in results.rows):
        raise ConfigError(
            f"--metric {metric}: these results are of no group of users.", hint="Name one in the recipe: targets.users."
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


def show_data(
    source: str, threshold: float | None, taken: dict[str, Any], settings: list[str], quiet: bool, as_json: bool
) -> None:
    """Load and describe a dataset; `--set` paths belong to the data section."""
    recipe: dict[str, Any] = {}
    own = [entry if entry.startswith("data.") else f"data.{entry}" for entry in settings]
    apply(recipe, {"data.source": source, "data.threshold": threshold, **taken}, None, None, own)
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


def show_names(what: str, as_json: bool) -> None:
    """What can be named in a recipe."""
    found: dict[str, dict[str, str]] = {
        "datasets": {entry.name: entry.summary for entry in entries()},
        "recipes": {name: read_recipe(name).get("title", "") for name in names()},
        "pools": {
            kind: f"from {low:.0%} to {high:.0%} of the items, least popular first"
            for kind, (low, high) in RANGES.items()
        },
    }
    for kind in REGISTRY:
        found[kind.replace("_", "-") + "s"] = _built_in(kind) | _plugged(kind)
    if what != "all" and what not in found:
        raise ConfigError(f"There is no list of {what!r}.", hint=suggest(what, found))
    chosen = found if what == "all" else {what: found[what]}
    if as_json:
        print(json.dumps({section: list(members) for section, members in chosen.items()}, indent=2))
        return
    for section, members in chosen.items():
        table = Table(title=section, show_header=False, title_justify="left", box=None, padding=(0, 2))
        for name, summary in members.items():
            table.add_row(Text(name, style="bold"), Text(summary))
        stdout().print(table)


def _summary(cls: Any) -> str:
    return next(iter((cls.__doc__ or "").splitlines()), "")


def _built_in(kind: str) -> dict[str, str]:
    """Every name with its class in a line; a name that fixes options, with these and the name it fixes them of."""
    found, plain = {}, {}
    for name, (cls, fixed) in REGISTRY[kind].items():
        if not fixed:
            plain.setdefault(cls, name)
        own = cls in plain and fixed
        found[name] = f"{plain[cls]} with {_options(fixed)}" if own else _summary(cls)
    return found


def _options(table: dict[str, Any]) -> str:
    """Options as `--set` would name them, nested ones in brackets."""
    return ", ".join(f"{key} = {_option(value)}" for key, value in table.items())


def _option(value: object) -> str:
    if isinstance(value, list):
        return " and ".join(map(_option, value))
    if not isinstance(value, dict):
        return str(value).lower() if isinstance(value, bool) else str(value)
    inner = _options({key: each for key, each in value.items() if key != "name"})
    name = str(value.get("name", "on"))  # a table of fields without a choice of class has no name
    return f"{name} ({inner})" if inner else name


def _plugged(kind: str) -> dict[str, str]:
    """What installed packages add; one that cannot be loaded is named on stderr and left out."""
    found = {}
    for name, points in plugins.offered(kind).items():
        plugins.clash(kind, name, builtin=name in REGISTRY[kind])
        try:
            found[name] = f"{_summary(plugins.load(kind, name))} ({plugins.owner(points[0])})"
        except ConfigError as error:
            print(f"warning: {error}", file=sys.stderr)
    return found

"""What can be named, and `sharpap list`, from a table beside this file: no model is imported to read names.

`python -m sharpap.cli.names` writes the table anew from the classes, and that of their options with it; a test compares.
"""

from __future__ import annotations

import json
import sys
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from sharpap.config import plugins
from sharpap.config.recipes import names, read_recipe
from sharpap.errors import ConfigError, suggest

TABLE = "names.json"


@cache
def known() -> dict[str, dict[str, str]]:
    """Section ("attack", "victim", ..., "dataset", "pool") to names to what each is, in a line."""
    return json.loads(resources.files("sharpap.cli").joinpath(TABLE).read_text("utf-8"))


def check(kind: str, name: str) -> None:
    """Raise `ConfigError`, with the nearest name, for one that neither SharpAP nor a package offers. Code is not judged."""
    offered = [*known()[kind], *plugins.offered(kind)]
    if name not in offered and ":" not in name:
        raise ConfigError(f"There is no {kind.replace('_', ' ')} {name!r}.", hint=suggest(name, offered))


def check_source(source: str) -> None:
    """Raise `ConfigError`, with the nearest name, for data that is no name of the catalogue, no file and no path."""
    known_ones = known()["dataset"]
    if source not in known_ones and not Path(source).exists() and not any(mark in source for mark in "/\\."):
        raise ConfigError(f"There is no dataset and no file {source!r}.", hint=suggest(source, known_ones))


def check_recipe(source: str) -> None:
    """Raise `ConfigError`, with the nearest name, for a recipe that is neither shipped nor a file."""
    if source not in names() and not Path(source).exists():
        raise ConfigError(f"There is no recipe and no file {source!r}.", hint=suggest(source, names()))


def show_names(what: str, as_json: bool) -> None:
    """What can be named in a recipe."""
    found = {"datasets": known()["dataset"], "recipes": dict.fromkeys(names(), ""), "pools": known()["pool"]}
    found |= {
        f"{kind.replace('_', '-')}s": members for kind, members in known().items() if kind not in ("dataset", "pool")
    }
    if what != "all" and what not in found:
        raise ConfigError(f"There is no list of {what!r}.", hint=suggest(what, found))
    chosen = found if what == "all" else {what: found[what]}
    if "recipes" in chosen:
        chosen["recipes"] = {name: read_recipe(name).get("title", "") for name in names()}
    for kind in plugins.GROUPS:
        if f"{kind}s" in chosen:
            chosen[f"{kind}s"] = chosen[f"{kind}s"] | _plugged(kind)
    if as_json:
        print(json.dumps({section: list(members) for section, members in chosen.items()}, indent=2))
        return
    from rich.table import Table
    from rich.text import Text

    from sharpap.cli.console import stdout

    for section, members in chosen.items():
        table = Table(title=section, show_header=False, title_justify="left", box=None, padding=(0, 2))
        for name, summary in members.items():
            table.add_row(Text(name, style="bold"), Text(summary))
        stdout().print(table)


def table() -> dict[str, dict[str, str]]:
    """The table, from the classes."""
    from sharpap.adapters.environment import NAMES
    from sharpap.config import REGISTRY
    from sharpap.data import entries
    from sharpap.data.targets import RANGES
    from sharpap.tracking import KINDS

    return {
        "dataset": {entry.name: entry.summary for entry in entries()},
        "pool": {
            kind: f"from {low:.0%} to {high:.0%} of the items, least popular first"
            for kind, (low, high) in RANGES.items()
        },
        "tracker": {kind: _summary(tracker) for kind, tracker in KINDS.items()},
        "environment": dict.fromkeys(NAMES, "see `sharpap env`"),
    } | {kind: _built_in(members) for kind, members in REGISTRY.items()}


def _summary(cls: Any) -> str:
    return next(iter((cls.__doc__ or "").splitlines()), "")


def _built_in(members: Any) -> dict[str, str]:
    """Every name with its class in a line; a name that fixes options, with these and the name it fixes them of."""
    found, plain = {}, {}
    for name, (cls, fixed) in members.items():
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
        plugins.clash(kind, name, builtin=name in known()[kind])
        try:
            found[name] = f"{_summary(plugins.load(kind, name))} ({plugins.owner(points[0])})"
        except ConfigError as error:
            print(f"warning: {error}", file=sys.stderr)
    return found


def tables() -> dict[Path, dict[str, Any]]:
    """Both tables that are made from the classes, by the file they lie in: that of names, and `sharpap.config.outline`'s."""
    from sharpap.assess.audit.audit import Audit
    from sharpap.assess.experiment import Experiment
    from sharpap.assess.tuning.study import Plan
    from sharpap.config import outline
    from sharpap.config.outlining import outlines
    from sharpap.data import Options, TargetPool, synthetic
    from sharpap.threat import Budget

    places = Path(__file__).with_name(TABLE), Path(outline.__file__).with_name(outline.TABLE)
    return dict(
        zip(places, (table(), outlines(TargetPool, Budget, Options, Experiment, Audit, Plan, synthetic)), strict=True)
    )


if __name__ == "__main__":
    for place, made in tables().items():
        place.write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n", "utf-8")

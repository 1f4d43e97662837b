"""The exact options that load a file as it was profiled: for the command line and for Python."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sharpap.data.columns.meaning import Meaning
from sharpap.data.columns.row_filter import RowFilter
from sharpap.data.form.column_names import ROLES, Columns
from sharpap.data.form.layout import Layout, detect
from sharpap.data.inspection.ratings import Ratings, Times
from sharpap.data.reading.pairs import Core, Spread
from sharpap.untrusted import toml_table

SHORT = 10  # a median profile below this leaves a tenth of it less than one item
SMALL = 5


@dataclass(frozen=True, kw_only=True)
class Advice:
    """How to load the file.

    Attributes:
        options: of `sharpap.load`, JSON-ready; columns by role.
        command: ``sharpap data ...`` with these options; ``sharpap run --data ...`` takes the same.
        python: the same as Python.
        split: what to do about the split, in a sentence.
        k_core: what to do about small users and items, in a sentence, or "".
    """

    options: dict[str, Any]
    command: str
    python: str
    split: str
    k_core: str


def advise(
    path: Path, layout: Layout, meaning: Meaning, asked: Columns | None, row_filter: RowFilter, ratings: Ratings | None,
    times: Times | None, profile_size: Spread, cores: tuple[Core, ...], *, drop: bool,
) -> Advice:  # fmt: skip
    """Only what differs from what the reader does by itself, a threshold, and a split."""
    options = _layout_options(path, layout)
    differing = _column_options(meaning, asked, layout)
    if differing:
        options["columns"] = differing
    if row_filter.where:
        options["where"] = {column: list(values) for column, values in row_filter.where.items()}
    if row_filter.missing:
        options["missing"] = list(row_filter.missing)
    if ratings is not None and ratings.threshold is not None:
        options["threshold"] = ratings.threshold
    if drop:
        options["bad_rows"] = "drop"
    split = _split(options, profile_size, times)
    return Advice(
        options=options, command=_command(path, options), python=_python(path, options), split=split,
        k_core=_k_core(profile_size, cores),
    )  # fmt: skip


def _layout_options(path: Path, layout: Layout) -> dict[str, Any]:
    """What the reader would not find out."""
    alone = detect(path)
    options: dict[str, Any] = {}
    if alone.format != layout.format:
        options["format"] = layout.format
        alone = detect(path, format=layout.format)
    if alone.separator != layout.separator:
        options["separator"] = layout.separator
        alone = detect(path, format=options.get("format"), separator=layout.separator)
    if alone.header != layout.header:
        options["header"] = layout.header
    return options


def _column_options(meaning: Meaning, asked: Columns | None, layout: Layout) -> dict[str, Any]:
    """All roles where one was named by the user or guessed against what names say; none where the reader finds them."""
    sure = ("name",) if layout.named else ("order", "content")
    ignored = any(getattr(asked, role, None) == "" for role in ROLES)
    if not ignored and all(how in sure for how in meaning.by.values()):
        return {}
    found: dict[str, Any] = {}
    for role in ROLES:
        name = meaning.roles.get(role, "")
        if name or getattr(asked, role, None) == "":
            found[role] = layout.names.index(name) if name in layout.names and not layout.named else name
    return found


def _split(options: dict[str, Any], size: Spread, times: Times | None) -> str:
    timed = times is not None and times.distinct > 1
    if size.median < SHORT:
        options["split"] = {"name": "leave-one-out", "by": "time" if timed else "random"}
        last = "the latest" if timed else "a random"
        return f"leave-one-out: {last} interaction of each user is test, since the median user has only {size.median:g}"
    other = "; split=temporal cuts by time instead" if timed else ""
    return f"the default, 80/10/10 at random for each user, as most of the literature has it{other}"


def _k_core(size: Spread, cores: tuple[Core, ...]) -> str:
    core = next((core for core in cores if core.k == SMALL), None)
    if core is None or size.least >= SMALL or core.pairs == 0:
        return ""
    return (
        f"--set data.k_core={SMALL} would leave {core.users:,} users, {core.items:,} items and {core.pairs:,} pairs "
        f"with {SMALL} or more each"
    )


def _command(path: Path, options: dict[str, Any]) -> str:
    words = ["sharpap", "data", _name(path)]
    for name, value in options.items():
        if name == "threshold":
            words += ["--threshold", f"{value:g}"]
        elif name == "where":
            for column, values in value.items():
                words += [part for each in values for part in ("--where", f"{column}={each}")]
        elif name == "missing":
            words += [part for each in value for part in ("--missing", f"{each:g}")]
        elif isinstance(value, dict):
            for inner, part in value.items():
                words += ["--set", f"data.{name}.{inner}={_toml(part)}"]
        else:
            words += ["--set", f"data.{name}={_toml(value)}"]
    return shlex.join(words)


def _name(path: Path) -> str:
    text = str(path)
    return f"./{text}" if text.startswith("-") or not any(mark in text for mark in "/\\.") else text


def _toml(value: Any) -> str:
    """A value as `--set` reads it back."""
    if not isinstance(value, str):
        return json.dumps(value)
    try:
        plain = bool(value) and value == value.strip() and value.isprintable() and not toml_table(f"value = {value}")
    except ValueError:
        plain = True
    return value if plain else json.dumps(value, ensure_ascii=False)


def _python(path: Path, options: dict[str, Any]) -> str:
    parts, needed = [repr(str(path))], []
    for name, value in options.items():
        if name == "columns":
            inside = ", ".join(f"{role}={part!r}" for role, part in value.items())
            parts.append(f"columns=Columns({inside})")
            needed.append("Columns")
        elif name == "split":
            parts.append(f"split=LeaveOneOut(by={value['by']!r})")
            needed.append("LeaveOneOut")
        else:
            parts.append(f"{name}={value!r}")
    imports = f"from sharpap.data import {', '.join(sorted(needed))}; " if needed else ""
    return f"import sharpap; {imports}data = sharpap.load({', '.join(parts)})"

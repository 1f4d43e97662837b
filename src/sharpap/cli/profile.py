"""`sharpap data inspect`: a `Profile` as plain text, numbers first. All text from the file is escaped."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from sharpap.cli import names
from sharpap.cli.rows import reading
from sharpap.data.form.content import BLANKS, SEPARATORS
from sharpap.data.inspection.profile import Profile, profile
from sharpap.data.inspection.ratings import Ratings
from sharpap.errors import DataError
from sharpap.text import printable

_WIDTH = 32
_LONG = 40
_MARKS = SEPARATORS | {BLANKS: "white space"}


def show_profile(file: Path, how: dict[str, Any], columns: dict[str, str | None], as_json: bool) -> None:
    """Profile a file and print it."""
    if not file.exists() and str(file) in names.known()["dataset"]:
        raise DataError(
            f"{file} is a dataset of the catalogue, not a file.", hint=f"`sharpap data {file}` describes it."
        )
    found = profile(file, **reading(how, columns))
    if as_json:
        typer.echo(json.dumps(found.as_json(), indent=2))
        return
    for line in lines_of(found):
        typer.echo(line)


def lines_of(found: Profile) -> Iterator[str]:
    """The profile, line by line."""
    yield from _file(found)
    yield from _columns(found)
    yield from _counts(found)
    if found.ratings is not None:
        yield from _ratings(found.ratings)
    yield from _times(found)
    yield from _popularity(found)
    yield from _suspicions(found)
    yield from _loading(found)


def _file(found: Profile) -> Iterator[str]:
    layout = found.layout
    form = [layout.format]
    if layout.separator:
        form.append(f"separator {_MARKS.get(layout.separator, printable(layout.separator))}")
    if layout.separator:
        form.append("header" if layout.header else "no header")
    form += [layout.encoding] + (["Windows line ends"] if layout.line_ends == "\r\n" else [])
    form += [layout.compression] if layout.compression else []
    yield f"{printable(found.path)}: {_size(found.bytes)}, {', '.join(part for part in form if part != 'binary')}"


def _size(number: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.3g} {unit}"
        number /= 1000
    return f"{number:.3g} TB"


def _columns(found: Profile) -> Iterator[str]:
    rows = [("column", "role", "type", "missing", "distinct", "examples")]
    for column in found.columns:
        role = f"{column.role} (by {column.by})" if column.role else "-"
        exact = column.role in ("user", "item") or column.distinct < 20
        examples = ", ".join(printable(text, 16) for text in column.examples)
        distinct = f"{column.distinct:,}" if exact else f"~{column.distinct:,}"
        rows.append(
            (printable(column.name, 24), role, printable(column.type, 32), f"{column.missing:,}", distinct, examples)
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    yield ""
    for row in rows:
        cells = [
            cell.rjust(width) if place in (3, 4) else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  " + "  ".join(cells).rstrip()
    if found.unseen:
        yield f"  and {found.unseen:,} further columns, of which nothing was looked at"


def _counts(found: Profile) -> Iterator[str]:
    size, popular = found.profile_size, found.popularity
    yield ""
    yield f"{found.usable:>12,}  usable rows of {found.rows:,}"
    for reason, rows in found.left_out.items():
        yield f"{rows:>12,}  rows left out: {printable(reason)}"
    yield f"{found.users:>12,}  users: {_spread(size)} items each"
    yield f"{found.items:>12,}  items: {_spread(popular)} users each"
    yield f"{found.pairs:>12,}  different (user, item) pairs, {100 * found.density:.3g} % of all possible ones"
    yield f"{found.repeats:>12,}  rows that repeat one"
    for core in found.cores:
        yield f"{core.pairs:>12,}  pairs in the {core.k}-core, of {core.users:,} users and {core.items:,} items"


def _spread(of: Any) -> str:
    return f"{of.least:,} to {of.most:,}, median {of.median:g}, mean {of.mean:.1f}"


def _ratings(ratings: Ratings) -> Iterator[str]:
    scale = f"scale {ratings.scale}" if " to " in ratings.scale else ratings.scale
    yield f"\nratings: {ratings.low:g} to {ratings.high:g}, {scale}"
    total = sum(bar[2] for bar in ratings.histogram)
    most = max(bar[2] for bar in ratings.histogram)
    for low, high, rows in ratings.histogram:
        label = f"{low:g}" if low == high else f"{low:.4g} to {high:.4g}"
        yield f"{label:>20} {_bar(rows / most)} {rows:>12,}  {100 * rows / total:5.1f} %"
    if ratings.threshold is not None:
        keeps = ratings.keeps
        share = 100 * keeps["rows"] / total
        yield (
            f"  a threshold of {ratings.threshold:g} keeps {keeps['rows']:,} rows ({share:.1f} %), {keeps['users']:,} users "
            f"and {keeps['items']:,} items"
        )
    else:
        yield "  no threshold suggested: the values do not say what was liked; every row counts as an interaction"


def _times(found: Profile) -> Iterator[str]:
    times = found.times
    if times is None:
        yield "\ntimes: none"
    elif times.unit == "order":
        yield f"\ntimes: {times.low:g} to {times.high:g}, no date (an order, or another unit)"
    else:
        unit = "dates" if times.unit == "dates" else f"{times.unit} since 1970"
        yield f"\ntimes: {times.first} to {times.last} UTC, {unit}"


def _popularity(found: Profile) -> Iterator[str]:
    yield f"\npopularity: Gini {found.gini:.3f} (0: all items equal); share of the pairs that the most popular items have"
    for top, share in found.top_shares.items():
        yield f"{'top ' + format(100 * top, 'g') + ' %':>20} {_bar(share)} {100 * share:5.1f} %"


def _bar(share: float) -> str:
    full = round(share * _WIDTH)
    return "#" * full + "." * (_WIDTH - full)


def _suspicions(found: Profile) -> Iterator[str]:
    yield "\nto look at:" if found.suspicions else "\nto look at: nothing"
    for suspicion in found.suspicions:
        mark = "!" if suspicion.stops else " "
        yield f"{mark}{suspicion.count:>11,}  {printable(suspicion.text)}"
        for example in suspicion.examples:
            yield f"{'':14}{printable(example, 4 * _LONG)}"
    if any(suspicion.stops for suspicion in found.suspicions):
        yield "  !: such rows stop the reader, unless bad_rows=drop leaves them out"


def _loading(found: Profile) -> Iterator[str]:
    advice = found.advice
    yield "\nload it:"
    yield f"  {printable(advice.command)}"
    yield f"  {printable(advice.python)}"
    yield "  the same options go with `sharpap audit` and `sharpap run`, after `--data FILE`"
    yield f"  split: {printable(advice.split)}"
    unread = ", ".join(printable(column.name, 24) for column in found.columns if not column.role)
    missing = [option for option, part in (("--rating", found.ratings), ("--timestamp", found.times)) if part is None]
    if unread and missing:
        yield f"  not read: {unread}; {' or '.join(missing)} COLUMN reads one"
    guessed = [column.role for column in found.columns if column.role in ("user", "item") and column.by == "content"]
    if guessed:
        named = ", or --no-header if the first line is a row" if found.layout.header and not found.layout.binary else ""
        yield f"  {' and '.join(guessed)} guessed from the values: check, and say --user or --item if wrong{named}"
    if advice.k_core:
        yield f"  small users and items: {advice.k_core}"

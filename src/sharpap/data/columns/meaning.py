"""`meaning_of`: which column holds users, items, ratings and times. `inspect`, `run` and `convert` all ask here.

With a header, names decide. Without one, the order user, item, rating, timestamp does, less what cannot be so: dates and
coordinates are no items, words are no ratings. Only the first rows are looked at, so that a file larger than memory is
understood as a small one is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import polars as pl

from sharpap.data.columns import times
from sharpap.data.columns.facts import Column, looked_at
from sharpap.data.form.column_names import ROLES, Columns, guess, is_telling, plain, refuse_patterns
from sharpap.data.form.layout import Layout
from sharpap.errors import DataError, listed, shown

HEAD_ROWS = 1000
MOST_LOOKED = 200
WIDE = 10  # columns from which a table may be one column an item
BEHAVIOURS = 12  # different words that a column of what users did may have
DOING = ("event", "behav", "action", "activity", "interaction", "type", "verb")
MOST_LOWEST = 100  # no rating and no count has a lowest value above it; ids of categories have


@dataclass(frozen=True, kw_only=True)
class Meaning:
    """What the columns of a table are for.

    Attributes:
        roles: role to column name; user and item are always there.
        by: role to "you", "name", "order" or "content".
        others: column name to "behaviour", "latitude" or "longitude", where the values say so.
    """

    roles: dict[str, str]
    by: dict[str, str]
    others: dict[str, str] = field(default_factory=dict)


def meaning_of(
    head: pl.DataFrame, layout: Layout, asked: Columns | None, *, path: str | None, look: bool = False
) -> Meaning:
    """Decide by the first rows.

    Args:
        head: the first `HEAD_ROWS` rows.
        layout: names that mean something, or not.
        asked: columns that the user named.
        path: for errors.
        look: guess users and items from the values where names leave them open. For looking at a file: loading one refuses,
            and says what the guess is.

    Raises:
        DataError: a column asked for that is not there, a wide table, or no column that looks like users or items.
    """
    names = head.columns
    refuse_patterns(names, path)
    roles = asked_for(asked or Columns(), names, named=layout.named, path=path)
    by = dict.fromkeys(roles, "you")
    ignored = {role for role in ROLES if getattr(asked, role, None) == ""}
    by_name = guess([name for name in names if name not in roles.values()]) if layout.named else {}
    by_name = {role: name for role, name in by_name.items() if role not in roles and role not in ignored}
    looked = {column.name: column for column in _look(head, names, layout, {*roles.values(), *by_name.values()})}
    told = "item" in roles or ("item" in by_name and is_telling(by_name["item"]))
    if not told and layout.format not in ("wide", "npz", "adjacency") and layout.separator != "::":
        _refuse_wide(list(looked.values()), len(names), layout, path)
    for role, name in by_name.items():
        if _fits(role, looked[name]):
            roles[role], by[role] = name, "name"
    free = [column for name, column in looked.items() if name not in roles.values()]
    others = _coordinates(free)
    if layout.format in ("movielens-tab", "movielens-dat", "adjacency"):
        found = {role: name for role, name in zip(ROLES, names, strict=False) if name not in roles.values()}
    else:
        found = _by_values([column for column in free if column.name not in others], roles, names)
    open_ = [role for role in ("user", "item") if role not in roles]
    if open_ and ((layout.named and not look) or any(role not in found for role in open_)):
        raise _unclear(open_, found, looked, len(names), layout, path)
    for role, name in found.items() if open_ or not layout.named else ():
        if role not in roles and role not in ignored:
            in_order = not layout.named and names.index(name) == ROLES.index(role)
            roles[role], by[role] = name, "order" if in_order else "content"
    if len(set(roles.values())) < len(roles):
        raise DataError(f"One column is used twice: {roles}.", path=path, hint="Name every column.")
    rest = [column for column in looked.values() if column.name not in roles.values()]
    return Meaning(
        roles={role: roles[role] for role in ROLES if role in roles}, by=by,
        others={**_coordinates(rest), **{column.name: "behaviour" for column in _behaviours(rest, head.height, layout)}},
    )  # fmt: skip


def asked_for(asked: Columns, names: list[str], *, named: bool, path: str | None) -> dict[str, str]:
    """Role to column name, for the columns that the user named; raises `DataError` for one that is not there."""
    given: dict[str, str] = {}
    for role in ROLES:
        want = getattr(asked, role)
        if want is None or (want == "" and role not in ("user", "item")):
            continue
        if isinstance(want, str) and want in names:
            given[role] = want
        elif isinstance(want, int) and 0 <= want < len(names):
            given[role] = names[want]
        else:
            raise DataError(
                f"There is no {role} column {shown(want)}.", path=path, line=1 if path else None,
                hint=f"The columns are: {listed(names)}." if named else f"There are {len(names)} columns, from 0.",
            )  # fmt: skip
    return given


def _look(head: pl.DataFrame, names: list[str], layout: Layout, needed: set[str]) -> tuple[Column, ...]:
    return looked_at(head, [name for place, name in enumerate(names) if place < MOST_LOOKED or name in needed], layout)


def _fits(role: str, column: Column) -> bool:
    """Whether a column whose name says the role can have it: words are no ratings, dates neither."""
    unfit = {"rating": ("text", "dates"), "timestamp": ("text",)}
    return column.type not in unfit.get(role, ())


def _by_values(free: list[Column], roles: dict[str, str], names: list[str]) -> dict[str, str]:
    """Roles from left to right: ids for user and item, a number right of the item for the rating, and a time."""
    found: dict[str, str] = {}
    left = list(free)
    for role in ("user", "item"):
        if role not in roles:
            column = next((column for column in left if is_id(column)), None)
            if column is not None:
                found[role] = column.name
                left.remove(column)
    place = {name: number for number, name in enumerate(names)}
    item = (roles | found).get("item")
    if "rating" not in roles and item is not None:
        after = [column for column in left if place[column.name] > place[item]]
        words = [column for column in after if column.type == "text" and column.distinct <= BEHAVIOURS]
        next_ = next((column for column in after if column not in words), None)
        if next_ is not None and _is_rating(next_) and place[next_.name] - place[item] <= 1 + len(words):
            found["rating"] = next_.name
            left.remove(next_)
    if "timestamp" not in roles:
        timed = next((column for column in left if column.type == "dates" or _is_epoch(column)), None)
        fourth = next((column for column in left if place[column.name] == len(ROLES) - 1), None)
        rating = (roles | found).get("rating")
        if timed is None and fourth is not None and rating is not None and place[rating] == 2 and _is_order(fourth):
            timed = fourth
        if timed is not None:
            found["timestamp"] = timed.name
    return found


def is_id(column: Column) -> bool:
    """Whether values can be ids: no dates, no fractions, not empty."""
    return column.type not in ("empty", "dates", "numbers") and "not read" not in column.type


def _is_epoch(column: Column) -> bool:
    numeric = column.type in ("whole numbers", "numbers") and column.low is not None and column.high is not None
    return numeric and times.unit(column.low or 0, column.high or 0) != "order"


def _is_rating(column: Column) -> bool:
    numeric = column.type in ("whole numbers", "numbers", "empty") or column.type.startswith("mixed")
    return numeric and not _is_epoch(column) and (column.low or 0) <= MOST_LOWEST


def _is_order(column: Column) -> bool:
    return (column.type in ("whole numbers", "numbers") or column.type.startswith("mixed")) and (
        column.distinct > 1 or column.low != 0
    )


def _coordinates(free: list[Column]) -> dict[str, str]:
    """Latitude and longitude side by side, which are no ids and no ratings."""
    found: dict[str, str] = {}
    for one, two in pairwise(free):
        if _within(one, 90) and _within(two, 180) and _is_fine(one) and _is_fine(two) and one.name not in found:
            found[one.name], found[two.name] = "latitude", "longitude"
    return found


def _within(column: Column, most: float) -> bool:
    return column.type == "numbers" and -most <= (column.low or 0) and (column.high or 0) <= most


def _is_fine(column: Column) -> bool:
    """Whether numbers have four decimals or more, as coordinates have and ratings do not."""
    decimals = [len(text.strip().rpartition(".")[2]) if "." in text else 0 for text in column.examples]
    return bool(decimals) and sorted(decimals)[len(decimals) // 2] >= 4


def _behaviours(columns: list[Column], rows: int, layout: Layout) -> list[Column]:
    """Text columns of a few short words that many rows share, under such a name if any: what users did."""
    return [
        column
        for column in columns
        if column.type == "text" and 1 < column.distinct <= BEHAVIOURS and column.distinct * 10 <= rows
        and all(len(example) <= 30 for example in column.examples)
        and (not layout.named or any(part in plain(column.name) for part in DOING))
    ]  # fmt: skip


def _refuse_wide(looked: list[Column], width: int, layout: Layout, path: str | None) -> None:
    """Raise where nearly all columns hold numbers of one range: a matrix with a column for each item."""
    cells = [column for column in looked[1:] if column.type in ("whole numbers", "numbers", "empty")]
    if width < WIDE or len(cells) < 0.9 * (len(looked) - 1):
        return
    cells = [column for column in cells if column.type != "empty"]
    if len(cells) < 2:
        return
    lows, highs = (sorted(getattr(column, side) or 0.0 for column in cells) for side in ("low", "high"))
    low, high = lows[len(lows) // 2], highs[len(highs) // 2]
    span = max(high - low, 1.0)
    alike = [c for c in cells if low - span <= (c.low or 0) and (c.high or 0) <= high + span]
    if len(alike) < 0.9 * len(cells):
        return
    if layout.binary or layout.format == "jsonl":
        hint = "Melt it: in polars, frame.unpivot(index=USER, variable_name='item', value_name='rating').drop_nulls()."
    else:
        hint = (
            "Read it with --set data.format=wide (inspect, convert: --format wide); --missing 0 if 0 means no rating."
        )
    raise DataError(
        f"This looks like a wide matrix, one row a user and one column an item: {width:,} columns of numbers from {low:g} "
        f"to {high:g} ({listed(column.name for column in cells[:3])}, ...).",
        path=path, line=None if layout.binary or path is None else 1,
        hint=hint + " If it is a table, name its columns: --set data.columns.user=... --set data.columns.item=...",
    )  # fmt: skip


def _unclear(
    open_: list[str], found: dict[str, str], looked: dict[str, Column], width: int, layout: Layout, path: str | None
) -> DataError:
    """The refusal of a table in which users or items are not told, with what was seen and the likely answer."""
    seen = [f"{name} ({column.type})" if layout.named else f"{place} ({column.type})"
            for place, (name, column) in enumerate(looked.items())]  # fmt: skip
    seen += [""] * (width - len(seen))
    guesses = [role for role in ROLES if role in found]
    if all(role in found for role in open_):
        says = " ".join(f"--set data.columns.{role}={shown(found[role])}" for role in guesses)
        hint = f"By what stands in them: {says}? Say so, or Columns({open_[0]}=...); inspect and convert: --{open_[0]} COLUMN."
    else:
        hint = f"Name it, e.g. --set data.columns.{open_[0]}=COLUMN or Columns({open_[0]}=...); inspect: --{open_[0]} COLUMN."
    return DataError(
        f"No column looks like the {open_[0]}: {listed(seen)}.", path=path,
        line=None if layout.binary or path is None else 1, hint=hint,
    )  # fmt: skip

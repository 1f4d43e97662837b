"""Which column holds users, items, ratings and times: as asked for, and from the names people give them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from sharpap.errors import DataError, shown

ROLES = ("user", "item", "rating", "timestamp")
_NAMES = {
    "user": ("user", "userid", "uid", "users", "reviewerid", "customerid", "u"),
    "item": ("item", "itemid", "iid", "sid", "items", "movieid", "productid", "parentasin", "asin", "isbn", "sku", "i"),
    "rating": ("rating", "ratings", "score", "stars", "count", "weight", "value", "overall", "plays", "quantity"),
    "timestamp": ("timestamp", "time", "ts", "unixreviewtime", "datetime", "date"),
}
_PARTS = {
    "user": ("user", "customer", "member", "reviewer", "account", "visitor", "listener", "reader", "client", "kunde"),
    "item": (
        "item", "movie", "film", "product", "book", "song", "track", "article", "artist", "asin", "isbn", "sku", "stockcode",
        "business", "poi", "location", "game", "recipe", "course", "anime", "artikel", "video", "joke", "venue", "place",
    ),
    "rating": ("rating", "score", "stars", "bewertung"),
    "timestamp": ("timestamp", "datetime", "time", "date", "datum"),
}  # fmt: skip
_TELLING = {*_NAMES["user"], *_NAMES["item"], "rating", "ratings", "timestamp"} - {"u", "i"}
ColumnName = str | int | None


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Which column holds what, by name or by 0-based position; None: found out from the header, or order and content.

    `rating=""` or `timestamp=""` ignores that column.
    """

    user: ColumnName = None
    item: ColumnName = None
    rating: ColumnName = None
    timestamp: ColumnName = None


_KEY = re.compile(r"(id|code|no|nr|key|number)$")


def plain(name: str) -> str:
    """A name as it is compared: letters and digits alone, in lower case."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def is_telling(name: str) -> bool:
    """Whether a text is a usual name of a column with a role, and so no value."""
    return plain(name) in _TELLING


def guess(names: list[str]) -> dict[str, str]:
    """Role to column name, for the roles that a name tells.

    A whole name counts first (``user_id``, ``User-ID`` and ``userId`` are the same); then a part of one
    (``review_date``, ``customer_no``), where names that end in ``id``, ``code`` or ``no`` are preferred and two that are
    equally good leave the role open.
    """
    bare = {name: plain(name) for name in names}
    found: dict[str, str] = {}
    for role in ROLES:
        for known in _NAMES[role]:
            match = next((name for name in names if bare[name] == known), None)
            if match is not None:
                found[role] = match
                break
    for role in ("timestamp", "rating", "user", "item"):
        if role in found:
            continue
        free = [
            name for name in names if name not in found.values() and any(part in bare[name] for part in _PARTS[role])
        ]
        keys = [name for name in free if _KEY.search(bare[name])]
        best = keys if role in ("user", "item") and keys else free
        if len(best) == 1:
            found[role] = best[0]
    return found


def refuse_patterns(names: Iterable[str], path: Path | str | None) -> None:
    """Raise `DataError` for a name that polars would take for a pattern, and give other columns for: ``*``, ``^...$``."""
    for name in names:
        if name == "*" or (name.startswith("^") and name.endswith("$")):
            raise DataError(f"A column is called {shown(name)}, a pattern.", path=path, hint="Give it another name.")

"""`profile`: everything `sharpap data inspect` says about a file, streamed."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sharpap.data.advice import Advice, advise
from sharpap.data.coded import code
from sharpap.data.columns import Column, columns_of, with_roles
from sharpap.data.layout import Format, Layout, decompressed, detect
from sharpap.data.matrix import read_adjacency
from sharpap.data.ratings import Ratings, Times, ratings_of, times_of
from sharpap.data.scan import rows_of
from sharpap.data.structure import Core, Spread, core_size, gini, shares
from sharpap.data.suspicious import Suspicion, in_ids, in_profiles, in_rows, in_time, in_values
from sharpap.data.table import Columns
from sharpap.errors import DataError

CORES = (5, 10)


@dataclass(frozen=True, kw_only=True)
class Profile:
    """What is in a file. Counts are of the usable rows, without a threshold.

    Attributes:
        path, bytes: the file and its size.
        layout, columns: how it is written down, and what its columns hold.
        rows: rows with the right number of fields; `usable` of them can be loaded, `dropped` says why others cannot.
        blank_lines: lines without text.
        users, items, pairs, repeats: distinct users, items and (user, item) pairs, and rows beyond the first of a pair.
        density: pairs over users x items.
        profile_size, popularity: items of a user, users of an item.
        gini: of the popularity; 0 where all items are equally popular.
        top_shares: share of the pairs that the most popular share of items has.
        cores: sizes of the 5- and the 10-core.
        ratings, times: None without such a column.
        suspicions: what to look at.
        advice: how to load it.
    """

    path: str
    bytes: int
    layout: Layout
    columns: tuple[Column, ...]
    rows: int
    usable: int
    dropped: dict[str, int]
    blank_lines: int
    users: int
    items: int
    pairs: int
    repeats: int
    density: float
    profile_size: Spread
    popularity: Spread
    gini: float
    top_shares: dict[float, float]
    cores: tuple[Core, ...]
    ratings: Ratings | None
    times: Times | None
    suspicions: tuple[Suspicion, ...]
    advice: Advice

    def as_json(self) -> dict[str, Any]:
        """Plain dictionaries, lists, strings and numbers."""
        return asdict(self)


def profile(
    path: str | Path, *, format: Format | None = None, columns: Columns | None = None, header: bool | None = None,
    separator: str | None = None,
) -> Profile:  # fmt: skip
    """Profile a file of interactions without loading it.

    The file is read several times, block by block. What is held grows with users, items and rows, not with the width of
    rows (docs/data.md has figures); of ``.npz`` and adjacency lists, the file itself as well.

    Args:
        path: any file that `read_interactions` takes.
        format, columns, header, separator: as there; None: found out. Unlike there, columns without a telling name
            are guessed from what stands in them.

    Raises:
        DataError: what cannot be profiled cannot be loaded; the message is the reader's.
    """
    path = Path(path)
    layout = detect(path, format=format, header=header, separator=separator)
    if layout.format == "adjacency":
        read_adjacency(path, decompressed(path).removeprefix(b"\xef\xbb\xbf"), "merge")  # its errors name the line
    with rows_of(path, layout) as rows, TemporaryDirectory(prefix="sharpap-") as folder:
        found, count = columns_of(rows.frame, layout, path)
        if count == 0:
            raise DataError("There is no interaction in it.", path=path)
        found = with_roles(found, layout, columns, path)
        by_role = {column.role: column for column in found if column.role}
        coded = code(rows.frame, found, layout, path)
        usable = int(coded.users["rows"].sum())
        if usable == 0:
            raise DataError("No row can be used.", path=path, hint=f"Of {count:,} rows: {coded.dropped}.")
        pairs = coded.pairs(Path(folder))
        ratings = ratings_of(coded, by_role["rating"], path) if "rating" in by_role else None
        times = times_of(coded, by_role["timestamp"], path) if "timestamp" in by_role else None
        cores = tuple(core_size(pairs, k) for k in CORES)
        suspicions = (
            *in_rows(rows, coded, found, layout), *in_ids(coded), *in_values(ratings, pairs), *in_profiles(pairs, coded),
            *in_time(coded, times, path),
        )  # fmt: skip
        ragged = rows.ragged
        size, popularity = Spread.of(pairs.user_counts), Spread.of(pairs.item_counts)
        distinct = len(pairs)
    exact = {"user": pairs.num_users, "item": pairs.num_items}
    found = tuple(replace(column, distinct=exact.get(column.role, column.distinct)) for column in found)
    stops = any(suspicion.stops for suspicion in suspicions)
    return Profile(
        path=str(path), bytes=path.stat().st_size, layout=layout, columns=found, rows=count, usable=usable,
        dropped=coded.dropped, blank_lines=ragged.blank, users=pairs.num_users, items=pairs.num_items,
        pairs=distinct, repeats=pairs.repeats, density=distinct / (pairs.num_users * pairs.num_items),
        profile_size=size, popularity=popularity,
        gini=gini(pairs.item_counts), top_shares=shares(pairs.item_counts), cores=cores, ratings=ratings, times=times,
        suspicions=suspicions, advice=advise(path, layout, found, ratings, times, size, cores, drop=stops),
    )  # fmt: skip

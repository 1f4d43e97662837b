"""`profile`: everything `sharpap data inspect` says about a file, streamed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from sharpap.data.columns.facts import Column
from sharpap.data.columns.row_filter import RowFilter, refuse_row_filter
from sharpap.data.form.column_names import Columns
from sharpap.data.form.layout import Format, Layout, decompressed, detect
from sharpap.data.inspection.advice import Advice, advise
from sharpap.data.inspection.ratings import Ratings, Times, ratings_of, times_of
from sharpap.data.inspection.suspicious import Suspicion, in_columns, in_ids, in_profiles, in_rows, in_time, in_values
from sharpap.data.reading.columns import columns_of, meaning_in
from sharpap.data.reading.encode import encode
from sharpap.data.reading.lazy_table import collect, rows_of
from sharpap.data.reading.matrix import read_adjacency
from sharpap.data.reading.pairs import Core, Spread, core_size, gini, shares
from sharpap.errors import DataError
from sharpap.scratch import Scratch

CORES = (5, 10)


@dataclass(frozen=True, kw_only=True)
class Profile:
    """What is in a file. Counts are of the usable rows, without a threshold.

    Attributes:
        path, bytes: the file and its size.
        layout, columns: how it is written down, and what its columns hold.
        rows: rows with the right number of fields; `usable` of them can be loaded, `dropped` says why others cannot.
        left_out: rows that `where` and `missing` leave out, by reason.
        unseen: further columns, of which nothing was looked at.
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
    left_out: dict[str, int]
    unseen: int
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
    separator: str | None = None, where: Mapping[str, Any] | None = None, missing: float | Sequence[float] | None = None,
) -> Profile:  # fmt: skip
    """Profile a file of interactions without loading it.

    The file is read several times, block by block. What is held grows with users, items and rows, not with the width of
    rows (docs/data.md has figures); of ``.npz`` and adjacency lists, the file itself as well.

    Args:
        path: any file that `read_interactions` takes.
        format, columns, header, separator, where, missing: as there; None: found out, by the same code. Where names do not
            tell users and items, `read_interactions` refuses, and here they are guessed; the advice names them.

    Raises:
        DataError: what cannot be profiled cannot be loaded; the message is the reader's.
    """
    path = Path(path)
    layout = detect(path, format=format, header=header, separator=separator)
    row_filter = RowFilter.of(where, missing)
    if row_filter and not layout.streamed:
        refuse_row_filter(path)
    if layout.format == "adjacency":
        read_adjacency(path, decompressed(path).removeprefix(b"\xef\xbb\xbf"), "merge")  # its errors name the line
    with rows_of(path, layout) as rows, Scratch() as folder:
        if collect(rows.frame.head(1), path).is_empty():
            raise DataError("There is no interaction in it.", path=path)
        meaning = meaning_in(rows.frame, layout, columns, path, look=True)
        found, count = columns_of(rows.frame, layout, meaning, path)
        width = len(rows.frame.collect_schema())
        by_role = {column.role: column for column in found if column.role}
        encoded = encode(rows.frame, found, layout, path, row_filter)
        usable = int(encoded.users["rows"].sum())
        if usable == 0:
            raise DataError("No row can be used.", path=path, hint=f"Of {count:,} rows: {encoded.dropped}.")
        pairs = encoded.pairs(folder)
        ratings = ratings_of(encoded, by_role["rating"], path) if "rating" in by_role else None
        times = times_of(encoded, by_role["timestamp"], path) if "timestamp" in by_role else None
        cores = tuple(core_size(pairs, k) for k in CORES)
        suspicions = (
            *in_rows(rows, encoded, found, layout), *in_columns(found, row_filter), *in_ids(encoded),
            *in_values(ratings, pairs), *in_profiles(pairs, encoded), *in_time(encoded, times, path),
        )  # fmt: skip
        ragged = rows.ragged
        size, popularity = Spread.of(pairs.user_counts), Spread.of(pairs.item_counts)
        distinct = len(pairs)
    exact = {"user": pairs.num_users, "item": pairs.num_items}
    found = tuple(replace(column, distinct=exact.get(column.role, column.distinct)) for column in found)
    stops = any(suspicion.stops for suspicion in suspicions)
    return Profile(
        path=str(path), bytes=path.stat().st_size, layout=layout, columns=found, rows=count, usable=usable,
        dropped=encoded.dropped, left_out=encoded.left_out, unseen=width - len(found),
        blank_lines=ragged.blank, users=pairs.num_users, items=pairs.num_items,
        pairs=distinct, repeats=pairs.repeats, density=distinct / (pairs.num_users * pairs.num_items),
        profile_size=size, popularity=popularity,
        gini=gini(pairs.item_counts), top_shares=shares(pairs.item_counts), cores=cores, ratings=ratings, times=times,
        suspicions=suspicions,
        advice=advise(path, layout, meaning, columns, row_filter, ratings, times, size, cores, drop=stops),
    )  # fmt: skip

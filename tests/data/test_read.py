"""Every format against a plain reference, and back again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sharpap.data import Columns, Interactions, core, read_interactions

PAIRS = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 25), st.integers(1, 5)), min_size=1, max_size=60)
RELAXED = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def pairs_of(read: Interactions) -> set[tuple[str, str]]:
    users, items = read.entries()
    return {(str(u), str(i)) for u, i in zip(read.user_ids[users].tolist(), read.item_ids[items].tolist(), strict=True)}


def write(path: Path, fmt: str, rows: list[tuple[int, int, int]]) -> Path:
    """Write rows the way the format's own documentation shows them."""
    times = [1000 + number for number in range(len(rows))]
    if fmt == "parquet":
        pl.DataFrame(rows, schema=["user", "item", "rating"], orient="row").write_parquet(path / "x.parquet")
        return path / "x.parquet"
    if fmt == "npz":
        users, items, _ = zip(*rows, strict=True)
        matrix = scipy.sparse.csr_array((np.ones(len(rows)), (users, items)), shape=(31, 26))
        scipy.sparse.save_npz(path / "x.npz", matrix)
        return path / "x.npz"
    name, line, head = {
        "u.data": ("u.data", "{0}\t{1}\t{2}\t{3}", ""),
        "ratings.dat": ("ratings.dat", "{0}::{1}::{2}::{3}", ""),
        "inter": ("x.inter", "{0}\t{1}\t{2}\t{3}", "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"),
        "csv": ("x.csv", "{1},{0},{2}", "item_id,user_id,stars\n"),
        "csv-bare": ("x.csv", "{0},{1},{2}", ""),
        "tsv": ("x.tsv", "{0}\t{1}\t{2}", "uid\tsid\tcount\n"),
        "crlf": ("x.txt", "{0}\t{1}\t{2}\r", ""),
    }[fmt]
    body = "\n".join(line.format(*row, time) for row, time in zip(rows, times, strict=True))
    (path / name).write_text(head + body + "\n", newline="")
    return path / name


@pytest.mark.parametrize("fmt", ["u.data", "ratings.dat", "inter", "csv", "csv-bare", "tsv", "crlf", "parquet", "npz"])
@RELAXED
@given(rows=PAIRS)
def test_every_format_gives_the_pairs_that_were_written(fmt, rows, tmp_path):
    read = read_interactions(write(tmp_path, fmt, rows))
    assert pairs_of(read) == {(str(u), str(i)) for u, i, _ in rows}
    assert read.matrix.has_canonical_format
    assert set(read.matrix.data.tolist()) == {1.0}


@RELAXED
@given(rows=PAIRS)
def test_adjacency_lists_keep_their_numbers(rows, tmp_path):
    by_user: dict[int, list[int]] = {}
    for user, item, _ in rows:
        by_user.setdefault(user, []).append(item)
    text = "\n".join(f"{user} {' '.join(map(str, items))}" for user, items in by_user.items())
    (tmp_path / "train.txt").write_text(text)
    read = read_interactions(tmp_path / "train.txt")
    assert pairs_of(read) == {(str(u), str(i)) for u, i, _ in rows}
    assert read.matrix.shape == (max(u for u, *_ in rows) + 1, max(i for _, i, _ in rows) + 1)
    assert read.notes["duplicates_merged"] == len(rows) - len(pairs_of(read))


@RELAXED
@given(rows=PAIRS, threshold=st.integers(1, 5))
def test_threshold_keeps_ratings_at_or_above_it(rows, threshold, tmp_path):
    expected = {(str(u), str(i)) for u, i, rating in rows if rating >= threshold}
    if expected:
        assert pairs_of(read_interactions(write(tmp_path, "u.data", rows), threshold=threshold)) == expected


def test_frames_and_matrices():
    frame = {"user_id": [7, 7, 9], "item_id": ["a", "b", "a"], "rating": [5.0, 2.0, 4.0]}
    expected = {("7", "a"), ("9", "a")}
    for made in (pd.DataFrame(frame), pl.DataFrame(frame), pl.DataFrame(frame).lazy()):
        assert pairs_of(read_interactions(made, threshold=4)) == expected
    matrix = scipy.sparse.coo_array(([5.0, 2.0, 0.0], ([0, 0, 1], [1, 2, 0])), shape=(2, 3))
    assert pairs_of(read_interactions(matrix)) == {("0", "1"), ("0", "2")}
    assert pairs_of(read_interactions(matrix, threshold=4)) == {("0", "1")}


def test_columns_by_name_and_position(tmp_path):
    (tmp_path / "x.csv").write_text("when,who,what\n5,u1,i1\n6,u1,i2\n")
    named = read_interactions(tmp_path / "x.csv", columns=Columns(user="who", item="what", timestamp="when"))
    placed = read_interactions(tmp_path / "x.csv", columns=Columns(user=1, item=2, timestamp=0))
    assert pairs_of(named) == pairs_of(placed) == {("u1", "i1"), ("u1", "i2")}
    assert named.timestamps is not None
    assert named.timestamps.tolist() == [5.0, 6.0]


def test_duplicates_keep_the_latest_time_and_are_counted(tmp_path):
    (tmp_path / "u.data").write_text("1\t1\t5\t10\n1\t1\t3\t30\n1\t1\t4\t20\n2\t1\t5\t5\n")
    read = read_interactions(tmp_path / "u.data")
    assert read.notes["duplicates_merged"] == 2
    assert read.timestamps is not None
    assert read.timestamps.tolist() == [30.0, 5.0]


def test_dates_become_seconds(tmp_path):
    (tmp_path / "x.csv").write_text("user,item,date\n1,2,1970-01-02 00:00:00\n")
    read = read_interactions(tmp_path / "x.csv")
    assert read.timestamps is not None
    assert read.timestamps.tolist() == [86400.0]


def test_long_digit_ids_stay_text(tmp_path):
    long = "106510330000000000001"
    (tmp_path / "x.csv").write_text(f"user,item\n{long},1\n12,1\n")
    assert read_interactions(tmp_path / "x.csv").user_ids.tolist() == [long, "12"]


@RELAXED
@given(rows=PAIRS, k=st.integers(2, 4))
def test_core_is_the_largest_set_where_everyone_has_k(rows, k, tmp_path):
    pairs = {(u, i) for u, i, _ in rows}
    while True:  # the definition, one removal at a time
        weak = {(u, i) for u, i in pairs if sum(a == u for a, _ in pairs) < k or sum(b == i for _, b in pairs) < k}
        if not weak:
            break
        pairs -= weak
    read = read_interactions(write(tmp_path, "u.data", rows))
    if pairs:
        made = core(read, k)
        assert pairs_of(made) == {(str(u), str(i)) for u, i in pairs}
        assert made.user_counts.min() >= k
        assert made.item_counts.min() >= k

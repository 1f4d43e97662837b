"""Streamed reading gives what reading in one piece gives, or refuses the same line."""

from __future__ import annotations

import gzip

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sharpap.data import Interactions, read_interactions, write_interactions
from sharpap.data.form.layout import detect
from sharpap.data.reading import encode, lazy_table, stream
from sharpap.data.reading.columns import columns_of, meaning_in
from sharpap.data.writing import rewrite
from sharpap.errors import DataError

ID = st.text(alphabet='ab1 ";\n,é', min_size=0, max_size=3)
ROWS = st.lists(
    st.tuples(ID, ID, st.sampled_from(["1", "4.5", "nan", "", "x"]), st.integers(0, 9)), min_size=1, max_size=30
)
RELAXED = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def both(monkeypatch, path, **how) -> list[Interactions | DataError]:
    """In one piece, and streamed."""
    made: list[Interactions | DataError] = []
    for size in (1 << 60, 0):
        monkeypatch.setattr(stream, "STREAM_FROM", size)
        try:
            made.append(read_interactions(path, **how))
        except DataError as error:
            made.append(error)
    return made


def same(one: Interactions | DataError, other: Interactions | DataError) -> None:
    assert isinstance(one, Interactions)
    assert isinstance(other, Interactions), str(other)
    assert one.fingerprint == other.fingerprint
    assert one.notes == other.notes
    assert (one.timestamps is None) == (other.timestamps is None)
    if one.timestamps is not None and other.timestamps is not None:
        np.testing.assert_array_equal(one.timestamps, other.timestamps)


@pytest.mark.parametrize("form", ["csv", "parquet", "gzip"])
@pytest.mark.parametrize("threshold", [None, 2])
@RELAXED
@given(rows=ROWS)
def test_streamed_is_the_same_with_bad_rows_dropped(form, threshold, rows, monkeypatch, tmp_path):
    frame = pl.DataFrame(rows, schema=["user", "item", "rating", "time"], orient="row")
    if form == "parquet":
        path = tmp_path / "x.parquet"
        frame.write_parquet(path)
    else:
        text = frame.write_csv()
        path = tmp_path / ("x.csv" if form == "csv" else "x.csv.gz")
        path.write_bytes(text.encode() if form == "csv" else gzip.compress(text.encode()))
    one, other = both(monkeypatch, path, bad_rows="drop", threshold=threshold)
    if isinstance(one, DataError) or isinstance(other, DataError):
        assert isinstance(one, DataError), (str(other), path.read_bytes())
        assert isinstance(other, DataError), (str(one), path.read_bytes())
    else:
        same(one, other)


@pytest.mark.parametrize("kind", ["numbers", "texts"])
def test_ids_counted_over_many_batches_are_those_of_pandas(kind, monkeypatch, tmp_path):
    """Batches so small that what was counted is merged dozens of times, while new ids still come."""
    for module in (lazy_table, encode):
        monkeypatch.setattr(module, "BATCH", 16)
    generator = np.random.default_rng(1)
    rows = pd.DataFrame(generator.integers(0, [400, 30, 6], size=(3000, 3)), columns=["user_id", "item_id", "rating"])
    if kind == "texts":
        rows["user_id"] = "é" + rows["user_id"].astype(str)
    rows.to_csv(tmp_path / "x.csv", index=False)
    layout = detect(tmp_path / "x.csv")
    with lazy_table.rows_of(tmp_path / "x.csv", layout) as found:
        meaning = meaning_in(found.frame, layout, None, tmp_path / "x.csv", look=False)
        columns, _ = columns_of(found.frame, layout, meaning, tmp_path / "x.csv")
        made = encode.encode(found.frame, columns, layout, tmp_path / "x.csv")
        numbers = made.numbered().select("user", "item").collect(engine="streaming").sort("user", "item")
    for ids, name in ((made.users, "user_id"), (made.items, "item_id")):
        wanted = rows.groupby(name)["rating"].agg(["size", "max"]).sort_index()
        assert ids["id"].to_list() == wanted.index.tolist()
        assert ids["rows"].to_list() == wanted["size"].tolist()
        assert ids["best"].to_list() == wanted["max"].tolist()
    wanted = rows.assign(
        user=pd.factorize(rows["user_id"], sort=True)[0], item=pd.factorize(rows["item_id"], sort=True)[0]
    )
    assert numbers.rows() == sorted(wanted[["user", "item"]].itertuples(index=False, name=None))


@pytest.mark.parametrize("name", ["u.data", "ratings.dat", "x.inter", "x.tsv"])
def test_other_forms_and_repeats(name, monkeypatch, tmp_path):
    separator = "::" if name.endswith(".dat") else "\t"
    head = {"x.inter": "user_id:token\titem_id:token\trating:float\ttimestamp:float\n", "x.tsv": "u\ti\tstars\tts\n"}
    generator = np.random.default_rng(0)
    rows = generator.integers(0, [30, 20, 6, 99], size=(400, 4)).astype(str).tolist()
    (tmp_path / name).write_text(head.get(name, "") + "\n".join(separator.join(row) for row in rows) + "\n")
    for how in ({}, {"threshold": 3}, {"k_core": 3}):
        one, other = both(monkeypatch, tmp_path / name, **how)
        same(one, other)
        assert isinstance(one, Interactions)
        assert one.notes["duplicates_merged"] > 10
    one, other = both(monkeypatch, tmp_path / name, duplicates="refuse")
    assert isinstance(one, DataError)
    assert isinstance(other, DataError)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("user,item,rating\n1,2,5\n3,4,good\n", 3),
        ("user,item,rating\n1,2,5\n\n3,4,nan\n", 4),
        ("user,item\n1,2\n-3,4\n", 3),
        ("user,item\n1,2\n,4\n", 3),
        ("user,item,rating\n1,2,3\n1,2\n", 3),
        ("user,item\n1,2\n\x00,3\n", 3),
        ("user,price\n1,2\n", 1),
    ],
)
def test_streamed_errors_name_the_same_line(text, line, monkeypatch, tmp_path):
    (tmp_path / "x.csv").write_text(text)
    for error in both(monkeypatch, tmp_path / "x.csv"):
        assert isinstance(error, DataError)
        assert error.line == line, str(error)


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".inter"])
@pytest.mark.parametrize("timed", [True, False])
def test_a_large_table_is_rewritten_as_its_interactions_are_written(suffix, timed, monkeypatch, tmp_path):
    """Rows in any order, repeats with other times, ranges of few rows: against the way through memory."""
    monkeypatch.setattr("sharpap.data.reading.external_sort.RANGE_ROWS", 50)
    monkeypatch.setattr("sharpap.data.reading.external_sort.MOST_FILES", 1000)
    monkeypatch.setattr("sharpap.data.reading.pairs.BLOCK", 64)
    monkeypatch.setattr(rewrite, "BLOCK", 64)
    draw = np.random.default_rng(0)
    table = {
        "user": [f"u{n}" for n in draw.integers(0, 40, 1000)], "item": [f"i{n}" for n in draw.integers(0, 60, 1000)],
        "rating": draw.integers(1, 6, 1000), **({"timestamp": draw.integers(0, 10**9, 1000)} if timed else {}),
    }  # fmt: skip
    path, mine, theirs = tmp_path / "x.csv", tmp_path / f"mine{suffix}", tmp_path / f"theirs{suffix}"
    pl.DataFrame(table).write_csv(path)
    made = read_interactions(path, threshold=3)
    lost = write_interactions(made, theirs)
    assert rewrite.large_table(path, mine, format=None, header=None, separator=None) is None  # small
    monkeypatch.setattr(rewrite, "STREAM_FROM", 0)
    layout = rewrite.large_table(path, mine, format=None, header=None, separator=None)
    assert layout is not None
    found = rewrite.rewrite(path, layout, mine, threshold=3)
    assert found.nnz == made.nnz
    assert found.lost == lost
    assert {key: made.notes[key] for key in found.notes} == found.notes
    same(read_interactions(mine), read_interactions(theirs))
    with pytest.raises(DataError, match="repeat a pair"):
        rewrite.rewrite(path, layout, tmp_path / f"no{suffix}", duplicates="refuse")
    assert not (tmp_path / f"no{suffix}").exists()
    assert rewrite.large_table(path, tmp_path / "x.npz", format=None, header=None, separator=None) is None


def test_times_of_which_one_is_odd_drop_the_same_row_in_memory_and_streamed(tmp_path):
    """Minutes with a zone are a time; what is none is no reason to read all others by another rule. Found by fuzzing."""
    times = ["2010-10-11T03:05:11Z", "2010-10-14T05:13Z", "2010-10-15T03:05:15+02:00", "Thursday", "2010-10-16"]
    path = tmp_path / "x.csv"
    path.write_text("user,item,time\n" + "".join(f"{n},i{n},{each}\n" for n, each in enumerate(times)))
    whole = read_interactions(path, bad_rows="drop")
    streamed = stream.read_streamed(path, detect(path), None, threshold=None, duplicates="merge", bad_rows="drop")
    assert whole.user_ids.tolist() == streamed.user_ids.tolist() == [0, 1, 2, 4]
    assert whole.timestamps.tolist() == streamed.timestamps.tolist() == [1286766311, 1287033180, 1287104715, 1287187200]

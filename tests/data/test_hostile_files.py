"""What fuzzing found, one case each, and files made to exhaust the machine."""

from __future__ import annotations

import gzip
import io
import json
import zipfile

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest
import scipy.sparse

from sharpap.assess.recipe import experiment_from
from sharpap.attacks.poison_io import load_poison
from sharpap.config import read_toml
from sharpap.data import read_interactions, synthetic
from sharpap.data.form.layout import detect
from sharpap.data.form.parquet_footer import claimed, refuse_bomb
from sharpap.data.inspection.profile import profile
from sharpap.data.reading import stream
from sharpap.data.reading.stream import read_streamed
from sharpap.errors import ConfigError, DataError

TEXT = {
    "text after a closing quote": ("x.csv", 'user,item\n"a"b,1\nc,2\n', 2, "quote"),
    "a quote inside a quoted field": ("x.csv", 'user,item\n"u1","film "1"x"\nc,2\n', 2, "quote"),
    "one quote in the last line": ("x.csv", 'user,item\n1,2\nc,7" single\n', 3, "quote"),
    "digits of another script": ("u.data", "1\t2\t3\t4\n1\t１２\t3\t4\n", 2, "not a whole number"),
    "tabs in a file of double colons": ("r.dat", "1::2::3::4\n4\t7\t4\t9\n", 2, "1 fields"),
    "a mark alone": ("r.dat", "1::2::3::4\n::\n", 2, "2 fields"),
    "a tab inside an id": ("r.dat", "1::2::3::4\n1\t5::7::4::9\n", 2, "not a whole number"),
    "a byte order mark before an id": ("x.csv", "user,item\n\ufeff2,1\n3,1\n", 2, "byte order mark"),
    "a separator at the very end": ("x.csv", "1,2\n4,5,", 2, "3 fields"),
    "a vertical tab in a list": ("train.txt", "0 1 2\n\x0b1 2\n", 2, "not a whole number"),
    "a carriage return in the header": ("x.csv", "user,item\rx\n1,2\n", 1, "carriage return"),
}


@pytest.mark.parametrize("case", TEXT)
def test_odd_texts_are_refused_by_both_readers(case, tmp_path):
    name, text, line, word = TEXT[case]
    path = tmp_path / name
    path.write_text(text, "utf-8", newline="")
    with pytest.raises(DataError, match=word) as caught:
        read_interactions(path)
    assert caught.value.line == line
    if name != "train.txt":
        with pytest.raises(DataError):
            read_streamed(path, detect(path), None, threshold=None, duplicates="merge", bad_rows="refuse")


def test_a_header_that_is_not_utf8_and_a_file_of_a_mark_only(tmp_path):
    (tmp_path / "x.csv").write_bytes(b"us\xe9r,user,item\n1,2,3\n")
    with pytest.raises(DataError, match=r"x\.csv:1: The text is not UTF-8"):
        read_interactions(tmp_path / "x.csv")
    (tmp_path / "x.csv").write_bytes(b"\xef\xbb\xbf\n")
    with pytest.raises(DataError, match="empty"):
        read_interactions(tmp_path / "x.csv")


def test_rows_that_are_left_out_do_not_decide_what_ids_are(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("user,item,rating\n1,007,3\n2,8,4\nuser,item,rating\n")
    held = read_interactions(path, bad_rows="drop")
    streamed = read_streamed(path, detect(path), None, threshold=None, duplicates="merge", bad_rows="drop")
    assert held.item_ids.tolist() == streamed.item_ids.tolist() == [7, 8]
    assert held.user_ids.tolist() == streamed.user_ids.tolist() == [1, 2]


def test_a_carriage_return_outside_of_quotes_is_dropped_by_both_readers(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text('user,item,x\n"a",1,2\n"b",2,3\rz\nc,3,4\rz\n"d"e,4,5\n', newline="")
    held = read_interactions(path, bad_rows="drop")
    streamed = read_streamed(path, detect(path), None, threshold=None, duplicates="merge", bad_rows="drop")
    assert held.user_ids.tolist() == streamed.user_ids.tolist() == ["a", "c"]
    assert sum(held.notes["dropped"].values()) == sum(streamed.notes["dropped"].values()) == 2


def test_a_mark_that_the_streamed_reader_needs_for_itself_is_refused(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("1,5,1\n2,5,1\x01u\n3,4\n", newline="")
    with pytest.raises(DataError, match=r"x\.csv:2: The file holds a control character"):
        read_streamed(path, detect(path), None, threshold=None, duplicates="merge", bad_rows="drop")


def test_line_breaks_in_quotes_stay_in_their_field(tmp_path):
    (tmp_path / "x.csv").write_text('user,item,text\na,1,"good\nfilm"\nb,2,"7"" single"\n')
    read = read_interactions(tmp_path / "x.csv")
    assert read.user_ids.tolist() == ["a", "b"]
    assert read.nnz == 2


@pytest.mark.parametrize(
    "values",
    [[[1]], [b"\xff"], [{"a": 1}], pl.Series([1]).cast(pl.Time), pl.Series([1]).cast(pl.Duration), [1e30], [2**63]],
    ids=["list", "bytes", "struct", "time", "duration", "huge float", "huge integer"],
)
def test_columns_that_hold_no_ids(values, tmp_path):
    series = (
        values if isinstance(values, pl.Series) else pl.Series(values, dtype=pl.UInt64 if values == [2**63] else None)
    )
    with pytest.raises(DataError, match=r"not ids|too large"):
        read_interactions(pl.DataFrame({"user": series, "item": [1]}))
    with pytest.raises(DataError, match=r"not numbers|no date"):
        read_interactions(pl.DataFrame({"user": [1], "item": [1], "timestamp": pl.Series([1]).cast(pl.Duration)}))


CSR = {
    "indices": np.array([0, 2]), "indptr": np.array([0, 1, 2]), "data": np.ones(2, np.float32), "shape": np.array([2, 3]),
}  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        {"indices": np.array(0)},
        {"indices": np.array([[0, 2]])},
        {"indptr": np.array([0.0, 1, 2])},
        {"data": np.array([1, 1], np.complex64)},
        {"data": np.ones(2, np.float16)},
        {"shape": np.array([2, 2**40])},
        {"shape": np.array(["2", "3"])},
        {"indptr": np.array([0, 2**64 - 1, 2], np.uint64)},
        {"timestamps": np.array([1.0, np.nan])},
        {"user_ids": np.array(["a", "a"])},
    ],
    ids=str,
)
def test_matrices_whose_arrays_lie(change, tmp_path):
    np.savez(tmp_path / "x.npz", **(CSR | change))
    with pytest.raises(DataError, match=r"x\.npz"):
        read_interactions(tmp_path / "x.npz")
    np.savez(tmp_path / "x.npz", **CSR)
    assert read_interactions(tmp_path / "x.npz").nnz == 2


def test_an_array_that_claims_more_than_it_holds(tmp_path):
    scipy.sparse.save_npz(tmp_path / "x.npz", scipy.sparse.eye_array(3, format="csr"), compressed=False)
    with zipfile.ZipFile(tmp_path / "x.npz") as good:
        members = {name: good.read(name) for name in good.namelist()}
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "<i8", "fortran_order": False, "shape": (10**15,)})
    members["indices.npy"] = head.getvalue() + b"\0" * 8
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as made:
        for name, raw in members.items():
            made.writestr(name, raw)
    with pytest.raises(DataError, match="not as long as it says"):
        read_interactions(tmp_path / "x.npz")


def test_bombs_are_not_unpacked(tmp_path):
    with gzip.open(tmp_path / "x.csv.gz", "wb") as file:
        file.write(b"user,item\n" + b"1,2\n" * (40 << 20))
    with pytest.raises(DataError, match="unpacks from"):
        read_interactions(tmp_path / "x.csv.gz")
    with zipfile.ZipFile(tmp_path / "x.npz", "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("indices.npy", b"\0" * (100 << 20))
    with pytest.raises(DataError, match="would unpack from"):
        read_interactions(tmp_path / "x.npz")


@pytest.mark.parametrize(
    "change",
    [
        {"seed": "x"}, {"seed": [1]}, {"seconds": {}}, {"direction": "up"}, {"target_ids": "1"}, {"attack": 3},
        {"settings": []}, {"history": "x"}, {"target_ids": [[1]]},
    ],
    ids=str,
)  # fmt: skip
def test_provenance_of_the_wrong_form(change, tmp_path):
    train = synthetic(20, 9, 60)
    (tmp_path / "p.csv").write_text("user_id,item_id\nfake-0,1\n")
    facts = {"target_ids": ["1"], "seed": 1, "direction": "promote"}
    (tmp_path / "p.csv.json").write_text(json.dumps(facts))
    assert load_poison(tmp_path / "p.csv", train).goal.targets == (1,)
    (tmp_path / "p.csv.json").write_text(json.dumps(facts | change))
    with pytest.raises(DataError, match=r"p\.csv"):
        load_poison(tmp_path / "p.csv", train)


def test_figures_without_their_parts():
    data = {"source": "synthetic", "users": 30, "items": 40, "interactions": 200}
    with pytest.raises(ConfigError, match=r"reported\[0\]: Reported needs claim, attack, victim"):
        experiment_from({"data": data, "victims": ["popularity"], "reported": [{}]})


def test_nesting_without_end(tmp_path):
    (tmp_path / "r.toml").write_text("a = " + "[" * 20_000)
    with pytest.raises(ConfigError, match="too deeply"):
        read_toml(tmp_path / "r.toml")
    (tmp_path / "p.csv").write_text("user_id,item_id\nfake-0,1\n")
    (tmp_path / "p.csv.json").write_text("[" * 100_000)
    with pytest.raises(DataError, match="too deeply"):
        load_poison(tmp_path / "p.csv", synthetic(20, 9, 60))


@pytest.mark.parametrize(
    "change", [{"users": {}}, {"users": 10**30}, {"user_spread": -1.0}, {"item_exponent": float("nan")}]
)
def test_shapes_of_synthetic_data_that_make_no_sense(change):
    data = {"source": "synthetic", "users": 30, "items": 40, "interactions": 200}
    with pytest.raises(ConfigError):
        experiment_from({"data": data | change, "victims": ["popularity"]})


def test_a_parquet_file_that_makes_polars_panic(tmp_path, monkeypatch):
    """Found by flipping bytes; which ones do depends on the version of polars, so that the panic is played here."""
    pl.DataFrame({"user": [1], "item": [2]}).write_parquet(tmp_path / "x.parquet")

    def panic(*args, **kwargs):
        raise pl.exceptions.PanicException("assertion failed: offset + length <= self.length")

    monkeypatch.setattr(pl, "read_parquet", panic)
    with pytest.raises(DataError, match="damaged or incomplete"):
        read_interactions(tmp_path / "x.parquet")


def test_parquet_bombs_are_not_unpacked(tmp_path, monkeypatch):
    """Billions of equal rows, and one text that is nearly all zeros, take a few kilobytes each."""
    many = pl.DataFrame({"user": pl.repeat(1, 10_000_000, dtype=pl.Int8, eager=True)}).with_columns(item="user")
    many.write_parquet(tmp_path / "rows.parquet")
    long = pl.DataFrame({"user": ["x" * (100 << 20)], "item": ["1"]})
    long.write_parquet(tmp_path / "text.parquet", compression="zstd", statistics=False)
    for name in ("rows", "text"):
        path = tmp_path / f"{name}.parquet"
        assert path.stat().st_size < 100_000
        for streamed in (False, True):
            monkeypatch.setattr(stream, "STREAM_FROM", 0 if streamed else 1 << 60)
            with pytest.raises(DataError, match="says that it holds"):
                read_interactions(path)


@pytest.mark.parametrize("rows", [0, 1, 3_000])
def test_the_footer_is_read_as_another_library_reads_it(rows, tmp_path):
    draw = np.random.default_rng(0)
    frame = pl.DataFrame(
        {
            "user": draw.integers(0, 50, rows),
            "item": [f"i{n}" for n in draw.integers(0, 9, rows)],
            "x": draw.random(rows),
        }
    )
    frame.write_parquet(tmp_path / "polars.parquet", row_group_size=700)
    pq.write_table(frame.to_arrow(), tmp_path / "arrow.parquet", row_group_size=900, compression="zstd")
    for name in ("polars", "arrow"):
        path = tmp_path / f"{name}.parquet"
        theirs = pq.read_metadata(path)
        groups = [theirs.row_group(place) for place in range(theirs.num_row_groups)]
        unpacked = sum(group.column(place).total_uncompressed_size for group in groups for place in range(3))
        assert claimed(path) == (rows, 3, unpacked)
        refuse_bomb(path)


def test_a_footer_that_is_none_is_left_to_polars(tmp_path):
    pl.DataFrame({"user": [1], "item": [2]}).write_parquet(tmp_path / "x.parquet")
    raw = (tmp_path / "x.parquet").read_bytes()
    length = int.from_bytes(raw[-8:-4], "little")
    draw = np.random.default_rng(0)
    path = tmp_path / "y.parquet"
    for _ in range(300):
        footer = bytearray(raw[-8 - length : -8])
        footer[draw.integers(0, length)] = draw.integers(0, 256)
        path.write_bytes(raw[: -8 - length] + bytes(footer) + raw[-8:])
        found = claimed(path)
        assert found is None or len(found) == 3
    for footer in (b"\x19" * 2_000, b"\x1c" * 2_000, b"\xff" * 100, b""):  # lists and structs without end
        path.write_bytes(b"PAR1" + footer + len(footer).to_bytes(4, "little") + b"PAR1")
        assert claimed(path) is None
    for short in (b"", b"PAR1", b"x" * 20):
        path.write_bytes(short)
        assert claimed(path) is None


@pytest.mark.parametrize("name", ["*", "^.*$", "^item.*$"])
def test_a_column_whose_name_is_a_pattern_is_refused(name, tmp_path):
    """Polars would give other columns for it."""
    rows = [(f"u{u}", f"i{i}", 1 + (u * i) % 5) for u in range(9) for i in range(u % 3, 9, 2)]
    names = ("user", name, "item2")
    (tmp_path / "x.csv").write_text("\n".join([",".join(names), *(",".join(map(str, row)) for row in rows)]))
    frame = pl.DataFrame({each: [row[place] for row in rows] for place, each in enumerate(names)})
    frame.write_parquet(tmp_path / "x.parquet")
    (tmp_path / "x.jsonl").write_text("\n".join(json.dumps(dict(zip(names, row, strict=True))) for row in rows))
    for source in (frame, *(tmp_path / f"x.{kind}" for kind in ("csv", "parquet", "jsonl"))):
        with pytest.raises(DataError, match="a pattern"):
            read_interactions(source)
    for kind in ("csv", "parquet", "jsonl"):
        with pytest.raises(DataError, match="a pattern"):
            profile(tmp_path / f"x.{kind}")

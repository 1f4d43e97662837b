"""Files as people have them: other names, other separators, quotes, byte order marks, dates, compression."""

from __future__ import annotations

import bz2
import gzip

import numpy as np
import polars as pl
import pytest

from sharpap.data import Columns, Interactions, load, read_interactions
from sharpap.errors import DataError


def pairs_of(read: Interactions) -> set[tuple[str, str]]:
    users, items = read.entries()
    return {(str(u), str(i)) for u, i in zip(read.user_ids[users].tolist(), read.item_ids[items].tolist(), strict=True)}


WANTED = {("u1", "i1"), ("u1", "i2"), ("u2", "i1")}
FILES = {
    "other names": "CustomerNo,StockCode,Quantity,InvoiceDate\nu1,i1,5,2024-01-05\nu1,i2,3,2024-01-06\nu2,i1,1,2024-01-07\n",
    "capitals and dashes": "User-ID;ISBN;Book-Rating\nu1;i1;5\nu1;i2;0\nu2;i1;3\n",
    "camel case": "userId,movieId,rating\nu1,i1,5\nu1,i2,0\nu2,i1,3\n",
    "semicolons": "user;item;rating\nu1;i1;4,5\nu1;i2;2,0\nu2;i1;3,5\n",
    "bars": "user|item|rating\nu1|i1|4.5\nu1|i2|2.0\nu2|i1|3\n",
    "spaces": "user item rating\nu1 i1 4.5\nu1 i2 2.0\nu2 i1 3\n",
    "tabs in .csv": "user\titem\nu1\ti1\nu1\ti2\nu2\ti1\n",
    "quoted": '"user","item","title"\n"u1","i1","A, B"\n"u1","i2","said ""no"""\n"u2","i1","x"\n',
    "quoted line break": '"user","item","title"\n"u1","i1","A\nB"\n"u1","i2","b"\n"u2","i1","x"\n',
    "byte order mark": "\ufeffuser,item\nu1,i1\nu1,i2\nu2,i1\n",
    "Windows line ends": "user,item\r\nu1,i1\r\nu1,i2\r\nu2,i1\r\n",
    "all at once": '\ufeff"User ID";"Item ID";"Score"\r\n"u1";"i1";"4,5"\r\n"u1";"i2";"2"\r\n"u2";"i1";"3"\r\n',
    "extra columns": "n,country,user_id,price,item_id,note\n1,DE,u1,2.5,i1,\n2,FR,u1,3,i2,\n3,FR,u2,2.5,i1,x\n",
    "index column without a name": ",user,item\n0,u1,i1\n1,u1,i2\n2,u2,i1\n",
    "blank lines": "\n\nuser,item\nu1,i1\n\nu1,i2\n   \nu2,i1\n\n",
    "blanks around ids": "user, item\n u1, i1\nu1 ,i2\nu2,i1 \n",
}  # fmt: skip


@pytest.mark.parametrize("case", FILES)
def test_files_as_people_have_them(case, tmp_path):
    (tmp_path / "x.csv").write_text(FILES[case], newline="")
    assert pairs_of(read_interactions(tmp_path / "x.csv")) == WANTED
    (tmp_path / "x.csv.gz").write_bytes(gzip.compress(FILES[case].encode()))
    assert pairs_of(read_interactions(tmp_path / "x.csv.gz")) == WANTED


@pytest.mark.parametrize("case", ["semicolons", "bars", "tabs in .csv"])
def test_a_name_without_suffix_is_told_by_content(case, tmp_path):
    (tmp_path / "x").write_text(FILES[case])
    assert pairs_of(read_interactions(tmp_path / "x")) == WANTED


def test_decimal_commas_are_ratings(tmp_path):
    (tmp_path / "x.csv").write_text(FILES["semicolons"])
    assert pairs_of(read_interactions(tmp_path / "x.csv", threshold=3.5)) == {("u1", "i1"), ("u2", "i1")}


def test_a_separator_can_be_named(tmp_path):
    (tmp_path / "x.txt").write_text("u1~a,b\nu2~c,d\n")
    assert pairs_of(read_interactions(tmp_path / "x.txt", separator="~", header=False)) == {
        ("u1", "a,b"),
        ("u2", "c,d"),
    }
    with pytest.raises(DataError, match="one character"):
        read_interactions(tmp_path / "x.txt", separator="::")


def test_a_table_of_numbers_with_spaces_is_no_adjacency_list(tmp_path):
    (tmp_path / "x.txt").write_text("1 10 5\n1 11 4\n2 10 3\n")
    assert pairs_of(read_interactions(tmp_path / "x.txt", threshold=4)) == {("1", "10"), ("1", "11")}
    (tmp_path / "y.txt").write_text("1 10 5\n2 11 4\n3 10 3\n")
    assert ("1", "5") in pairs_of(read_interactions(tmp_path / "y.txt"))


DATES = {
    "2024-01-05": 1704412800.0,
    "2024-01-05 10:00": 1704448800.0,
    "2024-01-05 10:00:00": 1704448800.0,
    "2024-01-05T10:00:00Z": 1704448800.0,
    "2024-01-05T10:00:00.250Z": 1704448800.25,
    "2024-01-05T12:00:00+02:00": 1704448800.0,
    "2024-01-05 05:00:00-0500": 1704448800.0,
    "2024/01/05 10:00:00": 1704448800.0,
    "05.01.2024 10:00": 1704448800.0,
}


@pytest.mark.parametrize("text", DATES)
def test_dates_are_utc_seconds(text, tmp_path):
    (tmp_path / "x.csv").write_text(f"user,item,date\n1,2,{text}\n")
    read = read_interactions(tmp_path / "x.csv")
    assert read.timestamps is not None
    assert read.timestamps.tolist() == [DATES[text]]


def test_iso_dates_of_several_forms_in_one_column(tmp_path):
    forms = [text for text in DATES if not text.startswith("05")]
    rows = "".join(f"1,{item},{text}\n" for item, text in enumerate(forms))
    (tmp_path / "x.csv").write_text("user,item,date\n" + rows)
    read = read_interactions(tmp_path / "x.csv")
    assert read.timestamps is not None
    assert read.timestamps.tolist() == [DATES[text] for text in forms]
    (tmp_path / "x.csv").write_text("user,item,date\n" + rows + "1,99,someday\n")
    with pytest.raises(DataError, match=rf"x\.csv:{len(forms) + 2}: timestamp 'someday'"):
        read_interactions(tmp_path / "x.csv")


@pytest.mark.parametrize("dtype", [pl.Int8, pl.UInt8, pl.Int32, pl.UInt32, pl.UInt64, pl.Float32])
def test_ids_of_every_width(dtype):
    frame = pl.DataFrame({"user": [1, 2, 2], "item": [3, 3, 4]}, schema={"user": dtype, "item": dtype})
    assert pairs_of(read_interactions(frame)) == {("1", "3"), ("2", "3"), ("2", "4")}


BAD = (
    "user,item,rating,date\na,1,5,2024-01-01\n,1,5,2024-01-01\nb,,5,2024-01-01\nc,2\nd,3,x,2024-01-01\n"
    "e,4,inf,2024-01-01\nf,5,1,\n,,x,\ng,6,2,2024-01-02\nh,7,2,2024-01-02,more\n"
)


def test_bad_rows_can_be_dropped_and_are_counted_by_reason(tmp_path):
    (tmp_path / "x.csv").write_text(BAD)
    with pytest.raises(DataError, match=r"x\.csv:5: This line has 2 fields"):
        read_interactions(tmp_path / "x.csv")
    read = read_interactions(tmp_path / "x.csv", bad_rows="drop")
    assert pairs_of(read) == {("a", "1"), ("g", "6")}
    assert read.item_ids.tolist() == [1, 6]
    assert read.notes["rows"] == 2
    assert read.notes["dropped"] == {
        "wrong number of fields, or an open quote": 2,
        "missing user id": 2,
        "missing item id": 1,
        "rating that is not a finite number": 2,
        "timestamp that is no date and time": 1,
    }
    assert load(str(tmp_path / "x.csv"), bad_rows="drop").train.nnz == 2


def test_bad_rows_of_frames():
    frame = pl.DataFrame({"user": [1.0, None, 2.5, float("nan"), 4.0], "item": [1, 2, 3, 4, -5]})
    read = read_interactions(frame, bad_rows="drop")
    assert pairs_of(read) == {("1", "1")}
    assert read.notes["dropped"] == {
        "missing user id": 2, "user id that is not a whole number": 1, "negative item id": 1,
    }  # fmt: skip
    with pytest.raises(DataError, match="No row can be used"):
        read_interactions(frame[1:], bad_rows="drop")


def test_what_cannot_be_read_says_so(tmp_path):
    (tmp_path / "x.csv").write_bytes("user,item\n1,2\n".encode("utf-16"))
    with pytest.raises(DataError, match="UTF-16"):
        read_interactions(tmp_path / "x.csv")
    (tmp_path / "x.csv").write_bytes(bz2.compress(b"user,item\n1,2\n"))
    with pytest.raises(DataError, match="compressed with bzip2"):
        read_interactions(tmp_path / "x.csv")
    (tmp_path / "x.csv.gz").write_bytes(gzip.compress(b"user,item\n" + b"1,2\n" * 9000)[:50])
    with pytest.raises(DataError, match="gzip file is damaged"):
        read_interactions(tmp_path / "x.csv.gz")
    (tmp_path / "x.csv").write_text("name,item_name,item_price\na,b,3\n")
    with pytest.raises(DataError, match="No column looks like the user"):
        read_interactions(tmp_path / "x.csv")
    (tmp_path / "x.csv").write_text("user,item_name,item_price\na,b,3\n")
    with pytest.raises(DataError, match="No column looks like the item"):
        read_interactions(tmp_path / "x.csv")
    assert pairs_of(read_interactions(tmp_path / "x.csv", columns=Columns(item="item_name"))) == {("a", "b")}


def test_a_named_column_is_not_guessed_for_another_role(tmp_path):
    (tmp_path / "x.csv").write_text("user,item,product_id\nx,a,1\n")
    assert pairs_of(read_interactions(tmp_path / "x.csv", columns=Columns(user="item"))) == {("a", "1")}


def test_npz_keeps_ids_and_refuses_false_ones(tmp_path):
    parts = {
        "indices": np.array([0, 1]), "indptr": np.array([0, 1, 2]), "data": np.ones(2), "shape": np.array([2, 2])
    }  # fmt: skip
    np.savez(tmp_path / "x.npz", **parts, user_ids=np.array(["b", "a"]), item_ids=np.array([7, 9]))
    assert pairs_of(read_interactions(tmp_path / "x.npz")) == {("b", "7"), ("a", "9")}
    for ids in (np.array(["a", "a"]), np.array(["a"]), np.array([1.5, 2.5])):
        np.savez(tmp_path / "y.npz", **parts, user_ids=ids)
        with pytest.raises(DataError, match=r"2 different ids"):
            read_interactions(tmp_path / "y.npz")
    np.savez(tmp_path / "y.npz", **parts, user_ids=np.array(["a", None], dtype=object))
    with pytest.raises(DataError, match="not a CSR matrix"):
        read_interactions(tmp_path / "y.npz")

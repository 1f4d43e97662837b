"""Bad input gives one message with file and line, and nothing else."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
import scipy.sparse

from sharpap.data import Columns, given, read_interactions
from sharpap.errors import DataError

TEXT = {
    "text for a rating": ("x.csv", "user,item,rating\n1,2,5\n3,4,good\n", 3, "'good'"),
    "NaN rating": ("x.csv", "user,item,rating\n1,2,5\n\n3,4,nan\n", 4, "nan"),
    "infinite rating": ("u.data", "1\t2\t3\t4\n1\t3\tinf\t4\n", 2, "inf"),
    "missing rating": ("x.csv", "user,item,rating\n1,2,\n", 2, "rating"),
    "text id in u.data": ("u.data", "1\t2\t3\t4\nbob\t2\t3\t4\n", 2, "'bob'"),
    "text id in ratings.dat": ("ratings.dat", "1::2::3::4\n1::x::3::4\n", 2, "'x'"),
    "negative id": ("x.csv", "user,item\n1,2\n-3,4\n", 3, "negative"),
    "missing id": ("x.csv", "user,item\n1,2\n,4\n", 3, "missing"),
    "ragged line": ("x.csv", "user,item,rating\n1,2,3\n1,2\n", 3, "2 fields"),
    "too many fields": ("u.data", "1\t2\t3\t4\n1\t2\t3\t4\t5\n", 2, "5 fields"),
    "missing column": ("x.csv", "user,price\n1,2\n", 1, "item"),
    "negative in adjacency": ("train.txt", "0 1 2\n1 -5 2\n", 2, "'-5'"),
    "text in adjacency": ("train.txt", "0 1 2\n1 x 2\n", 2, "'x'"),
    "huge id in adjacency": ("train.txt", "0 1 2\n1 4000000000 2\n", 2, "4000000000"),
    "endless id in adjacency": ("train.txt", "0 1 2\n1 99999999999999999999999 2\n", 2, "too long"),
    "zero byte": ("x.csv", "user,item\n1,2\n\x00,3\n", 3, "zero byte"),
    "open quote": ("x.csv", 'user,item\n1,"2\n3,4\n', 2, "quote"),
}


@pytest.mark.parametrize("case", TEXT)
def test_text_errors_name_file_and_line(case, tmp_path):
    name, text, line, word = TEXT[case]
    path = tmp_path / name
    path.write_text(text)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(DataError) as caught:
        read_interactions(path)
    assert caught.value.line == line, str(caught.value)
    assert str(path) in str(caught.value)
    assert word in str(caught.value)
    assert sorted(tmp_path.iterdir()) == before


def test_not_utf8(tmp_path):
    (tmp_path / "x.csv").write_bytes(b"user,item\n1,2\nJos\xe9,3\n")
    with pytest.raises(DataError, match=r"x\.csv:3: The text is not UTF-8"):
        read_interactions(tmp_path / "x.csv")


@pytest.mark.parametrize("content", [b"", b"\n\n  \n"])
@pytest.mark.parametrize("name", ["x.csv", "u.data", "x.parquet", "x.npz", "train.txt"])
def test_empty_files(name, content, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match="empty"):
        read_interactions(tmp_path / name)


def test_header_only(tmp_path):
    (tmp_path / "x.csv").write_text("user,item\n")
    with pytest.raises(DataError, match="no interaction"):
        read_interactions(tmp_path / "x.csv")


def test_damaged_parquet_and_npz(tmp_path):
    pl.DataFrame({"user": range(100), "item": range(100)}).write_parquet(tmp_path / "x.parquet")
    scipy.sparse.save_npz(tmp_path / "x.npz", scipy.sparse.eye_array(50, format="csr"))
    for name in ("x.parquet", "x.npz"):
        whole = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(whole[: len(whole) // 2])
        with pytest.raises(DataError, match=name):
            read_interactions(tmp_path / name)


def test_npz_with_objects_is_not_unpickled(tmp_path):
    np.savez(tmp_path / "x.npz", indices=np.array([print], dtype=object), indptr=[0], data=[1], shape=[1, 1])
    with pytest.raises(DataError, match="not a CSR matrix"):
        read_interactions(tmp_path / "x.npz")


def test_npz_that_points_outside(tmp_path):
    np.savez(tmp_path / "x.npz", indices=[0, 9], indptr=[0, 2], data=[1.0, 1.0], shape=[1, 3])
    with pytest.raises(DataError, match="do not fit together"):
        read_interactions(tmp_path / "x.npz")


def test_duplicates_can_be_refused(tmp_path):
    (tmp_path / "x.csv").write_text("user,item\na,1\nb,1\na,1\n")
    with pytest.raises(DataError, match=r"x\.csv:4: User a and item 1 stand already in line 2"):
        read_interactions(tmp_path / "x.csv", duplicates="refuse")
    (tmp_path / "train.txt").write_text("0 1 2\n1 3 4 3\n")
    with pytest.raises(DataError, match=r"train\.txt:2: User 1 has item 3 twice"):
        read_interactions(tmp_path / "train.txt", duplicates="refuse")


def test_other_misuse(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        read_interactions(tmp_path / "nothing.csv")
    with pytest.raises(DataError, match="folder"):
        read_interactions(tmp_path)
    (tmp_path / "x.csv").write_text("user,item\n1,2\n")
    with pytest.raises(DataError, match="no rating column"):
        read_interactions(tmp_path / "x.csv", threshold=4)
    with pytest.raises(DataError, match=r"no user column 'who'.*user, item"):
        read_interactions(tmp_path / "x.csv", columns=Columns(user="who"))
    with pytest.raises(DataError, match="Cannot read interactions from a list"):
        read_interactions([1, 2])
    with pytest.raises(DataError, match="not finite"):
        read_interactions(scipy.sparse.csr_array([[1.0, np.nan]]))
    with pytest.raises(DataError, match=r"Row 1: rating"):
        read_interactions(pl.DataFrame({"user": [1, 2], "item": [1, 2], "rating": [1.0, None]}))


def test_a_user_with_no_training_item(tmp_path):
    (tmp_path / "train.csv").write_text("user,item\na,1\nb,2\n")
    (tmp_path / "test.csv").write_text("user,item\na,2\nc,1\nc,2\n")
    train, test = (read_interactions(tmp_path / name) for name in ("train.csv", "test.csv"))
    with pytest.raises(DataError, match="User c has 2 test interactions but none in train"):
        given(train, test)
    made = given(train, test, valid_share=0, cold_users="drop")
    assert made.test.nnz == 1
    assert made.source["test_cold_users"] == 1

"""What is written is read back the same, from every form to every form."""

from __future__ import annotations

from itertools import product

import numpy as np
import polars as pl
import pytest
import scipy.sparse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sharpap.data import Interactions, profile, read_interactions, write_interactions
from sharpap.data.writing import write
from sharpap.errors import ConfigError, DataError

SUFFIXES = (".npz", ".parquet", ".csv", ".tsv", ".inter")
SOURCES = {
    "u.data": "1\t10\t5\t100\n2\t10\t3\t200\n2\t30\t4\t50\n",
    "ratings.dat": "1::10::5::100\n2::10::3::200\n2::30::4::50\n",
    "x.inter": "user_id:token\titem_id:token\ttimestamp:float\n1\t10\t100\n2\t10\t200\n2\t30\t50\n",
    "train.txt": "1 10\n2 10 30\n",
    "x.csv": "user;item;time\n1;10;100\n2;10;200\n2;30;50\n",
    "x.tsv": "user\titem\ttime\n1\t10\t100\n2\t10\t200\n2\t30\t50\n",
    "x.parquet": "",
    "x.npz": "",
}  # fmt: skip
WANTED = {("1", "10"): 100.0, ("2", "10"): 200.0, ("2", "30"): 50.0}


def timed(read: Interactions) -> dict[tuple[str, str], float | None]:
    users, items = read.entries()
    times = [None] * read.nnz if read.timestamps is None else read.timestamps.tolist()
    pairs = zip(read.user_ids[users].tolist(), read.item_ids[items].tolist(), times, strict=True)
    return {(str(user), str(item)): time for user, item, time in pairs}


@pytest.mark.parametrize(("source", "suffix"), list(product(SOURCES, SUFFIXES)))
def test_every_form_to_every_form(source, suffix, tmp_path):
    path = tmp_path / source
    if source == "x.parquet":
        pl.DataFrame({"user": [1, 2, 2], "item": [10, 10, 30], "time": [100, 200, 50]}).write_parquet(path)
    elif source == "x.npz":
        scipy.sparse.save_npz(path, scipy.sparse.csr_array((np.ones(3), ([1, 2, 2], [10, 10, 30]))))
    else:
        path.write_text(SOURCES[source])
    read = read_interactions(path)
    write_interactions(read, tmp_path / f"out{suffix}")
    again = read_interactions(tmp_path / f"out{suffix}")
    expected = WANTED if source not in ("train.txt", "x.npz") else dict.fromkeys(WANTED)
    assert timed(again) == timed(read) == expected
    if suffix == ".npz":
        assert again.fingerprint == read.fingerprint
    found = profile(tmp_path / f"out{suffix}")
    assert (found.pairs, found.suspicions) == (3, ())
    assert found.advice.options.get("columns") is None


IDS = st.text(alphabet="ab12 \",;'#é\u4e2d-._", min_size=1, max_size=5).map(str.strip).filter(bool)
IDS = IDS.filter(lambda text: not text.removeprefix("-").isdigit() or text[0] != "-")  # negative numbers are refused


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    pairs=st.lists(st.tuples(IDS, IDS), min_size=1, max_size=25),
    suffix=st.sampled_from(SUFFIXES),
    with_time=st.booleans(),
)
def test_awkward_ids_survive(pairs, suffix, with_time, tmp_path):
    frame = {"user": [user for user, _ in pairs], "item": [item for _, item in pairs]}
    if with_time:
        frame["time"] = [float(place) / 3 for place in range(len(pairs))]
    read = read_interactions(pl.DataFrame(frame))
    path = tmp_path / f"out{suffix}"
    write_interactions(read, path, overwrite=True)
    assert timed(read_interactions(path)) == timed(read)


def test_ids_that_a_form_cannot_keep_are_refused(tmp_path):
    for bad, suffixes in (("a\tb", (".tsv", ".inter")), ("a\nb", (".tsv", ".inter", ".csv"))):
        read = read_interactions(pl.DataFrame({"user": [bad, "c"], "item": ["x", "y"]}))
        for suffix in SUFFIXES:
            path = tmp_path / f"out{suffix}"
            if suffix in suffixes:
                with pytest.raises(DataError, match="cannot keep"):
                    write_interactions(read, path, overwrite=True)
            else:
                write_interactions(read, path, overwrite=True)
                assert timed(read_interactions(path)) == timed(read)


def test_users_and_items_without_interactions_are_kept_or_counted(tmp_path):
    (tmp_path / "x.csv").write_text("user,item,rating\na,x,5\nb,y,1\nb,x,2\nc,y,1\n")
    read = read_interactions(tmp_path / "x.csv", threshold=4)
    assert write_interactions(read, tmp_path / "o.csv") == {
        "users without interactions": 2,
        "items without interactions": 1,
    }
    assert write_interactions(read, tmp_path / "o.npz") == {}
    assert read_interactions(tmp_path / "o.npz").fingerprint == read.fingerprint
    assert read_interactions(tmp_path / "o.csv").num_users == 1


def test_blocks_make_one_file(tmp_path, monkeypatch):
    generator = np.random.default_rng(0)
    frame = {"user": generator.integers(0, 40, 500), "item": generator.integers(0, 90, 500), "time": np.arange(500)}
    read = read_interactions(pl.DataFrame(frame))
    monkeypatch.setattr(write, "_BLOCK", 7)
    for suffix in SUFFIXES:
        write_interactions(read, tmp_path / f"out{suffix}")
        assert timed(read_interactions(tmp_path / f"out{suffix}")) == timed(read)


def test_other_libraries_read_it(tmp_path):
    read = read_interactions(pl.DataFrame({"user": ["b", "a", "b"], "item": [7, 7, 9], "time": [1.5, 2, 3]}))
    write_interactions(read, tmp_path / "o.npz")
    np.testing.assert_array_equal(scipy.sparse.load_npz(tmp_path / "o.npz").toarray(), [[1, 0], [1, 1]])
    write_interactions(read, tmp_path / "o.inter")
    head = (tmp_path / "o.inter").read_text().splitlines()
    assert head[:2] == ["user_id:token\titem_id:token\ttimestamp:float", "a\t7\t2.0"]
    write_interactions(read, tmp_path / "o.csv", separator=";")
    assert (tmp_path / "o.csv").read_text().splitlines()[1] == "a;7;2.0"


def test_nothing_is_overwritten_or_left_half_done(tmp_path, monkeypatch):
    read = read_interactions(pl.DataFrame({"user": ["b", "a"], "item": [7, 7]}))
    path = tmp_path / "o.csv"
    path.write_text("mine")
    with pytest.raises(ConfigError, match="exists"):
        write_interactions(read, path)
    with pytest.raises(ConfigError, match="no suffix"):
        write_interactions(read, tmp_path / "o.xlsx")
    with pytest.raises(ConfigError, match="separator"):
        write_interactions(read, tmp_path / "o.tsv", separator=";")

    def fail(*_: object, **__: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(pl.DataFrame, "write_csv", fail)
    with pytest.raises(OSError, match="no space"):
        write_interactions(read, path, overwrite=True)
    assert path.read_text() == "mine"
    assert [entry.name for entry in tmp_path.iterdir()] == ["o.csv"]

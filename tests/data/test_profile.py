"""Profiles against plain counting with pandas, and every suspicion on a file that deserves it."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from datetime import datetime, time, timedelta
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse

import sharpap
import sharpap.data
from sharpap.data import Columns, Profile, profile, read_interactions
from sharpap.data.reading.pairs import Pairs, equal_profiles, gini
from sharpap.errors import DataError


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    """4,000 ratings with repeats; popularity falls with the item number."""
    generator = np.random.default_rng(0)
    return pd.DataFrame({
        "user_id": generator.integers(0, 60, 4000), "item_id": (generator.pareto(1.2, 4000) * 4).astype(int) % 120,
        "rating": generator.integers(1, 6, 4000), "timestamp": generator.integers(1_500_000_000, 1_600_000_000, 4000),
    })  # fmt: skip


def write(frame: pd.DataFrame, folder: Path, form: str) -> Path:
    """The frame in one form; those without ratings or times lose them."""
    path = folder / {"inter": "x.inter", "dat": "ratings.dat", "adjacency": "train.txt"}.get(form, f"x.{form}")
    if form == "parquet":
        pl.DataFrame(frame.to_dict("list")).write_parquet(path)
    elif form == "npz":
        pairs = frame.drop_duplicates(["user_id", "item_id"])
        ones = np.ones(len(pairs))
        scipy.sparse.save_npz(path, scipy.sparse.csr_array((ones, (pairs.user_id, pairs.item_id))))
    elif form == "adjacency":
        lines = [f"{user} {' '.join(map(str, part.item_id))}" for user, part in frame.groupby("user_id")]
        path.write_text("\n".join(lines))
    elif form == "dat":
        path.write_text("\n".join("::".join(map(str, row)) for row in frame.itertuples(index=False)))
    elif form == "inter":
        typed = frame.rename(columns={name: f"{name}:{'token' if 'id' in name else 'float'}" for name in frame})
        typed.to_csv(path, sep="\t", index=False)
    elif form == "csv.gz":
        path.write_bytes(gzip.compress(frame.to_csv(index=False).encode()))
    else:
        frame.to_csv(path, sep="\t" if form == "tsv" else ";" if form == "txt" else ",", index=False)
    return path


@pytest.mark.parametrize("form", ["csv", "tsv", "txt", "csv.gz", "inter", "dat", "parquet", "npz", "adjacency"])
def test_counts_of_every_form_are_those_of_pandas(form, frame, tmp_path):
    found = profile(write(frame, tmp_path, form))
    pairs = frame.drop_duplicates(["user_id", "item_id"])
    by_user, by_item = pairs.groupby("user_id").size(), pairs.groupby("item_id").size()
    assert (found.users, found.items, found.pairs) == (len(by_user), len(by_item), len(pairs))
    assert found.density == pytest.approx(len(pairs) / (len(by_user) * len(by_item)))
    for spread, counts in ((found.profile_size, by_user), (found.popularity, by_item)):
        assert spread.mean == pytest.approx(counts.mean())
        assert spread.median == counts.median()
        assert (spread.least, spread.most) == (counts.min(), counts.max())
    ordered = by_item.sort_values(ascending=False)
    for share in (0.01, 0.1):
        top = ordered.head(max(round(share * len(ordered)), 1)).sum()
        assert found.top_shares[share] == pytest.approx(top / len(pairs))
    if form != "npz":
        assert found.usable == found.rows == len(frame)
        assert found.repeats == len(frame) - len(pairs)
    for size in found.cores:
        left = pairs
        while True:  # the definition
            strong = [left.groupby(name)[name].transform("size") >= size.k for name in ("user_id", "item_id")]
            if (strong[0] & strong[1]).all():
                break
            left = left[strong[0] & strong[1]]
        assert len(left) > 0
        assert (size.users, size.items, size.pairs) == (left.user_id.nunique(), left.item_id.nunique(), len(left))
    if form in ("npz", "adjacency"):
        assert found.times is None
        return
    assert found.ratings is not None
    assert {low: rows for low, _, rows in found.ratings.histogram} == frame.rating.value_counts().to_dict()
    kept = frame[frame.rating >= 4]
    assert found.ratings.threshold == 4
    assert found.ratings.keeps == {
        "rows": len(kept), "users": kept.user_id.nunique(), "items": kept.item_id.nunique()
    }  # fmt: skip
    assert found.times is not None
    assert (found.times.low, found.times.high) == (frame.timestamp.min(), frame.timestamp.max())
    assert found.times.unit == "seconds"


@pytest.mark.parametrize("form", ["csv", "tsv", "txt", "csv.gz", "inter", "dat", "parquet", "npz", "adjacency"])
def test_the_python_line_loads_what_was_profiled(form, frame, tmp_path):
    found = profile(write(frame, tmp_path, form))
    data = run_python(found)
    rated = found.ratings is not None and found.ratings.threshold is not None
    liked = frame[frame.rating >= 4] if rated else frame
    wanted = {(str(row.user_id), str(row.item_id)) for row in liked.itertuples()}
    got = set()
    for part in (data.train, data.valid, data.test):
        users, items = part.entries()
        got |= set(
            zip(part.user_ids[users].astype(str).tolist(), part.item_ids[items].astype(str).tolist(), strict=True)
        )
    assert got == wanted


def run_python(found: Profile) -> sharpap.Dataset:
    """Execute the line that the profile gives; it comes from this test's own file."""
    scope: dict[str, object] = {}
    exec(found.advice.python, scope)
    data = scope["data"]
    assert isinstance(data, sharpap.Dataset)
    return data


def test_gini_is_the_mean_difference_over_twice_the_mean():
    counts = np.random.default_rng(1).integers(1, 50, 40)
    difference = np.mean([abs(int(a) - int(b)) for a in counts for b in counts])
    assert gini(counts) == pytest.approx(difference / (2 * counts.mean()))


def test_equal_profiles_are_found_among_all_pairs_of_users():
    generator = np.random.default_rng(2)
    sets = [frozenset(generator.choice(12, size=generator.integers(1, 4), replace=False).tolist()) for _ in range(200)]
    keys = np.array([user * 12 + item for user, items in enumerate(sets) for item in items], dtype=np.uint64)
    pairs = Pairs(keys=np.sort(keys), num_users=200, num_items=12, repeats=0)
    groups = equal_profiles(pairs, least=2)
    together = {(int(a), int(b)) for group in groups for a, b in combinations(sorted(group), 2)}
    assert together == {(a, b) for a, b in combinations(range(200), 2) if sets[a] == sets[b] and len(sets[a]) >= 2}
    assert [len(group) for group in groups] == sorted(
        (n for items, n in Counter(sets).items() if n > 1 and len(items) >= 2), reverse=True
    )


def kinds(found: Profile) -> dict[str, int]:
    return {suspicion.kind: suspicion.count for suspicion in found.suspicions}


def rows_with(extra: str, users: int = 40) -> str:
    """Unsuspicious rows of users with different items, and some more."""
    rows = [f"u{user},i{(user * 7 + 3 * n * n) % 50},{1 + n % 5},{1_500_000_000 + 86_400 * (50 * n + user)}"
            for user in range(users) for n in range(6)]  # fmt: skip
    return "user,item,rating,timestamp\n" + "\n".join(rows) + "\n" + extra


SUSPICIOUS = {
    "ragged": ("u1,i1\nu1,i1,5,1500000000,7\n", 2),
    "bad-row": (",i1,5,1500000000\n", 1),
    "padded-id": (" u1,i1 ,5,1500000000\n", 1),
    "case": ("U1,i1,5,1500000000\nU2,i1,5,1500000000\n", 2),
    "mixed-type": ("1,i1,5,1500000000\n1.0,i2,5,1500000000\n", 1),
    "odd-id": ("17,i1,5,1500000000\n", 1),
    "nothing-id": ("NaN,i1,5,1500000000\nnull,i2,5,1500000000\nNaN,i2,5,1500000000\n", 3),
    "control": ("x\x1b[31m,i1,5,1500000000\n", 1),
    "long-id": (f"{'x' * 300},i1,5,1500000000\n", 1),
    "repeats": ("u1,new,5,1500000000\nu1,new,5,1500000000\n", 1),
    "out-of-scale": ("u1,i1,55,1500000000\n", 1),
    "negative": ("u1,i1,-3,1500000000\n", 1),
    "zero": ("u1,i1,0,1500000000\n", 1),
    "equal-profiles": ("".join(f"f{u},i{i},5,{1_500_000_000 + 86_400 * u}\n" for u in range(4) for i in range(6)), 4),
    "huge-profile": ("".join(f"u1,new{i},5,{1_500_000_000 + 86_400 * i}\n" for i in range(300)), 1),
    "burst": ("".join(f"u{u},new,5,{1_500_000_000 + u}\n" for u in range(30)), 1),
}


@pytest.mark.parametrize("kind", SUSPICIOUS)
def test_suspicions(kind, tmp_path):
    (tmp_path / "clean.csv").write_text(rows_with(""))
    clean = kinds(profile(tmp_path / "clean.csv"))
    assert kind not in clean, clean
    extra, count = SUSPICIOUS[kind]
    (tmp_path / "x.csv").write_text(rows_with(extra))
    found = profile(tmp_path / "x.csv")
    assert kinds(found)[kind] == count + clean.get(kind, 0), found.suspicions
    stops = kind in ("ragged", "bad-row")
    assert any(suspicion.stops for suspicion in found.suspicions) == stops
    assert (found.advice.options.get("bad_rows") == "drop") == stops
    json.dumps(found.as_json())


def test_lines_of_bad_rows_are_those_of_the_file(tmp_path):
    (tmp_path / "x.csv").write_text("\nuser,item,rating\na,1,5\n\nb,2\nc,3,4,5\n,4,4\nd,5,bad\n")
    found = profile(tmp_path / "x.csv")
    examples = [example for suspicion in found.suspicions for example in suspicion.examples]
    assert {"line 5: 2 fields", "line 6: 4 fields", "line 7", "line 8"} <= set(examples)
    assert found.blank_lines == 1
    (tmp_path / "y.csv").write_text("user,item,rating\na,1,5\n,4,4\n")
    assert [suspicion.examples for suspicion in profile(tmp_path / "y.csv").suspicions] == [("line 3",)]


def test_dropped_rows_are_those_the_reader_drops(tmp_path):
    text = "user,item,rating,date\na,1,5,2024-01-01\n,1,5,2024-01-01\nb,,x,2024-01-01\nc,2,x,2024-01-01\nd,3,1,\n"
    (tmp_path / "x.csv").write_text(text)
    found = profile(tmp_path / "x.csv")
    assert found.dropped == read_interactions(tmp_path / "x.csv", bad_rows="drop").notes["dropped"]
    assert found.usable == 1


def test_leading_zeros(tmp_path):
    (tmp_path / "x.csv").write_text("user,item\n007,1\n7,2\n8,3\n")
    found = profile(tmp_path / "x.csv")
    assert kinds(found)["leading-zeros"] == 1
    assert found.users == read_interactions(tmp_path / "x.csv").num_users == 2


ROLES = {
    "names without meaning": ("who,what,how,when\nann,x,4.5,2024-01-01\nbob,y,3.5,2024-01-02\nann,y,1.0,2024-01-03\n",
                              {"user": "who", "item": "what", "rating": "how", "timestamp": "when"}),
    "no header, time third": ("1,10,1500000000\n2,10,1500000900\n1,11,1500009000\n",
                              {"user": "column 0", "item": "column 1", "timestamp": "column 2"}),
    "text called rating": ("user,item,rating\na,1,good\nb,2,bad\n", {"user": "user", "item": "item"}),
    "prices are no ratings": ("user,item,price\na,1,10.5\nb,2,2000.25\n", {"user": "user", "item": "item"}),
}  # fmt: skip


@pytest.mark.parametrize("case", ROLES)
def test_roles_from_names_order_and_content_and_the_options_for_them(case, tmp_path):
    text, roles = ROLES[case]
    (tmp_path / "x.csv").write_text(text)
    found = profile(tmp_path / "x.csv")
    assert {column.role: column.name for column in found.columns if column.role} == roles
    data = run_python(found)
    assert data.num_users == found.users
    assert (data.train.timestamps is not None) == ("timestamp" in roles)


def test_asked_columns_and_layout_come_back_as_options(tmp_path):
    (tmp_path / "x.csv").write_text("alice~a,b~x\nbob~c~y\n")
    found = profile(tmp_path / "x.csv", separator="~", header=False, columns=Columns(user=1, item=0, rating=""))
    assert found.advice.options["separator"] == "~"
    assert found.advice.options["header"] is False
    assert found.advice.options["columns"] == {"user": 1, "item": 0, "rating": ""}
    assert run_python(found).train.user_ids.tolist() == ["a,b", "c"]
    with pytest.raises(DataError, match="no user column 'z'"):
        profile(tmp_path / "x.csv", separator="~", columns=Columns(user="z"))
    with pytest.raises(DataError, match=r"x\.csv:2: This line has 1 fields"):
        profile(tmp_path / "x.csv")


@pytest.mark.parametrize(
    ("values", "scale", "threshold"),
    [
        ([1, 2, 3, 4, 5], "1 to 5", 4), ([0.5, 1, 3, 4.5, 5], "0.5 to 5", 4), ([1, 5, 10], "1 to 10", 8),
        ([0, 1], "0 to 1", 1), ([0.1, 0.35, 1.0], "0 to 1", 1), ([1, 1], "one value", None), (range(1, 60), "counts", None),
        ([-1, 1], "-1 to 1", 1), ([0, 40, 100], "0 to 100", 80), (np.linspace(0.5, 99, 1500), "0 to 100", 80),
        (np.linspace(0.5, 999, 1500), "counts", None),
    ],
)  # fmt: skip
def test_scales_and_thresholds(values, scale, threshold, tmp_path):
    rows = [f"u{place},i{place % 7},{value}" for place, value in enumerate(values)]
    (tmp_path / "x.csv").write_text("user,item,rating\n" + "\n".join(rows))
    found = profile(tmp_path / "x.csv").ratings
    assert found is not None
    assert (found.scale, found.threshold) == (scale, threshold)
    assert sum(rows for *_, rows in found.histogram) == len(rows)
    if threshold is not None:
        assert found.keeps["rows"] == sum(value >= threshold for value in values)


@pytest.mark.parametrize("scale", [1, 1_000, 1_000_000, 1_000_000_000])
def test_units_of_time(scale, tmp_path):
    pl.DataFrame(
        {"user": [1, 2], "item": [1, 2], "timestamp": [1_500_000_000 * scale, 1_600_000_000 * scale]}
    ).write_csv(tmp_path / "x.csv")
    found = profile(tmp_path / "x.csv").times
    assert found is not None
    assert found.unit == {1: "seconds", 1_000: "milliseconds", 1_000_000: "microseconds"}.get(scale, "nanoseconds")
    assert (found.first, found.last) == ("2017-07-14 02:40", "2020-09-13 12:26")


@pytest.mark.parametrize(
    ("name", "content", "word"),
    [
        ("x.csv", b"", "empty"), ("x.csv", b"user,item\n", "no interaction"), ("x.csv", b"user,item\n1,\xe9\n", "not UTF-8"),
        ("x.csv", b"user,item\n1,\x00\n", "zero byte"), ("x.parquet", b"PAR1 nothing", "damaged"),
        ("x.npz", b"PK nothing", "not a CSR"), ("train.txt", b"0 1 2\n1 x 2\n", "'x' is not a whole number"),
        ("x.csv", b"user,item\n,\n,\n", "row can be used"), ("x.csv", b"a,price\n1.5,2.5\n", "looks like the user"),
    ],
)  # fmt: skip
def test_bad_files_give_the_readers_messages(name, content, word, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=word) as caught:
        profile(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


def test_parquet_columns_of_every_type(tmp_path):
    start = datetime(2024, 1, 5, 10)
    frame = pl.DataFrame({
        "user": pl.Series(["a", "b", "a"], dtype=pl.Categorical), "item": pl.Series([1.0, 2.0, 2.0]),
        "rating": pl.Series(["1.5", "2.5", "3.5"]).cast(pl.Decimal(10, 2)), "timestamp": [start, start + timedelta(1), start],
        "tags": [["x"], [], ["y"]], "where": [{"x\x1b": 1}] * 3, "raw": [b"1", b"2", b"3"], "flag": [True, False, True],
        "length": [timedelta(1)] * 3, "clock": [time(1)] * 3, "day": [start.date()] * 3,
    })  # fmt: skip
    frame.write_parquet(tmp_path / "x.parquet")
    found = profile(tmp_path / "x.parquet")
    assert {column.role: column.name for column in found.columns if column.role} == {
        role: role for role in ("user", "item", "rating", "timestamp")
    }
    assert found.ratings is not None
    assert (found.ratings.low, found.ratings.high) == (1.5, 3.5)
    assert found.times is not None
    assert (found.times.first, found.times.last) == ("2024-01-05 10:00", "2024-01-06 10:00")
    data = run_python(found)
    assert data.num_users == found.users == 2
    assert data.train.item_ids.tolist() == [1, 2]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_name_is_no_pattern(suffix, tmp_path):
    for name, item in (("x[12]", 7), ("x1", 8), ("x*", 9)):
        frame = pl.DataFrame({"user": [1], "item": [item]})
        path = tmp_path / f"{name}{suffix}"
        path.write_bytes(frame.write_csv().encode()) if suffix == ".csv" else frame.write_parquet(path)
        assert profile(path).columns[1].examples == (str(item),)
        assert read_interactions(path).item_ids.tolist() == [item]

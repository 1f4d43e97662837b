"""Tables of thousands of columns, and names without end: a short look, and messages that can be read."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from sharpap.cli.profile import lines_of
from sharpap.data import Columns, profile, read_interactions
from sharpap.data.reading.columns import MOST_COLUMNS
from sharpap.errors import MOST_SAID, DataError, SharpAPError, listed

LONG = 1500


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_of_thousands_of_columns_a_hundred_are_looked_at(suffix, tmp_path):
    draw = np.random.default_rng(0)
    frame = {f"f{n}": draw.normal(size=300) for n in range(4000)}
    frame |= {"user_id": draw.integers(0, 40, 300), "item_id": draw.integers(0, 30, 300)}
    path = tmp_path / f"x{suffix}"
    pl.DataFrame(frame).write_parquet(path) if suffix == ".parquet" else pl.DataFrame(frame).write_csv(path)
    found = profile(path)
    assert len(found.columns) == MOST_COLUMNS + 2
    assert found.unseen == 4000 - MOST_COLUMNS
    assert "and 3,900 further columns, of which nothing was looked at" in "\n".join(lines_of(found))
    assert found.pairs == read_interactions(path).nnz == len(set(zip(frame["user_id"], frame["item_id"], strict=True)))


def refusals(path, **how) -> list[str]:
    """What reading and looking say."""
    said = []
    for reader in (read_interactions, profile):
        with pytest.raises(DataError) as caught:
            reader(path, **how)
        said.append(str(caught.value))
    return said


def test_messages_about_a_million_columns_are_short(tmp_path):
    ones = ",".join(["1"] * 10**6)
    (tmp_path / "x.csv").write_text(",".join(f"c{n}" for n in range(10**6)) + f"\n{ones}\n{ones}\n")
    for text in refusals(tmp_path / "x.csv"):
        assert "The first line has 1,000,000 fields; 50,000 are the most" in text
        assert len(text) < LONG
    (tmp_path / "x.csv").write_text("x" * (1 << 25))
    for text in refusals(tmp_path / "x.csv"):
        assert "first line has more than" in text


def test_messages_that_quote_names_and_values_are_short(tmp_path):
    wide = [f"column of some length {n}" for n in range(3000)]
    (tmp_path / "x.csv").write_text(",".join(wide) + "\n" + ",".join(["1.5", "2024-01-05"] * 1500) + "\n")
    (tmp_path / "y.csv").write_text("user,item,rating\n" + f"u,{'i' * 9000},{'r' * 9000}\n1,2,3\n")
    (tmp_path / "z.csv").write_text(",".join(["n" * 9000] * 3) + "\n1,2,3\n")
    (tmp_path / "w.jsonl").write_text("{" + "x" * 9000 + "\n")
    for name, how in (
        ("x.csv", {}), ("x.csv", {"columns": Columns(user="u" * 9000)}), ("x.csv", {"where": {"w" * 9000: 1}}),
        ("y.csv", {"where": {"item": "v" * 9000}}), ("z.csv", {}), ("w.jsonl", {}),
    ):  # fmt: skip
        for text in refusals(tmp_path / name, **how):
            assert len(text) < LONG, text[:300]
    with pytest.raises(DataError, match="rating 'rrrr") as caught:
        read_interactions(tmp_path / "y.csv")
    assert len(str(caught.value)) < LONG


def test_any_error_is_bounded():
    error = SharpAPError("a" * 10**6, hint="b" * 10**6)
    assert len(str(error)) < 2 * MOST_SAID + 200
    assert "[... 996,000 characters ...]" in error.message
    assert listed(range(1000), 3) == "0, 1, 2 and 997 more"

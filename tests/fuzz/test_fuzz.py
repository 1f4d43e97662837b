"""Hostile files: a few hundred mutated ones here, tens of thousands by ``make test-slow`` or ``python tests/fuzz``.

The reader in `fuzz_reference` shares no code with the package's; a file that loads must say there what it says here.
"""

from __future__ import annotations

import random
from collections import Counter

import fuzz_reference
import pytest
from fuzz_check import check, pairs_of
from fuzz_mutate import FOLDERS, KINDS, OUTSIDE, case, text_seeds
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sharpap.data import read_interactions
from sharpap.errors import DataError

IDS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=1, max_size=6).filter(
    lambda text: text == text.strip(fuzz_reference.BLANKS) and not text.startswith("\ufeff")
)


@pytest.mark.parametrize("kind", KINDS)
def test_mutated_files_are_read_right_or_refused(kind, tmp_path):
    outcomes = Counter(check(kind, case(kind, random.Random(seed)), tmp_path, deep=seed % 5 == 0) for seed in range(25))
    assert outcomes["refused"] > 0
    assert outcomes.total() == 25


@pytest.mark.parametrize("kind", KINDS)
def test_the_command_line_never_shows_a_traceback(kind, tmp_path):
    for seed in (1000, 1001):
        check(kind, case(kind, random.Random(seed)), tmp_path, deep=False, cli=True)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kind", KINDS)
def test_many_mutated_files(kind, tmp_path):
    for seed in range(5000, 8000):
        check(kind, case(kind, random.Random(seed)), tmp_path, deep=seed % 5 == 0, cli=seed % 100 == 0)


@pytest.mark.parametrize("kind", text_seeds(random.Random(0)))
def test_unchanged_seeds_load(kind, tmp_path):
    """Otherwise everything above could be refusals."""
    loaded = 0
    for seed in range(3):
        name, files = text_seeds(random.Random(seed))[kind]
        (tmp_path / name).write_bytes(files[name])
        try:
            loaded += read_interactions(tmp_path / name, bad_rows="drop").nnz > 0
        except DataError:
            assert kind in ("csv-quoted", "unnamed", "adjacency")  # dates at random; one user in a list
    assert loaded > 0


@pytest.mark.parametrize(("separator", "quote"), [(",", True), (";", True), ("\t", False), ("|", True)])
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.tuples(IDS, IDS, st.integers(-5, 10)), min_size=1, max_size=20),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_any_names_come_through_as_they_are(separator, quote, rows, end, tmp_path):
    """Quotes, separators, blanks and scripts of all kinds within ids."""

    def field(text: str) -> str:
        return '"' + text.replace('"', '""') + '"' if quote else text

    lines = [separator.join((field(f"u{user}"), field(f"i{item}"), str(rating))) for user, item, rating in rows]
    head = separator.join(("user", "item", "rating"))
    (tmp_path / "x.csv").write_text(end.join([head, *lines]) + end, "utf-8", newline="")
    read = read_interactions(tmp_path / "x.csv", separator=separator)
    assert pairs_of(read) == {(f"u{user}", f"i{item}") for user, item, _ in rows}


def test_the_reference_reader_itself():
    """On a text worked out by hand."""
    said = fuzz_reference.said(
        b'user,item,rating\n"a ""b""",1,4\n\nc,2,x\nd,3\n,4,5\n"e"f,5,5\n', separator=",", quote=True, skip=1, width=3,
        places={"user": 0, "item": 1, "rating": 2}, integer_ids=False,
    )  # fmt: skip
    assert said.pairs == {('a "b"', "1")}
    assert (said.bad, said.sure) == (4, True)
    assert fuzz_reference.adjacency(b"0 1 02\r\n\n3 1\n") == {("0", "1"), ("0", "2"), ("3", "1")}


@pytest.mark.parametrize("kind", [*OUTSIDE, *FOLDERS])
def test_some_outside_answers_are_taken(kind, tmp_path):
    """Otherwise those above could all be refusals."""
    outcomes = Counter(check(kind, case(kind, random.Random(seed)), tmp_path) for seed in range(60))
    assert outcomes["loaded"] > 0

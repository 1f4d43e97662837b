"""The scripts whose tables stand in the docs still run, on data that is made in a moment."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


@pytest.mark.parametrize(
    ("command", "rows"),
    [
        (["recommenders.py", "--data", "synthetic", "--models", "popularity,ease"], ["popularity", "ease"]),
        pytest.param(
            ["training_length.py", "--data", "synthetic", "--draws", "1", "--models", "bpr-mf"], ["bpr-mf"] * 9,
            marks=pytest.mark.slow,
        ),
    ],
    ids=["recommenders", "training_length"],
)  # fmt: skip
def test_it_prints_its_table(command, rows):
    done = subprocess.run([sys.executable, BENCHMARKS / command[0], *command[1:]], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in done.stdout.splitlines()]
    assert [line[0] for line in lines[2:]] == rows
    assert {len(line) for line in lines} == {len(lines[0])}

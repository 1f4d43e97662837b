"""The script that docs/outside.md shows does what it says."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest

from sharpap.adapters.command import CommandRecommender
from sharpap.data import synthetic
from sharpap.recommenders import EASE

PAGE = Path(__file__).parents[2] / "docs" / "outside.md"


def test_the_pages_script_is_ease(tmp_path):
    code = re.search(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert code
    (tmp_path / "train.py").write_text(code.group(1))
    train = synthetic(80, 60, 1200, seed=4).matrix
    command = (sys.executable, str(tmp_path / "train.py"), "{train}", "{scores}", "{seed}")
    users = np.arange(80)
    theirs = CommandRecommender(command=command).fit(train, seed=0).score(users)
    assert theirs == pytest.approx(EASE(reg=100.0).fit(train, seed=0).score(users), abs=1e-4)
    assert np.ptp(theirs) > 0.1

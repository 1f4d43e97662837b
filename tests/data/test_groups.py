"""Categories as groups of columns."""

from __future__ import annotations

import numpy as np
import pytest

from sharpap.data import item_groups
from sharpap.errors import DataError


def test_groups_are_columns_by_category_in_the_order_of_names():
    categories = {10: ["war", "drama"], "12": ["drama", "drama"], 99: ["war"]}  # 11 has none, 99 is of other data
    assert item_groups(np.array([12, 11, 10]), categories) == ((0, 2), (2,))


def test_categories_of_other_data_are_refused_with_the_ids_of_this():
    with pytest.raises(DataError, match="None of the items") as told:
        item_groups(np.array(["a", "b"]), {"c": ["war"]})
    assert "a, b" in (told.value.hint or "")

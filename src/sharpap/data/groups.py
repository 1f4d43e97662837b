"""Items by category, for attacks that aim at a segment."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from sharpap.data.interactions import IdArray
from sharpap.errors import DataError


def item_groups(item_ids: IdArray, categories: Mapping[Any, Iterable[str]]) -> tuple[tuple[int, ...], ...]:
    """The columns of each category's items, in the order of the categories' names.

    Args:
        item_ids: external ids by column, as `Interactions.item_ids`.
        categories: an item's categories by its external id, as it stands in the data or as text. Items of other data are
            left out; items without categories are in no group.

    Raises:
        DataError: no id is known.
    """
    named = {str(item): set(names) for item, names in categories.items()}
    groups: dict[str, list[int]] = defaultdict(list)
    for column, item in enumerate(item_ids.tolist()):
        for name in named.get(str(item), ()):
            groups[name].append(column)
    if not groups:
        raise DataError(
            "None of the items with categories is in the data.",
            hint=f"Item ids look like: {', '.join(map(str, item_ids[:3].tolist()))}.",
        )
    return tuple(tuple(groups[name]) for name in sorted(groups))

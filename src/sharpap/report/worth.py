"""What each defence of a grid is worth: its price, what it takes from the strongest attack, and whether that helps."""

from __future__ import annotations

from math import isnan
from typing import TYPE_CHECKING

from sharpap.report.template import number

if TYPE_CHECKING:
    from sharpap.assess.results import Results
    from sharpap.assess.tables.worth import Worth
    from sharpap.metrics import Interval

ABOUT = (
    "Each defended victim beside the same one without its defence, under the attack that is strongest without it. A defence "
    "helps where it takes half of the exposure or more in every target draw; it may help where it does so only in the mean."
)


def head(k: int) -> list[str]:
    """The columns of `rows`."""
    return ["defence", "does it help?", f"NDCG@{k}, no attack", "price", "attack", f"H@{k}, % without it", "with it",
            "difference"]  # fmt: skip


def rows(results: Results, k: int) -> list[list[str]]:
    """A row a defended victim, those that help first; empty without any whose plain form is in the grid."""
    from sharpap.assess.tables.worth import VERDICTS
    from sharpap.assess.tables.worth import rows as judged

    found = sorted(judged(results, k), key=lambda each: VERDICTS.index(each.worths[each.strongest].verdict))
    return [
        [
            row.victim, row.worths[row.strongest].verdict, number(row.accuracy), price(row.worths[row.strongest]),
            row.strongest, *hits(row.worths[row.strongest]),
        ]
        for row in found
    ]  # fmt: skip


def price(worth: Worth) -> str:
    """Relative change of accuracy without attack."""
    return "n/a" if worth.price is None else f"{100 * worth.price.mean:+.1f} %"


def hits(worth: Worth) -> list[str]:
    """Without the defence, with it, and the difference with its interval, in percent."""
    return [number(100 * worth.plain.mean, 2), number(100 * worth.hits.mean, 2), difference(worth.change)]


def difference(change: Interval) -> str:
    """In percentage points, with its interval where there is one."""
    span = "" if isnan(change.low) else f" ({100 * change.low:+.2f} to {100 * change.high:+.2f})"
    return f"{100 * change.mean:+.2f}{span}"

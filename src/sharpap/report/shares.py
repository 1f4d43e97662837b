"""Shares, changes and intervals in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sharpap.metrics import Interval


def share_of(fakes: int, users: int) -> str:
    """Fake users as a share of the genuine ones."""
    return f"{100 * fakes / users:.2g} %"


def percent(value: float) -> str:
    """A share."""
    return f"{100 * value:.2f} %"


def in_brackets(found: Interval) -> str:
    """A share and its interval, which cannot go below 0 or above 1."""
    return f"{100 * found.mean:.2f} % ({100 * max(found.low, 0):.2f} to {100 * min(found.high, 1):.2f})"


def change(found: Interval | None) -> str:
    """A relative change and its interval."""
    return "n/a" if found is None else f"{100 * found.mean:+.1f} % ({100 * found.low:+.1f} to {100 * found.high:+.1f})"

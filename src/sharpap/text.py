"""Text from anyone, shown: nothing in it drives a terminal, a typesetter or a page, or hides what stands there."""

from __future__ import annotations


def printable(text: object, limit: int | None = None, *, keep: str = "") -> str:
    """Control and format characters as escapes, ``\\x1b``; no longer than `limit`.

    Args:
        text: anything; its text is shown.
        limit: the rest is left out, with the length of the whole.
        keep: characters that stay as they are, e.g. a line break.
    """
    whole = str(text)
    shown = whole if limit is None or len(whole) <= limit else whole[:limit]
    safe = shown if shown.isprintable() else "".join(
        mark if mark.isprintable() or mark in keep else mark.encode("unicode_escape").decode() for mark in shown
    )  # fmt: skip
    return safe if len(shown) == len(whole) else f"{safe}... ({len(whole):,} characters)"

"""A slow reader in plain Python: what a text file says, worked out again from the documentation alone.

Nothing of the package's parsing is used, only its account of the form (`Layout`) and of which column is which.
"""

from __future__ import annotations

import csv
import io
import math
import re
from dataclasses import dataclass

BLANKS = " \t\r\n\x0b\x0c\x1c\x1d\x1e\x1f\x85\xa0  　" + "".join(map(chr, range(0x2000, 0x200B)))
WHOLE = re.compile(r"-?[0-9]{1,18}")
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


@dataclass(frozen=True, kw_only=True)
class Said:
    """What a file says.

    Attributes:
        pairs: (user, item) as text, of the rows that can be used.
        bad: rows that cannot.
        sure: whether each row is certainly usable or not; dates and the like are not judged here.
    """

    pairs: frozenset[tuple[str, str]]
    bad: int
    sure: bool


def rows_of(text: str, separator: str, *, quote: bool, width: int) -> tuple[list[list[str]], int]:
    """Rows of the right width, and how many lines are no such row. Blank lines are none; a quote must close in its line."""
    rows, bad = [], 0
    for line in text.split("\n"):
        if not line.strip():
            continue
        bare = line.removesuffix("\r")
        try:
            fields = (
                next(csv.reader(io.StringIO(bare, newline=""), delimiter=separator, strict=True))
                if quote
                else bare.split(separator)
            )
        except (csv.Error, StopIteration):
            bad += 1
            continue
        if len(fields) == width:
            rows.append(fields)
        else:
            bad += 1
    return rows, bad


def said(
    raw: bytes, *, separator: str, quote: bool, skip: int, width: int, places: dict[str, int], integer_ids: bool
) -> Said:  # fmt: skip
    """What a table says; `places` has the column of each role, `skip` the lines before the first row."""
    lines = raw.removeprefix(b"\xef\xbb\xbf").decode().split("\n")
    rows, bad = rows_of("\n".join(lines[skip:]), separator, quote=quote, width=width)
    picked = [{role: row[place].strip(BLANKS) for role, place in places.items()} for row in rows]
    comma = separator == ";"
    good, sure = [], True
    numeric = any(_number(row["timestamp"], comma) is not None for row in picked) if "timestamp" in places else True
    for row in picked:
        fine = bool(row["user"]) and bool(row["item"])
        if integer_ids:
            fine = fine and all(WHOLE.fullmatch(row[role]) for role in ("user", "item"))
        if "rating" in places:
            fine = fine and _number(row["rating"], comma) is not None
        if "timestamp" in places:
            if numeric:
                fine = fine and _number(row["timestamp"], comma) is not None
            else:
                sure = False
        good.append(fine)
    for role in ("user", "item"):
        filled = [row[role] for row in picked if row[role] and (not integer_ids or WHOLE.fullmatch(row[role]))]
        if filled and all(WHOLE.fullmatch(text) for text in filled):
            for place, row in enumerate(picked):
                if row[role] and WHOLE.fullmatch(row[role]):
                    good[place] = good[place] and int(row[role]) >= 0
    kept = [row for row, fine in zip(picked, good, strict=True) if fine]
    ids = {role: _plain([row[role] for row in kept]) for role in ("user", "item")}
    pairs = frozenset(zip(ids["user"], ids["item"], strict=True))
    return Said(pairs=pairs, bad=bad + len(picked) - len(kept), sure=sure)


def adjacency(raw: bytes) -> frozenset[tuple[str, str]]:
    """``user item item ...`` a line."""
    pairs = set()
    for line in raw.removeprefix(b"\xef\xbb\xbf").decode().split("\n"):
        words = line.split()
        pairs |= {(str(int(words[0])), str(int(word))) for word in words[1:]}
    return frozenset(pairs)


def _plain(ids: list[str]) -> list[str]:
    whole = all(WHOLE.fullmatch(text) for text in ids)
    return [str(int(text)) for text in ids] if whole else ids


def _number(text: str, comma: bool) -> float | None:
    plain = text.replace(",", ".", 1) if comma else text
    if not NUMBER.fullmatch(plain):
        return None
    value = float(plain)
    return value if math.isfinite(value) else None

"""A slow reader in plain Python: what a text file says, worked out again from the documentation alone.

Nothing of the package's parsing is used, only its account of the form (`Layout`) and of which column is which.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from dataclasses import dataclass

BLANKS = " \t\r\n\x0b\x0c\x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
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
    """Rows of the right width, and how many lines are no such row. Blank lines are none."""
    rows, bad = [], 0
    for line in text.split("\n"):
        if not line.strip():
            continue
        bare = line.rstrip("\r")
        fields = quoted_fields(bare, separator) if quote and '"' in bare else bare.split(separator)
        if separator == r"\s+":
            fields = bare.strip(" \t").replace("\t", " ").split(" ")
            fields = [field for field in fields if field]
        if (line.strip(" \t") if separator == r"\s+" else line).startswith("\ufeff"):
            fields = None  # a mark at the beginning of a line is told, not read as part of an id
        if fields is not None and len(fields) == width:
            rows.append(fields)
        else:
            bad += 1
    return rows, bad


def whole_rows(text: str, separator: str, width: int) -> list[list[str]] | None:
    """Rows with line breaks in quotes, where all of the text is in that form."""
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True))
    except csv.Error:
        return None
    return rows if all(len(row) == width for row in rows) else None


def quoted_fields(line: str, separator: str) -> list[str] | None:
    """Fields by RFC 4180; None for an odd number of quotes, text after a closing one, or a carriage return outside of them.

    Pairs of quotes inside a bare field are text.
    """
    if line.count('"') % 2:
        return None
    fields, at = [], 0
    while True:
        if line[at : at + 1] == '"':
            text, at = "", at + 1
            while True:
                end = line.find('"', at)
                if end < 0:
                    return None
                text, at = text + line[at:end], end + 1
                if line[at : at + 1] != '"':
                    break
                text, at = text + '"', at + 1
            if at < len(line) and line[at] != separator:
                return None
        else:
            end = line.find(separator, at)
            end = len(line) if end < 0 else end
            text, at = line[at:end], end
            if "\r" in text:
                return None
        fields.append(text)
        if at >= len(line):
            return fields
        at += 1


def said(
    raw: bytes, *, separator: str, quote: bool, skip: int, width: int, places: dict[str, int], integer_ids: bool,
    whole: bool = False,
) -> Said:  # fmt: skip
    """What a table says; `places` has the column of each role, `skip` the lines before the first row.

    With `whole`, line breaks in quotes are part of a field.
    """
    lines = raw.removeprefix(b"\xef\xbb\xbf").decode().split("\n")
    text = "\n".join(lines[skip:])
    rows, bad = rows_of(text, separator, quote=quote, width=width)
    if whole and quote:
        together = whole_rows(text, separator, width)
        rows, bad = (rows, bad) if together is None else (together, 0)
    picked = [{role: row[place].strip(BLANKS) for role, place in places.items()} for row in rows]
    return _judged(picked, bad, comma=separator == ";", integer_ids=integer_ids)


def objects(raw: bytes, names: list[str], roles: dict[str, str]) -> Said:
    """What JSON lines say; of the fields `names`, those in `roles` count."""
    picked, bad = [], 0
    for line in raw.removeprefix(b"\xef\xbb\xbf").decode().split("\n"):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
            inner = {f"{key}.{name}": part for key, value in record.items() if isinstance(value, dict)
                     for name, part in value.items()}  # fmt: skip
            texts = {name: _json_text({**record, **inner}.get(name)) for name in names}
            "".join(texts.values()).encode()
        except (ValueError, AttributeError, RecursionError):
            bad += 1
            continue
        picked.append({role: texts[name].strip(BLANKS) for role, name in roles.items()})
    return _judged(picked, bad, comma=False, integer_ids=False)


def _json_text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None or isinstance(value, (dict, list)) else str(value)


def _judged(picked: list[dict[str, str]], bad: int, *, comma: bool, integer_ids: bool) -> Said:
    """Which rows can be used; `bad` lines are no rows."""
    places = picked[0] if picked else {}
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

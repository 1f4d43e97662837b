"""What the first lines of a text say about its form: separator, header, and which form it is. Names of files are hints."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from typing import Any

from sharpap.data.form.column_names import is_telling
from sharpap.untrusted import json_value

BLANKS = r"\s+"  # any run of blanks and tabs between two fields
RUN = r"[ \t]+"
SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar", " ": "space"}
_DATE = re.compile(r"\d{4}[-/]\d\d?[-/]\d\d?")


def is_number(field: str) -> bool:
    """Whether Python reads the field as a number."""
    try:
        float(field.strip().strip('"'))
    except ValueError:
        return False
    return True


def separator_of(lines: list[bytes]) -> str:
    """The separator that splits most lines into as many fields as the first one; of equals, the one with most fields.

    Blanks are taken only where no other mark splits the first line; a run of them where single ones do not fit.
    """
    best, score = "", (0, 0)
    for separator in (*SEPARATORS, BLANKS):
        if separator in (" ", BLANKS) and score[0] > (0 if best != " " else 9):
            continue
        counts = [_marks(line, separator) for line in lines]
        if counts[0]:
            found = (sum(count == counts[0] for count in counts) * 10 // len(counts), counts[0])
            if found > score:
                best, score = separator, found
    return best or ","


def _marks(line: bytes, separator: str) -> int:
    if separator == BLANKS:
        return max(len(line.split()) - 1, 0)
    return b"".join(line.split(b'"')[::2]).count(separator.encode())


def fields_of(lines: Iterable[bytes], separator: str, *, quote: bool) -> list[list[str]]:
    """Fields of whole lines, for a look; lines that quotes leave open are left out."""
    rows = []
    for raw in lines:
        line = raw.decode("utf-8", "replace").strip("\r\n")
        if separator == BLANKS:
            rows.append(line.split())
        elif quote:
            try:
                rows.extend(csv.reader([line], delimiter=separator))
            except csv.Error:
                continue
        else:
            rows.append(line.split(separator))
    return rows


def has_header(rows: list[list[str]]) -> bool:
    """Whether the first row names columns.

    It does if a field is a usual name (``user_id``), or leaves the corner of a wide table empty; it does not if a field is a
    number or a date, or stands again further down in its own column.
    """
    first = [field.strip().strip('"') for field in rows[0]]
    if any(is_telling(field) for field in first) or (len(first) > 9 and not first[0] and any(first)):
        return True
    if any(is_number(field) or _DATE.match(field) for field in first):
        return False
    below = [{row[place].strip().strip('"') for row in rows[1:] if place < len(row)} for place in range(len(first))]
    return not any(len(field) > 1 and field in seen for field, seen in zip(first, below, strict=True))


def is_spaced_table(lines: list[bytes]) -> bool:
    """Rows of one width, and either not all numbers in the first line, or a first column that names users again."""
    for rows in ([line.split(b" ") for line in lines], [line.split() for line in lines]):
        width = len(rows[0])
        if 2 <= width <= 8 and all(len(row) == width for row in rows):
            firsts = [row[0] for row in rows]
            return not all(field.isdigit() for field in rows[0]) or len(set(firsts)) < len(firsts)
    return False


def is_plain_ratings(lines: list[bytes]) -> bool:
    """Three or four fields between tabs, nearly all of them numbers, as in MovieLens ``u.data``."""
    rows = [line.decode("utf-8", "replace").strip("\r\n").split("\t") for line in lines]
    fitting = sum(3 <= len(row) <= 4 and all(map(is_number, row[:2])) for row in rows)
    return 2 * fitting > len(rows) or (len(rows) > 1 and 2 * fitting == len(rows))


def typed_names(names: list[str]) -> list[str]:
    """Names of a RecBole header without their types (``user_id:token``)."""
    return [name.split(":")[0] for name in names]


def is_typed(line: bytes) -> bool:
    """Whether a line is a typed header of RecBole."""
    return bool(re.search(rb":(token|float)(_seq)?\b", line))


def json_names(lines: list[bytes]) -> list[str]:
    """Names of the plain fields of JSON objects, in order of appearance; fields of an object within have a dot.

    Raises:
        ValueError: not even one line is an object.
    """
    names: dict[str, bool] = {}
    good = 0
    for line in lines:
        try:
            record = json_object(line.decode())
        except ValueError:
            continue
        good += 1
        for name, value in flat(record):
            names[name] = names.get(name, True) and not isinstance(value, (list, dict))
    if not good:
        raise ValueError("no line is a JSON object")
    return [name for name, plain in names.items() if plain]


def json_object(line: str) -> dict[str, Any]:
    """One line as an object; raises `ValueError` for anything else."""
    record = json_value(line)
    if not isinstance(record, dict):
        raise ValueError("it is no object")
    return record


def flat(record: dict[str, Any]) -> Iterable[tuple[str, Any]]:
    """Fields of an object, with those of objects within as ``outer.inner``."""
    for name, value in record.items():
        if isinstance(value, dict):
            for inner, part in value.items():
                yield f"{name}.{inner}", part
        else:
            yield name, value

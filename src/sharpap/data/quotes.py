"""Whether quotes in a delimited text stand where RFC 4180 has them: polars repairs what does not, each time in another way."""

from __future__ import annotations

import csv
from collections.abc import Iterable


def quoted_rows(lines: Iterable[str], separator: str, width: int) -> int | None:
    """How many rows of `width` fields the lines make, fields with line breaks in quotes included.

    None where they do not: a quote that is not closed, text after a closing quote, another number of fields, a blank line.
    Quotes inside a field that does not start with one are text.
    """
    rows = 0
    try:
        for fields in csv.reader(lines, delimiter=separator, strict=True):
            if len(fields) != width:
                return None
            rows += 1
    except csv.Error:
        return None
    return rows


def quoted_fields(line: str, separator: str) -> int | None:
    """Number of fields of one line; None for a quote that is not closed, or text after a closing one."""
    if line.count('"') % 2:
        return None
    try:
        return sum(len(fields) for fields in csv.reader([line.removesuffix("\r")], delimiter=separator, strict=True))
    except csv.Error:
        return None

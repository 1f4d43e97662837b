"""Whether quotes in a delimited text stand where RFC 4180 has them: polars repairs what does not, each time in another way."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator


def quoted_rows(lines: Iterable[str], separator: str, width: int) -> int | None:
    """How many rows of `width` fields the lines make, fields with line breaks in quotes included.

    None where they do not: an odd number of quotes in a row, text after a closing quote, another number of fields, a blank
    line. Pairs of quotes inside a field that does not start with one are text.
    """
    rows = quotes = 0

    def counted() -> Iterator[str]:
        nonlocal quotes
        for line in lines:
            quotes += line.count('"')
            yield line

    try:
        for fields in csv.reader(counted(), delimiter=separator, strict=True):
            if len(fields) != width or quotes % 2:
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

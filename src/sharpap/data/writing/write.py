"""Writers: `Interactions` out to every form that other libraries read and `read_interactions` reads back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from polars.io.plugins import register_io_source

from sharpap.data.form.content import SEPARATORS
from sharpap.data.interactions import Interactions
from sharpap.errors import ConfigError, DataError
from sharpap.files import replacing

WRITABLE = (".npz", ".parquet", ".csv", ".tsv", ".inter")
_BLOCK = 1_000_000


def write_interactions(
    interactions: Interactions, path: str | Path, *, separator: str | None = None, overwrite: bool = False
) -> dict[str, int]:
    """Write interactions by the suffix of `path`; `read_interactions` gives the same pairs, ids and times back.

    ``.npz`` is a scipy CSR matrix with ``user_ids``, ``item_ids`` and ``timestamps`` as further arrays. The tables have
    columns user_id and item_id, and timestamp where there is one (seconds); they are written in blocks of a million rows,
    so that no second copy is held. The file appears under its name only when it is whole. Ids are written as they are, also
    those that a spreadsheet would take for a formula (``=1+1``): the files are for programs, and a changed id is another id.

    Args:
        interactions: what to write.
        path: ends in .npz, .parquet, .csv, .tsv or .inter.
        separator: of a .csv, one character; default: a comma.
        overwrite: replace a file that is there.

    Returns:
        What the form cannot keep: {"users without interactions": ..., "items without interactions": ...}, zeros left out.

    Raises:
        ConfigError: another suffix, or the file exists. DataError: ids that the form cannot hold.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    check_target(path, separator=separator, overwrite=overwrite)
    if suffix == ".npz":
        _write_npz(interactions, path)
        return {}
    ids = {
        "user": interactions.user_ids[interactions.user_counts > 0],
        "item": interactions.item_ids[interactions.item_counts > 0],
    }
    write_blocks(lambda: _blocks(interactions), ids, path, separator=separator)
    lost = {
        "users without interactions": int((interactions.user_counts == 0).sum()),
        "items without interactions": int((interactions.item_counts == 0).sum()),
    }
    return {what: number for what, number in lost.items() if number}


def write_blocks(
    blocks: Callable[[], Iterator[pl.DataFrame]], ids: dict[str, np.ndarray], path: Path, *, separator: str | None
) -> None:
    """Write a table (not .npz) block by block, once the ids in it, of each role, are found fit for its form."""
    suffix = path.suffix.lower()
    separator = separator or ("," if suffix == ".csv" else "\t")
    for role, own in ids.items():
        check_ids(own, role, path, separator)
    with replacing(path) as temporary:
        if suffix == ".parquet":
            _write_parquet(blocks, temporary)
        else:
            _write_text(blocks(), temporary, separator, typed=suffix == ".inter")


def check_target(path: Path, *, separator: str | None, overwrite: bool) -> None:
    """What `write_interactions` refuses before anything is read."""
    suffix = path.suffix.lower()
    if suffix not in WRITABLE:
        raise ConfigError(f"{path} has no suffix that can be written.", hint=f"Choose one of {', '.join(WRITABLE)}.")
    if separator is not None and (suffix != ".csv" or separator not in SEPARATORS):
        raise ConfigError(
            f"A {suffix} file cannot have the separator {separator!r}.",
            hint=f"A .csv can have {', '.join(SEPARATORS.values())}.",
        )
    if path.exists() and not overwrite:
        raise ConfigError(f"{path} exists.", hint="Name another file, or pass --overwrite (overwrite=True).")


def _write_npz(interactions: Interactions, path: Path) -> None:
    csr = interactions.matrix
    extra: dict[str, Any] = {"user_ids": _plain(interactions.user_ids), "item_ids": _plain(interactions.item_ids)}
    if interactions.timestamps is not None:
        extra["timestamps"] = interactions.timestamps
    with replacing(path) as temporary:
        np.savez_compressed(
            temporary, indices=csr.indices, indptr=csr.indptr, data=csr.data, shape=np.array(csr.shape),
            format=np.array(b"csr"), **extra,
        )  # fmt: skip


def _plain(ids: np.ndarray) -> np.ndarray:
    """Ids as an array that needs no pickling."""
    return ids if ids.dtype.kind in "iuU" else ids.astype(np.str_)


def _blocks(interactions: Interactions) -> Iterator[pl.DataFrame]:
    csr = interactions.matrix
    users, items = pl.Series(_listed(interactions.user_ids)), pl.Series(_listed(interactions.item_ids))
    for start in range(0, interactions.nnz, _BLOCK):
        entries = np.arange(start, min(start + _BLOCK, interactions.nnz))
        rows = np.searchsorted(csr.indptr, entries, side="right") - 1
        block = {"user_id": users.gather(rows), "item_id": items.gather(csr.indices[entries])}
        if interactions.timestamps is not None:
            block["timestamp"] = pl.Series(interactions.timestamps[entries])
        yield pl.DataFrame(block)


def _listed(ids: np.ndarray) -> Any:
    return ids if ids.dtype.kind in "iu" else ids.tolist()


def _write_text(blocks: Iterator[pl.DataFrame], path: Path, separator: str, *, typed: bool) -> None:
    types = {"user_id": "token", "item_id": "token", "timestamp": "float"}
    with path.open("wb") as file:
        for number, block in enumerate(blocks):
            named = block.rename({name: f"{name}:{types[name]}" for name in block.columns}) if typed else block
            named.write_csv(
                file, separator=separator, include_header=number == 0,
                quote_style="never" if separator == "\t" else "necessary",
            )  # fmt: skip


def _write_parquet(blocks: Callable[[], Iterator[pl.DataFrame]], path: Path) -> None:
    first = next(blocks())

    def source(*_: Any) -> Iterator[pl.DataFrame]:
        yield from blocks()

    register_io_source(source, schema=first.schema).sink_parquet(path)


def check_ids(ids: np.ndarray, role: str, path: Path, separator: str) -> None:
    """Refuse ids that would be read back as others."""
    if ids.dtype.kind in "iu":
        return
    text = pl.Series(ids.tolist(), dtype=pl.String)
    padded = (text != text.str.strip_chars()) | (text == "")
    breaking = text.str.contains(r"[\n\r\x00]") | (text.str.contains("\t") if separator == "\t" else False)
    bad = padded if path.suffix.lower() == ".parquet" else padded | breaking
    if bad.any():
        raise DataError(
            f"{role} id {text.filter(bad)[0][:40]!r} holds a tab, a line break or blanks at an end, which this form cannot "
            "keep.", path=path, hint="Write a .npz file, which keeps ids as they are.",
        )  # fmt: skip
    if text.str.contains(r"^-?[0-9]{1,18}$").all() and (text.str.contains(r"^-?0[0-9]")).any():
        example = text.filter(text.str.contains(r"^-?0[0-9]"))[0]
        raise DataError(
            f"{role} id {example!r} has leading zeros and would be read back as {int(example)}.", path=path,
            hint="Write a .npz file, which keeps ids as they are.",
        )  # fmt: skip

"""Arrays out of an ``.npz`` file that nobody vouches for: no pickles, no size that the file does not have."""

from __future__ import annotations

import io
import math
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from sharpap.errors import DataError

MOST_PACKED = 200  # bytes from one packed byte; texts and matrices of interactions pack 3 to 20 times
SLACK = 64 << 20
_DAMAGED = (
    ValueError, OSError, KeyError, EOFError, NotImplementedError, RuntimeError, SyntaxError, struct.error, zlib.error,
    zipfile.BadZipFile, tokenize.TokenError, OverflowError,
)  # fmt: skip


def most_unpacked(packed: int) -> int:
    """How many bytes a packed file of `packed` bytes may unpack to before it is taken for a bomb."""
    return MOST_PACKED * packed + SLACK


def stored_arrays(
    raw: bytes, path: Path, *, what: str, needed: Iterable[str], more: Iterable[str] = ()
) -> dict[str, Any]:
    """The named arrays of an ``.npz``, in native byte order.

    Args:
        raw: the whole file.
        path: for errors.
        what: for errors: what the file should be.
        needed: arrays that must be there.
        more: arrays that may be.

    Raises:
        DataError: no such archive, an array is missing, holds Python objects or claims to be larger than it is, or the file
            unpacks to far more than such files do.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            sizes = {info.filename: info.file_size for info in archive.infolist()}
            if sum(sizes.values()) > most_unpacked(len(raw)):
                raise DataError(
                    f"The file would unpack from {len(raw):,} to {sum(sizes.values()):,} bytes.", path=path,
                    hint="Nothing real packs that well; write it again, uncompressed.",
                )  # fmt: skip
            wanted = [*needed, *(name for name in more if f"{name}.npy" in sizes)]
            return {name: _array(archive, f"{name}.npy") for name in wanted}
    except _DAMAGED as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"This is not {what} ({reason}).", path=path) from None


def _array(archive: zipfile.ZipFile, member: str) -> np.ndarray[Any, Any]:
    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(file)
        claimed = math.prod(shape) * dtype.itemsize
        if dtype.hasobject or dtype.fields is not None:
            raise ValueError(f"{member} holds Python objects or records")
        if claimed != archive.getinfo(member).file_size - file.tell():
            raise ValueError(f"{member} is not as long as it says")
    with archive.open(member) as file:
        array = np.lib.format.read_array(file, allow_pickle=False)
    return array.astype(array.dtype.newbyteorder("="), copy=False)

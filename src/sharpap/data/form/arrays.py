"""Arrays out of ``.npz`` and ``.npy`` files that nobody vouches for: no pickles, no size that the file does not have."""

from __future__ import annotations

import io
import lzma
import math
import struct
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

import numpy as np

from sharpap.errors import DataError

MOST_PACKED = 200  # bytes from one packed byte; texts and matrices of interactions pack 3 to 20 times
SLACK = 64 << 20
Array = np.ndarray[Any, Any]
DAMAGED = (
    ValueError, OSError, KeyError, EOFError, NotImplementedError, RuntimeError, SyntaxError, struct.error, zlib.error,
    zipfile.BadZipFile, tokenize.TokenError, OverflowError, TypeError, IndexError, MemoryError, lzma.LZMAError,
)  # what zipfile, its decompressors and numpy raise for hostile bytes  # fmt: skip


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
        with _opened(raw, most_unpacked(len(raw))) as archive:
            names = set(archive.namelist())
            wanted = [*needed, *(name for name in more if f"{name}.npy" in names)]
            return {name: _member(archive, f"{name}.npy") for name in wanted}
    except _BombError as bomb:
        raise DataError(
            str(bomb), path=path, hint="Nothing real packs that well; write it again, uncompressed."
        ) from None
    except DAMAGED as error:
        raise DataError(f"This is not {what} ({_reason(error)}).", path=path) from None


def all_arrays(raw: bytes, most: int) -> dict[str, Any]:
    """Every array of an ``.npz`` that unpacks to at most `most` bytes; raises `ValueError` for anything else."""
    try:
        with _opened(raw, most) as archive:
            return {name.removesuffix(".npy"): _member(archive, name) for name in archive.namelist()}
    except DAMAGED as error:
        raise ValueError(_reason(error)) from None


def stored_array(file: IO[bytes], size: int) -> Array:
    """The array of an ``.npy``, read from where `file` stands, in native byte order.

    Args:
        file: its bytes; nothing is allocated before its header is known to claim what is there.
        size: how many bytes there are, header included.

    Raises:
        ValueError: whatever is wrong with it.
    """
    try:
        start = file.tell()
        check_header(file, size)
        file.seek(start)
        with warnings.catch_warnings(action="ignore"):
            array = np.lib.format.read_array(file, allow_pickle=False)
        return array.astype(array.dtype.newbyteorder("="), copy=False)
    except DAMAGED as error:
        raise ValueError(_reason(error)) from None


def check_header(file: IO[bytes], size: int) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and type by the header of an ``.npy``, which `file` is then read past.

    Raises:
        ValueError: it claims another length than the `size` bytes there are, Python objects or records; or one of `DAMAGED`.
    """
    start = file.tell()
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    with warnings.catch_warnings(action="ignore"):  # what it says of headers of Python 2
        shape, _, dtype = read(file)
    if dtype.hasobject or dtype.fields is not None or dtype.subdtype is not None:
        raise ValueError("an array holds Python objects or records")
    if not dtype.itemsize or min(shape, default=0) < 0:
        raise ValueError("an array has a shape or type that none can have")
    if math.prod(shape) * dtype.itemsize != size - (file.tell() - start):
        raise ValueError("an array is not as long as it says")
    return shape, dtype


class _BombError(ValueError):
    pass


def _opened(raw: bytes, most: int) -> zipfile.ZipFile:
    archive = zipfile.ZipFile(io.BytesIO(raw))
    size = sum(info.file_size for info in archive.infolist())
    if size > most:
        raise _BombError(f"The file would unpack from {len(raw):,} to {size:,} bytes.")
    return archive


def _member(archive: zipfile.ZipFile, member: str) -> Array:
    with archive.open(member) as file:
        return stored_array(file, archive.getinfo(member).file_size)


def _reason(error: BaseException) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__

"""Files that survive: written whole or not at all, failures of the disk in plain words, locks that end with their process."""

from __future__ import annotations

import errno
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sharpap.errors import StorageError

try:
    import fcntl
except ImportError:  # Windows: no locks; renames alone keep files whole
    fcntl = None

_FULL = {errno.ENOSPC, errno.EDQUOT}
_CLOSED = {errno.EROFS, errno.EACCES, errno.EPERM}


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path in the same folder, renamed to `path` when the block ends without an exception.

    The content is on the disk before it has its name: a crash, of the machine too, leaves the old file or the new one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        _sync(temporary)
        os.replace(temporary, path)
        with suppress(OSError):  # some systems cannot sync a folder
            _sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    with replacing(path) as temporary:
        temporary.write_text(text, "utf-8")


def sweep(folder: Path, name: str = "*") -> None:
    """Remove what `replacing` left in a folder when its process was killed; only for who holds the folder's lock alone."""
    for left in folder.glob(f".{name}.*"):
        if left.is_file():
            left.unlink(missing_ok=True)


@contextmanager
def explained(folder: Path) -> Iterator[None]:
    """Turn a full, closed or failing disk into a `StorageError` that says what to do."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        if error.errno in _FULL or "os error 28" in reason:
            raise StorageError(
                f"The disk that holds {folder} is full.",
                hint="What was finished before is kept: make room and give the same command again.",
            ) from error
        if error.errno in _CLOSED:
            raise StorageError(
                f"{folder} cannot be written to ({reason}).", hint="Change its permissions, or name another folder."
            ) from error
        raise StorageError(f"{folder} cannot be written to ({reason}).") from error


@contextmanager
def locked(folder: Path, *, shared: bool = False) -> Iterator[bool]:
    """Hold a folder for this process, alone or with others who share it, as long as the block lasts.

    It is an advisory lock of the system on the folder itself: it ends with the process, also one that was killed, and leaves
    no file behind. Where there are no such locks nobody is kept out.

    Yields:
        Whether the lock was free. Who asked for it shared and found the folder alone holds it alone for a moment and
        removes what killed processes left (`sweep`).
    """
    handle = None
    try:
        if fcntl is not None:
            with suppress(OSError):
                handle = os.open(folder, os.O_RDONLY)
        free = handle is None or _take(handle, alone=True)
        if shared and handle is not None:
            if free:
                with suppress(OSError):  # a closed folder has nothing left over
                    sweep(folder)
            free = _shared(handle)
        yield free
    finally:
        if handle is not None:
            os.close(handle)


def _take(handle: int, *, alone: bool) -> bool:
    assert fcntl is not None
    try:
        fcntl.flock(handle, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in (errno.EWOULDBLOCK, errno.EACCES)  # others: a file system without locks
    return True


def _shared(handle: int) -> bool:
    """Whoever holds the folder alone does so for a moment, as this process did just now: wait for them."""
    for _ in range(200):
        if _take(handle, alone=False):
            return True
        time.sleep(0.05)
    return False


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

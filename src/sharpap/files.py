"""Files that survive: written whole or not at all, failures of the disk in plain words, locks that end with their process."""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from sharpap.errors import StorageError

try:
    import fcntl
except ImportError:  # Windows: no locks; renames alone keep files whole
    fcntl = None

# For opening a file of ours: follow no link, wait for nobody at the other end of a pipe.
PLAINLY = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
_MARK = ".sharpap-tmp-"
_TEMPORARY = re.compile(re.escape(_MARK) + r"[a-z0-9_]{8}(\.[A-Za-z0-9]+)?")
_FULL = {errno.ENOSPC, errno.EDQUOT}
_CLOSED = {errno.EROFS, errno.EACCES, errno.EPERM}


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path in the same folder, renamed to `path` when the block ends without an exception.

    The content is on the disk before it has its name: a crash, of the machine too, leaves the old file or the new one.

    Raises:
        StorageError: `path` is a link or a device, which a file must not take the place of.
    """
    refuse_link(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=_MARK, suffix=path.suffix)
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


def appending(path: Path, *, anew: bool = False) -> IO[str]:
    """Open a text file of ours at its end; `anew` empties it first, by putting another in its place.

    Raises:
        StorageError: `path` is a link or a device.
    """
    refuse_link(path)
    if anew:
        write_text(path, "")
    else:
        detach(path)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | PLAINLY, 0o644)
    return os.fdopen(handle, "a", encoding="utf-8")


def detach(path: Path) -> None:
    """Before a file is changed in place: one with other names too (hard links, as of a backup) becomes a file of its own."""
    if path.exists() and path.stat().st_nlink > 1:
        with replacing(path) as temporary:
            shutil.copyfile(path, temporary)


def refuse_link(path: Path) -> None:
    """Raise `StorageError` where a path is a symbolic link, or something else than a file, a folder, or nothing yet."""
    try:
        mode = path.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return
    if stat.S_ISLNK(mode):
        raise StorageError(
            f"{path} is a link, through which nothing is written or removed.",
            hint="Remove the link, or name another place.",
        )
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise StorageError(f"{path} is neither a file nor a folder.", hint="Name another place.")


def is_temporary(name: str) -> bool:
    """Whether only `replacing` gives such a name."""
    return _TEMPORARY.fullmatch(name) is not None


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
def locked(folder: Path, *, shared: bool = False, tidy: Callable[[], None] | None = None) -> Iterator[bool]:
    """Hold a folder for this process, alone or with others who share it, as long as the block lasts.

    It is an advisory lock of the system on the folder itself: it ends with the process, also one that was killed, and leaves
    no file behind. Where there are no such locks nobody is kept out.

    Args:
        folder: a folder that is there.
        shared: with others, or alone.
        tidy: called while this process holds the folder alone, if for a moment only: to remove what killed ones left.

    Yields:
        Whether the lock was free.
    """
    handle = None
    try:
        if fcntl is not None:
            with suppress(OSError):
                handle = os.open(folder, os.O_RDONLY)
        free = handle is None or _take(handle, alone=True)
        if free and handle is not None and tidy is not None:
            with suppress(OSError):  # a closed folder has nothing left over
                tidy()
        if shared and handle is not None:
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

"""Temporary folders: gone with their process, and those of killed processes with the next one that makes any."""

from __future__ import annotations

import os
import re
import shutil
import stat
import tempfile
import weakref
from contextlib import suppress
from pathlib import Path

from sharpap.files import PLAINLY

try:
    import fcntl
except ImportError:  # Windows: no locks, so that nobody can tell whose process is gone
    fcntl = None

PREFIX = "sharpap-"
MARKER = ".sharpap-scratch"
_NAME = re.compile(re.escape(PREFIX) + r"[a-z0-9_]{8}")
_TEXT = b"A temporary folder of SharpAP, which removes it once no process holds this file's lock.\n"
_swept: set[tuple[int, str]] = set()


class Scratch:
    """A temporary folder. It goes with `close`, with the last reference to this object, or with the process.

    It holds a marker that is locked while the process lives. The first `Scratch` of a process in a place removes those folders
    there that have our kind of name, belong to this user, are no links, and hold our marker with its lock free.

    Args:
        home: where; made if there is none. None: the system's folder for temporary files.

    Attributes:
        folder: the folder.
    """

    def __init__(self, home: Path | None = None) -> None:
        home = Path(tempfile.gettempdir()) if home is None else home
        home.mkdir(parents=True, exist_ok=True)
        place = os.getpid(), str(home)
        if place not in _swept:
            _swept.add(place)
            sweep(home)
        self.folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=home))
        handle = os.open(self.folder / MARKER, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        if fcntl is not None:
            with suppress(OSError):  # a file system without locks, where nothing is ever swept
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.write(handle, _TEXT)  # after the lock: without this text nobody takes the folder for left behind
        self.close = weakref.finalize(self, _end, self.folder, handle, os.getpid())

    def __enter__(self) -> Path:
        return self.folder

    def __exit__(self, *_: object) -> None:
        self.close()


def sweep(home: Path) -> None:
    """Remove what killed processes of this user left in a place."""
    with suppress(OSError), os.scandir(home) as found:
        left = [entry.path for entry in found if _NAME.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False)]
        for folder in left:
            reclaim(Path(folder))


def reclaim(folder: Path) -> bool:
    """Remove a temporary folder if the process that made it is gone; whether it is not there any more."""
    if fcntl is None:
        return False
    try:
        inside = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | PLAINLY)
    except OSError:
        return not os.path.lexists(folder)
    try:
        handle = os.open(MARKER, os.O_RDWR | PLAINLY, dir_fd=inside)
        facts = os.fstat(inside), os.fstat(handle)
    except OSError:
        return False
    finally:
        os.close(inside)
    try:
        if not stat.S_ISREG(facts[1].st_mode) or any(each.st_uid != os.geteuid() for each in facts):
            return False
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.read(handle, len(_TEXT) + 1) == _TEXT:
            _remove(folder)
    except OSError:  # its process lives, or there are no locks
        return False
    finally:
        os.close(handle)
    return not folder.exists()


def _end(folder: Path, handle: int, maker: int) -> None:
    """The end of a `Scratch`, in the process that made it and not in forks of it."""
    if os.getpid() == maker:
        _remove(folder)
        os.close(handle)


def _remove(folder: Path) -> None:
    """All of it, the marker last: what could not be removed now is found again."""
    with suppress(OSError):
        for name in os.listdir(folder):
            path = folder / name
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            elif name != MARKER:
                with suppress(OSError):
                    path.unlink()
        if os.listdir(folder) == [MARKER]:
            (folder / MARKER).unlink()
            folder.rmdir()

"""A folder of finished work: one file a piece, named by what determines it, checked whenever it is read."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from sharpap import folders
from sharpap.errors import ConfigError, DataError, StorageError, said
from sharpap.files import explained, locked, replacing
from sharpap.untrusted import json_value, refuse_irregular

T = TypeVar("T")
Key = dict[str, Any]
FORMAT = "sharpap-record-1"
SUFFIX = ".record"
QUARANTINE = "quarantine"
_NAME = re.compile(r"[a-z]+(-[0-9a-f]{16})?-[0-9a-f]{32}(-[0-9]+)?" + re.escape(SUFFIX))


@dataclass(frozen=True)
class RecordStore:
    """Records under names that hash a key. Any number of processes may read and write one folder at once.

    A record is one line of JSON (format, kind, sha256 of the rest), one line with the key, and the content. It appears under
    its name whole or not at all; of two processes that make the same record, the later one replaces the earlier one's equal.
    Times of files mean nothing. A file whose checksum, key or content is wrong is moved to `quarantine/` and counts as missing.

    Attributes:
        folder: where records lie.
        problems: messages about files that were put aside, until someone takes them.
    """

    folder: Path
    problems: list[str] = field(default_factory=list, compare=False, repr=False)

    def get(self, kind: str, key: Key, decode: Callable[[bytes], T]) -> T | None:
        """What `decode` makes of the content stored under `key`, or None."""
        path, text = self._path(kind, key), _text(key)
        try:
            if path.is_symlink():
                self.problems.append(f"{path} is a link; its work is done again.")
                return None
            refuse_irregular(path)
            raw = path.read_bytes()
        except FileNotFoundError:
            return None
        except DataError as error:
            self._put_aside(path, error.reason)
            return None
        except (OSError, MemoryError) as error:
            self.problems.append(f"{path} cannot be read ({said(error)}); its work is done again.")
            return None
        try:
            return decode(_checked(raw, kind, text))
        except Exception as error:  # a record with the right checksum may still hold anything
            self._put_aside(path, next(iter(str(error).splitlines()), "") or type(error).__name__)
            return None

    def put(self, kind: str, key: Key, content: bytes) -> None:
        """Keep `content` under `key`.

        Raises:
            StorageError: the disk is full, or the folder cannot be written to. ConfigError: it is someone else's.
        """
        folders.claim(self.folder, "work")
        rest = _text(key).encode() + b"\n" + content
        head = {"format": FORMAT, "kind": kind, "sha256": hashlib.sha256(rest).hexdigest()}
        with explained(self.folder), replacing(self._path(kind, key)) as temporary:
            temporary.write_bytes(json.dumps(head).encode() + b"\n" + rest)

    def drop(self, kind: str) -> None:
        """Forget all records of a kind."""
        with explained(self.folder):
            for path in self._records(self.folder):
                if path.stem[:-33] == kind:
                    path.unlink(missing_ok=True)

    def taken_problems(self) -> tuple[str, ...]:
        """The messages so far; they are then forgotten here."""
        taken = tuple(self.problems)
        self.problems.clear()
        return taken

    @contextmanager
    def session(self) -> Iterator[None]:
        """Use the store for a while: its folder is there, leftovers of killed processes are gone, and `clear` is refused.

        Raises:
            StorageError: the folder cannot be made.
            ConfigError: it holds other files, or another process is clearing it.
        """
        folders.claim(self.folder, "work", (QUARANTINE,))
        with locked(self.folder, shared=True, tidy=lambda: folders.sweep(self.folder, "work")) as free:
            if not free:
                raise ConfigError(f"Another process is clearing {self.folder}.", hint="Try again in a moment.")
            yield

    def clear(self) -> None:
        """Remove all records, and the folder if nothing else is in it.

        Raises:
            ConfigError: a process is using the store, or it is not ours.
        """
        if not self.folder.is_dir():
            return
        folders.check(self.folder, "work", (QUARANTINE,))
        with locked(self.folder) as free, explained(self.folder):
            if not free:
                raise ConfigError(f"Another run is using {self.folder}.", hint="Wait for it, or name another folder.")
            aside = self.folder / QUARANTINE
            for kept in [*self._records(self.folder), *self._records(aside)]:
                kept.unlink(missing_ok=True)
            if aside.is_dir() and not any(aside.iterdir()):
                aside.rmdir()
            if [each.name for each in self.folder.iterdir()] in ([], [folders.MARKER]):
                (self.folder / folders.MARKER).unlink(missing_ok=True)
                self.folder.rmdir()

    def _path(self, kind: str, key: Key) -> Path:
        return self.folder / f"{kind}-{digest(key)[:32]}{SUFFIX}"

    def _records(self, place: Path) -> list[Path]:
        """Files with names of records, no links, in the folder or in its quarantine; none where the folder is not ours."""
        if not place.is_dir() or not folders.is_ours(self.folder, "work"):
            return []
        with os.scandir(place) as found:
            return [Path(each) for each in found if _NAME.fullmatch(each.name) and each.is_file(follow_symlinks=False)]

    def _put_aside(self, path: Path, reason: str) -> None:
        """Out of the way, but kept: someone may want to know what happened to it."""
        aside = self.folder / QUARANTINE
        try:
            folders.check(self.folder, "work", (QUARANTINE,))
            aside.mkdir(exist_ok=True)
            names = (aside / f"{path.stem}-{number}{SUFFIX}" for number in range(1, 1 << 30))
            os.replace(path, next(name for name in names if not os.path.lexists(name)))
        except (OSError, StorageError, ConfigError):
            self.problems.append(f"{path} is damaged or not ours ({reason}); its work is done again.")
            return
        self.problems.append(
            f"{path.name} is damaged or not ours ({reason}); it was moved to {aside}, its work is done again."
        )


def digest(key: Key) -> str:
    """What stands for a key in names, in 64 hexadecimal digits."""
    return hashlib.sha256(_text(key).encode()).hexdigest()


def _text(key: Key) -> str:
    return json.dumps(key, sort_keys=True, default=str)


def _checked(raw: bytes, kind: str, key: str) -> bytes:
    """The content of a record; raises `ValueError` with what is wrong."""
    first, _, rest = raw.partition(b"\n")
    try:
        head = json_value(first.decode())
        known = head["format"] == FORMAT and head["kind"] == kind
    except (ValueError, KeyError, TypeError):
        known = False
        head = {}
    if not known:
        raise ValueError("it does not begin like a record")
    if hashlib.sha256(rest).hexdigest() != head.get("sha256"):
        raise ValueError("its checksum does not fit")
    own, _, content = rest.partition(b"\n")
    if own != key.encode():
        raise ValueError("it is another piece of work")
    return content

"""Downloads: checked, resumed, atomic. Nothing under its final name is ever partial."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
import zipfile
import zlib
from pathlib import Path

from sharpap import progress
from sharpap.checksums import digest
from sharpap.data.form.arrays import most_unpacked
from sharpap.errors import DownloadError
from sharpap.files import PLAINLY, refuse_link
from sharpap.scratch import Scratch

CHUNK = 1 << 16
MOST_BYTES = 4 << 30
MARK = ".sharpap-"


def download(url: str, path: Path, checksum: str, *, timeout: float = 20.0, most: int = MOST_BYTES) -> Path:
    """Fetch `url` to `path`; a transfer that broke off leaves ``.sharpap-NAME.part`` and goes on from there next time.

    Args:
        url: http(s) or file address.
        path: final place; its folder is created. The very file, if it is there already, is taken; another is never replaced.
        checksum: ``sha256:...`` or ``md5:...``.
        timeout: seconds without a byte before giving up.
        most: bytes after which the transfer is given up, so that no server fills the disk.

    Raises:
        StorageError: a link or a device is in the place.
        DownloadError: no connection, an HTTP error, too many bytes, a wrong checksum (what came is then removed), or another
            file in the place.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{MARK}{path.name}.part")
    for place in (path, part):
        refuse_link(place)
    if path.exists():
        if matches(path, checksum):
            return path
        raise _in_the_way(path)
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})  # noqa: S310 - address and checksum are the catalogue's
    try:
        with urllib.request.urlopen(request, timeout=timeout) as reply:  # noqa: S310 - as above
            resumed = have > 0 and reply.status == 206
            left = reply.headers.get("Content-Length")
            expected = None if left is None else int(left) + (have if resumed else 0)
            with (
                os.fdopen(_opened(part, resumed), "wb") as file,
                progress.task(f"Downloading {url.rsplit('/', 1)[-1]}", None if left is None else int(left)) as task,
            ):
                size = have if resumed else 0
                while chunk := reply.read(CHUNK):
                    size += len(chunk)
                    if size > most:
                        break
                    file.write(chunk)
                    task.advance(len(chunk))
    except urllib.error.HTTPError as error:
        if error.code == 416:  # the partial file is as long as the whole one, or longer
            part.unlink()
            return download(url, path, checksum, timeout=timeout, most=most)
        raise DownloadError(f"{url}: HTTP {error.code} {error.reason}.") from None
    except (OSError, ValueError) as error:
        raise DownloadError(f"{url}: {getattr(error, 'reason', None) or error}.") from None
    if size > most:
        part.unlink()
        raise DownloadError(f"{url}: more than {most:,} bytes came, and the file was removed.")
    if expected is not None and part.stat().st_size < expected:
        raise DownloadError(f"{url}: the connection closed early.", hint="Try again; it goes on where it stopped.")
    if not matches(part, checksum):
        part.unlink()
        raise DownloadError(f"{url}: the checksum is wrong, and the file was removed.")
    os.replace(part, path)
    return path


def _in_the_way(path: Path) -> DownloadError:
    return DownloadError(f"{path} is there, and is not the file that belongs there: move it away.")


def _opened(part: Path, resumed: bool) -> int:
    """A partial file to go on with, or a new one."""
    if not resumed:
        part.unlink(missing_ok=True)
    return os.open(part, os.O_WRONLY | os.O_APPEND | os.O_CREAT | PLAINLY, 0o644)


def matches(path: Path, checksum: str) -> bool:
    """Whether the file has this ``algorithm:hexdigest``."""
    algorithm, _, expected = checksum.partition(":")
    return digest(path, algorithm) == expected


def extract(archive: Path, members: dict[str, tuple[str, str]], folder: Path) -> None:
    """Take single files out of a zip archive. Names on disk are the caller's, never the archive's; links are not made.

    Args:
        archive: the zip file.
        members: name inside the archive to (file name in `folder`, checksum or "" for none).
        folder: created with all files at once, or not at all. Another file that is there under one of their names is never
            replaced.

    Raises:
        StorageError: a link is in the place.
        DownloadError: a member is missing, its checksum is wrong, it would unpack to far more than such files do, or another
            file is in its place.
    """
    for place in (folder, *(folder / name for name, _ in members.values())):
        refuse_link(place)
    with Scratch(folder.parent) as scratch:
        made = scratch / folder.name
        made.mkdir()
        try:
            with zipfile.ZipFile(archive) as opened:
                for member, (name, checksum) in members.items():
                    target = made / name
                    size, most = opened.getinfo(member).file_size, most_unpacked(archive.stat().st_size)
                    if size > most or target.parent != made:
                        raise DownloadError(f"{archive.name}: {member} would unpack to {size:,} bytes.")
                    with opened.open(member) as source, target.open("wb") as file:
                        shutil.copyfileobj(source, file)
                    if checksum and not matches(target, checksum):
                        raise DownloadError(f"{archive.name}: the checksum of {member} is wrong.")
        except (KeyError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
            raise DownloadError(f"{archive.name} is not the archive it should be ({error}).") from None
        places = {file: folder / file.name for file in made.iterdir()}
        for file, place in places.items():
            if place.exists() and digest(place) != digest(file):
                raise _in_the_way(place)
        folder.mkdir(exist_ok=True)
        for file, place in places.items():
            os.replace(file, place)


def wheel(requirement: str, folder: Path, *, options: tuple[str, ...] = ()) -> Path:
    """Have pip fetch one wheel, without its dependencies and without installing it.

    Args:
        requirement: e.g. ``recbole==1.2.1``.
        folder: where the wheel goes.
        options: further arguments of ``pip download``.

    Raises:
        DownloadError: pip is missing or finds no such wheel.
    """
    command = [  # -P: the pip that is installed, not one that lies in the current folder
        sys.executable, "-P", "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
        "--only-binary", ":all:", "--dest", str(folder), *options, requirement,
    ]  # fmt: skip
    with progress.task(f"Fetching the {requirement} wheel"):
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    found = sorted(folder.glob("*.whl"))
    if done.returncode or not found:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or ["no wheel found"]
        raise DownloadError(f"pip could not fetch {requirement}: {lines[-1].removeprefix('ERROR: ')}.")
    return found[-1]

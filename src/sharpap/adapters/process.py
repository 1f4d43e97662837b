"""Run a command to its end, or end it: no shell, a log, a time limit, and nothing left running."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from sharpap.errors import ConfigError, TrainingError

GUARD = Path(__file__).parent / "drivers" / "guard.py"
GRACE_SECONDS = 3.0
TAIL_LINES = 15
TAIL_CHARACTERS = 1500
LONGEST = 366 * 24 * 3600.0


def check_timeout(*seconds: float) -> None:
    """Raise `ConfigError` for a time limit that is no time, or longer than a year."""
    for each in seconds:
        if not 0 < each <= LONGEST:
            raise ConfigError(f"A timeout of {each} seconds must be above 0 and at most {LONGEST:.0f}, a year.")


def run_command(command: Sequence[str], *, log: Path, timeout: float) -> str:
    """Run `command` in the current folder and environment; what it prints goes to `log`.

    The command has a process group of its own. When its time is over, or this process is interrupted or ends in any other
    way (`drivers/guard.py`), the whole group is asked to end and, a few seconds later, killed. On Windows only the command
    itself is, and not when this process is killed.

    Returns:
        The end of what it printed, as a part of a message; whatever it did to `log` or its folder.

    Raises:
        TrainingError: it was not found, ended with another status than 0, or took longer than `timeout` seconds.
    """
    if shutil.which(command[0]) is None:
        if Path(command[0]).exists():
            raise TrainingError(f"The command {command[0]!r} cannot be run: it is not executable.")
        raise TrainingError(
            f"The command {command[0]!r} was not found.",
            hint="Give its path; it is run without a shell, so that aliases and ~ are not known.",
        )
    with log.open("w+b") as file:
        status = _status(command, file, timeout)
        said = _tail(file)
    if status is None:
        raise TrainingError(
            f"The command {command[0]!r} took longer than {timeout:g} seconds and was ended.{said}",
            hint="Raise its timeout, or train for fewer epochs.",
        )
    if status:
        how = f"was ended by {_signal_name(-status)}" if status < 0 else f"ended with exit status {status}"
        raise TrainingError(f"The command {command[0]!r} {how}.{said}")
    return said


def _status(command: Sequence[str], output: BinaryIO, timeout: float) -> int | None:
    """Run to the end: the exit status, minus the signal that ended it, or None: it took too long and was ended."""
    guard = [sys.executable, "-I", "-S", str(GUARD)] if os.name == "posix" else []
    try:
        running = subprocess.Popen(
            [*guard, *command], stdin=subprocess.PIPE if guard else subprocess.DEVNULL, stdout=output,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    except OSError as error:
        raise TrainingError(f"The command {command[0]!r} cannot be run: {error.strerror}.") from None
    try:
        return running.wait(timeout)
    except subprocess.TimeoutExpired:
        _end(running)
        return None
    except BaseException:
        _end(running)
        raise
    finally:
        if running.stdin is not None:
            running.stdin.close()


def _tail(log: BinaryIO) -> str:
    """The end of a log that is open: a command may have removed the file, or put another thing in its place."""
    log.seek(max(0, log.seek(0, os.SEEK_END) - 4 * TAIL_CHARACTERS))
    text = log.read(4 * TAIL_CHARACTERS).decode("utf-8", "replace").strip()
    if not text:
        return " It printed nothing."
    return " Its last words:\n" + "\n".join(text.splitlines()[-TAIL_LINES:])[-TAIL_CHARACTERS:]


def _end(running: subprocess.Popen[bytes]) -> None:
    """End the process and all its children."""
    _signal_group(running, "SIGTERM")
    with contextlib.suppress(subprocess.TimeoutExpired):
        running.wait(GRACE_SECONDS)
    _signal_group(running, "SIGKILL")  # also for children that outlive their leader
    running.wait()


def _signal_group(running: subprocess.Popen[bytes], name: str) -> None:
    if os.name == "nt":
        running.kill()
        return
    with contextlib.suppress(ProcessLookupError):
        os.killpg(running.pid, getattr(signal, name))


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"

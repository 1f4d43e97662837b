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

from sharpap.errors import TrainingError

GUARD = Path(__file__).parent / "drivers" / "guard.py"
GRACE_SECONDS = 3.0
TAIL_LINES = 15
TAIL_CHARACTERS = 1500


def run_command(command: Sequence[str], *, log: Path, timeout: float) -> None:
    """Run `command` in the current folder and environment; what it prints goes to `log`.

    The command has a process group of its own. When its time is over, or this process is interrupted or ends in any other
    way (`drivers/guard.py`), the whole group is asked to end and, a few seconds later, killed. On Windows only the command
    itself is, and not when this process is killed.

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
    guard = [sys.executable, "-I", "-S", str(GUARD)] if os.name == "posix" else []
    try:
        with log.open("wb") as file:
            running = subprocess.Popen(
                [*guard, *command], stdin=subprocess.PIPE if guard else subprocess.DEVNULL, stdout=file,
                stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
    except OSError as error:
        raise TrainingError(f"The command {command[0]!r} cannot be run: {error.strerror}.") from None
    try:
        status = running.wait(timeout)
    except subprocess.TimeoutExpired:
        _end(running)
        raise TrainingError(
            f"The command {command[0]!r} took longer than {timeout:g} seconds and was ended.{tail(log)}",
            hint="Raise its timeout, or train for fewer epochs.",
        ) from None
    except BaseException:
        _end(running)
        raise
    finally:
        if running.stdin is not None:
            running.stdin.close()
    if status:
        how = f"was ended by {_signal_name(-status)}" if status < 0 else f"ended with exit status {status}"
        raise TrainingError(f"The command {command[0]!r} {how}.{tail(log)}")


def tail(log: Path) -> str:
    """The end of a log as a part of a message."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 4 * TAIL_CHARACTERS))
        text = file.read().decode("utf-8", "replace").strip()
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

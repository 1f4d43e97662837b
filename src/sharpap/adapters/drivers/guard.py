"""Run a command that ends when SharpAP does: python guard.py COMMAND...

SharpAP holds the other end of standard input. When that closes, however SharpAP has ended, the process group (this process
leads it) is asked to end and, a few seconds later, killed. Otherwise this ends as the command did. POSIX only.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import sys
import threading
import time

GRACE_SECONDS = 3.0
ending = threading.Event()


def watch() -> None:
    """Wait for the end of standard input."""
    with contextlib.suppress(OSError):
        while os.read(0, 1024):
            pass
    ending.set()
    os.killpg(0, signal.SIGTERM)
    time.sleep(GRACE_SECONDS)
    os.killpg(0, signal.SIGKILL)


def main() -> None:
    """Run, wait, and end alike."""
    signal.signal(signal.SIGTERM, lambda *_: None)  # a handler, unlike "ignore", is not inherited by the command
    try:
        running = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
    except OSError as error:
        sys.exit(f"{sys.argv[1]}: {error.strerror}")
    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    status = running.wait()
    if ending.is_set():
        watcher.join()  # what the command has started may outlive it, and is killed when the grace is over
    if status < 0:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        with contextlib.suppress(OSError, ValueError):  # SIGKILL has no handler
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    os._exit(status)


if __name__ == "__main__":
    main()

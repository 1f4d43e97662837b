"""The child's side of `runner`: prepares one contender, and times it each time it is told to."""

from __future__ import annotations

import importlib
import json
import os
import resource
import sys
import time
from pathlib import Path

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def memory(name: str) -> float:
    """MiB of VmRSS or VmHWM of this process; its greatest ever where there is no /proc."""
    if not STATUS.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)
    return next(int(line.split()[1]) for line in STATUS.read_text().splitlines() if line.startswith(name)) / 1024


def clear_peak() -> None:
    """Set VmHWM back to VmRSS, where the system can."""
    if CLEAR.exists():
        CLEAR.write_text("5")


def within_what_is_free(keep: float = 0.9) -> None:
    """An allocation beyond the memory that is free now fails in this process, before the system ends one of its choice."""
    info = Path("/proc/meminfo")
    if info.exists():
        free = next(int(line.split()[1]) for line in info.read_text().splitlines() if line.startswith("MemAvailable"))
        most = int(free * 1024 * keep)
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))


def main() -> None:
    """Answer every line of standard input by one run. The work may measure itself: what it returns goes before ours."""
    order = json.loads(sys.argv[1])
    within_what_is_free()
    answers, sys.stdout = os.fdopen(os.dup(1), "w"), sys.stderr  # whatever a library prints is not an answer
    module, function = order["make"].split(":")
    work = None
    for _ in sys.stdin:
        try:
            if work is None:
                work = getattr(importlib.import_module(f"benchmarks.speed.{module}"), function)(**order["settings"])
                if order["warm"]:
                    work()
            before = memory("VmRSS")
            clear_peak()
            start, cpu = time.perf_counter(), time.process_time()
            facts = dict(work() or {})
            found = {"wall": time.perf_counter() - start, "cpu": time.process_time() - cpu, "peak_mib": memory("VmHWM")}
            found |= {name: facts.pop(name) for name in list(found) if name in facts}
            answer = found | {"before_mib": before, "facts": facts}
        except Exception as error:
            answer = {"failed": f"{type(error).__name__}: {(str(error) or 'no message').splitlines()[0][:200]}"}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()

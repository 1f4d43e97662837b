"""Fuzz what SharpAP reads: ``python tests/fuzz --cases 60000 --jobs 2``. Findings are kept as files in --keep.

Each worker is a process of its own, so that a crash of native code is a finding, too.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import multiprocessing
import os
import random
import resource
import shutil
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from fuzz_check import WAITING, Finding, check
from fuzz_mutate import KINDS, case

CLI_EVERY = 200
DEEP_EVERY = 10
BATCH = 200
ROOM = 4 << 30  # bytes of address space beyond those of the start: whatever asks for more fails


def work(kind: str, seeds: range, folder: str, keep: str) -> None:
    """Check some cases and write counts; the seed under way is on disk, for when the process dies."""
    most = vm_bytes() + ROOM
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    faulthandler.dump_traceback_later(WAITING + BATCH * 5, exit=True)
    counts: Counter[str] = Counter()
    place = Path(folder)
    for seed in seeds:
        (place / "now").write_text(str(seed))
        made = case(kind, random.Random(seed))
        inside = place / "case"
        inside.mkdir(exist_ok=True)
        try:
            counts[check(kind, made, inside, deep=seed % DEEP_EVERY == 0, cli=seed % CLI_EVERY == 0)] += 1
        except Finding as finding:
            counts["finding"] += 1
            note(made[1], kind, seed, str(finding), Path(keep))
    (place / "counts").write_text(json.dumps(counts))
    faulthandler.cancel_dump_traceback_later()
    os._exit(0)  # threads of native code may not end in a forked process


def vm_bytes() -> int:
    """What this process has of the address space: libraries reserve far more than they use."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def note(files: dict[str, bytes], kind: str, seed: int, text: str, keep: Path) -> None:
    """Keep a finding: its files and what happened."""
    place = keep / f"{kind}-{seed}"
    place.mkdir(parents=True, exist_ok=True)
    for name, raw in files.items():
        (place / name).write_bytes(raw)
    (place / "finding.txt").write_text(text)
    print(f"FINDING {kind} {seed}: {text.splitlines()[0][:160]}", flush=True)


def batch(job: tuple[str, int, int, str]) -> tuple[str, dict[str, int], float]:
    """One process for one batch."""
    kind, first, count, keep = job
    start = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="sharpap-fuzz-") as folder:
        process = multiprocessing.get_context("fork").Process(
            target=work, args=(kind, range(first, first + count), folder, keep)
        )
        process.start()
        process.join()
        if process.exitcode == 0:
            counts = json.loads((Path(folder) / "counts").read_text())
        else:
            seed = int((Path(folder) / "now").read_text())
            files = {file.name: file.read_bytes() for file in (Path(folder) / "case").iterdir()}
            note(files, kind, seed, f"the process died: {process.exitcode}", Path(keep))
            counts = {"finding": 1, "lost": count - 1}
    return kind, counts, time.perf_counter() - start


def main() -> int:
    """Run and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=60_000)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--kinds", nargs="*", default=list(KINDS))
    parser.add_argument("--keep", default="fuzz-findings")
    chosen = parser.parse_args()
    each = -(-chosen.cases // len(chosen.kinds))
    jobs = [
        (kind, first, min(BATCH, chosen.first + each - first), chosen.keep)
        for first in range(chosen.first, chosen.first + each, BATCH)
        for kind in chosen.kinds
    ]
    start = time.perf_counter()
    totals: dict[str, Counter[str]] = {kind: Counter() for kind in chosen.kinds}
    with ThreadPoolExecutor(chosen.jobs) as pool:
        for kind, counts, seconds in pool.map(batch, jobs):
            totals[kind].update(counts)
            totals[kind]["seconds"] += round(seconds)
            if kind == chosen.kinds[-1]:  # a round
                done = sum(totals[each][name] for each in totals for name in ("loaded", "refused", "finding", "lost"))
                print(f"{done:,} inputs, {time.perf_counter() - start:,.0f} s", file=sys.stderr, flush=True)
    columns = ("loaded", "refused", "finding", "lost", "seconds")
    print(f"{'form':<18}" + "".join(f"{name:>10}" for name in columns))
    for kind, counts in totals.items():
        print(f"{kind:<18}" + "".join(f"{counts[name]:>10,}" for name in columns))
    whole = sum((Counter(counts) for counts in totals.values()), Counter())
    print(
        f"{'all':<18}"
        + "".join(f"{whole[name]:>10,}" for name in columns[:-1])
        + f"{time.perf_counter() - start:>10,.0f}"
    )
    shutil.rmtree(chosen.keep, ignore_errors=True) if not whole["finding"] else None
    return 1 if whole["finding"] else 0


if __name__ == "__main__":
    sys.exit(main())

"""Peak memory of `sharpap data inspect` and of loading, beside the size of the file.

    python benchmarks/inspect_memory.py                  # 10 million rows as CSV and as Parquet, in a temporary folder
    python benchmarks/inspect_memory.py --rows 1000000

Each measurement is a process of its own; its peak is VmHWM of /proc (Linux), which counts mapped pages of the file, too.
"streamed" loads, "whole" (--what) loads with streaming off, as files below 256 MiB are.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl

CHILD = """
import sys, time
from pathlib import Path
import sharpap.data
from sharpap.data import profile, read_interactions, stream
what, path = sys.argv[1:]
start = time.process_time()
if what == "inspect":
    made = profile(path)
    shown = f"{made.users} users, {made.items} items, {made.pairs} pairs"
elif what == "nothing":
    shown = "imports only"
else:
    stream.STREAM_FROM = 0 if what == "streamed" else 1 << 60
    made = read_interactions(path)
    shown = f"{made.num_users} users, {made.num_items} items, {made.nnz} pairs"
status = Path("/proc/self/status").read_text()
peak = int(status.split("VmHWM:")[1].split()[0]) / 1024
print(f"{peak:.0f}\\t{time.process_time() - start:.1f}\\t{shown}")
"""


def blocks(rows: int, seed: int, wide: int = 0) -> Iterator[pl.DataFrame]:
    """Rows with text ids, ratings and times; items fall off as a power law."""
    generator = np.random.default_rng(seed)
    for start in range(0, rows, 500_000):
        size = min(500_000, rows - start)
        users = generator.integers(0, max(rows // 50, 10), size)
        items = (50_000 * generator.random(size) ** 3).astype(np.int64)
        yield pl.DataFrame({"user": users, "item": items}).select(
            user_id=pl.format("user-{}", "user"), item_id=pl.format("item-{}", "item"),
            rating=pl.Series(generator.integers(1, 6, size, dtype=np.int8)),
            timestamp=pl.Series(generator.integers(1_500_000_000, 1_600_000_000, size)),
            **({"review": pl.format("{}" + "x" * wide, "item")} if wide else {}),
        )  # fmt: skip


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rows", type=int, default=10_000_000)
    options.add_argument("--wide", type=int, default=0, help="characters of a further text column")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--what", nargs="+", default=["inspect", "streamed"])
    asked = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="sharpap-benchmark-") as folder:
        csv, parquet = Path(folder) / "rows.csv", Path(folder) / "rows.parquet"
        with csv.open("wb") as file:
            for place, block in enumerate(blocks(asked.rows, asked.seed, asked.wide)):
                block.write_csv(file, include_header=place == 0)
        pl.scan_csv(csv).sink_parquet(parquet)
        print(f"{asked.rows:,} rows, seed {asked.seed}, polars {pl.__version__}")
        print(f"{'file':<14}{'MB':>7}  {'what':<10}{'peak RSS, MB':>13}{'CPU s':>9}")
        for path in (csv, parquet):
            for what in ["nothing", *asked.what]:
                call = [sys.executable, "-c", CHILD, what, str(path)]
                done = subprocess.run(call, capture_output=True, text=True, check=True).stdout
                peak, seconds, shown = done.rstrip("\n").split("\t")
                size = path.stat().st_size / 1e6
                print(f"{path.name:<14}{size:>7.0f}  {what:<10}{peak:>13}{seconds:>9}  {shown}", flush=True)


if __name__ == "__main__":
    main()

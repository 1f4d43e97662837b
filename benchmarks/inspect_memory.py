"""Peak memory of `sharpap data inspect` and of loading, beside the size of the file.

    python benchmarks/inspect_memory.py                  # 10 million rows as CSV and as Parquet, in a temporary folder
    python benchmarks/inspect_memory.py --rows 1000000

Each measurement is a process of its own. "peak RSS" is VmHWM of /proc (Linux), which counts mapped pages of the file, too: the
system takes those back when it needs memory. "own" is the peak of RssAnon, looked at every 5 ms: what the process itself holds.
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
import sys, threading, time
from pathlib import Path
def own():
    global peak_own
    while True:
        status = Path("/proc/self/status").read_text()
        peak_own = max(peak_own, int(status.split("RssAnon:")[1].split()[0]) / 1024)
        time.sleep(0.005)
peak_own = 0
threading.Thread(target=own, daemon=True).start()
import sharpap.data
from sharpap.data import profile, read_interactions
from sharpap.data.reading import stream
what, path = sys.argv[1:]
start = time.process_time()
if what == "inspect":
    made = profile(path)
    shown = f"{made.users} users, {made.items} items, {made.pairs} pairs"
elif what == "convert":
    from sharpap.cli.convert import convert_file
    from sharpap.data.writing import rewrite
    rewrite.STREAM_FROM = 0
    how = dict.fromkeys(("format", "header", "separator", "threshold")) | {"k_core": 0, "duplicates": "merge"}
    convert_file(Path(path), Path(path + ".out.parquet"), how | {"bad_rows": "refuse"}, {}, None, True, True)
    shown = "converted to Parquet"
elif what == "nothing":
    shown = "imports only"
else:
    stream.STREAM_FROM = 0 if what == "streamed" else 1 << 60
    made = read_interactions(path)
    shown = f"{made.num_users} users, {made.num_items} items, {made.nnz} pairs"
status = Path("/proc/self/status").read_text()
peak = int(status.split("VmHWM:")[1].split()[0]) / 1024
time.sleep(0.02)
print(f"{peak:.0f}\\t{peak_own:.0f}\\t{time.process_time() - start:.1f}\\t{shown}")
"""


def blocks(rows: int, seed: int, wide: int = 0, narrow: bool = False) -> Iterator[pl.DataFrame]:
    """Rows with text ids, ratings and times; items fall off as a power law."""
    generator = np.random.default_rng(seed)
    for start in range(0, rows, 500_000):
        size = min(500_000, rows - start)
        users = generator.integers(0, 200_000 if narrow else max(rows // 50, 10), size)
        items = (50_000 * generator.random(size) ** 3).astype(np.int64)
        if narrow:
            yield pl.DataFrame({"user_id": users, "item_id": items})
            continue
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
    options.add_argument("--narrow", action="store_true", help="two columns of whole numbers, 200,000 users")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--what", nargs="+", default=["inspect", "streamed"])
    asked = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="sharpap-benchmark-") as folder:
        csv, parquet = Path(folder) / "rows.csv", Path(folder) / "rows.parquet"
        with csv.open("wb") as file:
            for place, block in enumerate(blocks(asked.rows, asked.seed, asked.wide, asked.narrow)):
                block.write_csv(file, include_header=place == 0)
        pl.scan_csv(csv).sink_parquet(parquet)
        print(f"{asked.rows:,} rows, seed {asked.seed}, polars {pl.__version__}")
        print(f"{'file':<14}{'MB':>7}  {'what':<10}{'peak RSS, MB':>13}{'own, MB':>9}{'CPU s':>9}")
        for path in (csv, parquet):
            for what in ["nothing", *asked.what]:
                call = [sys.executable, "-c", CHILD, what, str(path)]
                done = subprocess.run(call, capture_output=True, text=True, check=True).stdout
                peak, own, seconds, shown = done.splitlines()[-1].split("\t")
                size = path.stat().st_size / 1e6
                print(f"{path.name:<14}{size:>7.0f}  {what:<10}{peak:>13}{own:>9}{seconds:>9}  {shown}", flush=True)


if __name__ == "__main__":
    main()

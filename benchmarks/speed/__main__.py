"""Run the benchmarks, write their results and the tables in docs/performance.md.

python -m benchmarks.speed                      all but the longest, under 30 minutes
python -m benchmarks.speed --full               the longest too
python -m benchmarks.speed --only kernel als    those whose names begin so; other results are kept
python -m benchmarks.speed --render             only the tables, from the results at hand
"""

from __future__ import annotations

import argparse
import json
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from benchmarks.speed import machine
from benchmarks.speed.render import bandwidth, render
from benchmarks.speed.runner import Row, measure
from benchmarks.speed.suite import BENCHMARKS

ROOT = Path(__file__).parent.parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "speed.json"


def _revision() -> str:
    done = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True)
    return done.stdout.strip() or "unknown"


def _against_roof(rows: list[Row], roofs: dict[str, float]) -> None:
    """Share of what bandwidth and arithmetic together allow, for work that says what it moves and computes."""
    for each in rows:
        facts = each.get("facts", {})
        if "flops" in facts:
            seconds = sorted(each["wall"])[len(each["wall"]) // 2]
            least = max(facts["bytes"] / bandwidth(roofs), facts["flops"] / roofs["gflop_s"]) / 1e9
            facts |= {
                "gflop_s": round(facts["flops"] / seconds / 1e9, 2),
                "gb_s": round(facts["bytes"] / seconds / 1e9, 2),
            }
            facts["share_of_roof"] = round(least / seconds, 3)


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", nargs="+", metavar="NAME", help="beginnings of names")
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--render", action="store_true")
    args = parser.parse_args()
    start = time.monotonic()
    results: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"benchmarks": {}}
    if args.render:
        for made in results["benchmarks"].values():
            _against_roof(made["rows"], results["machine"]["roofs"])
        RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    else:
        chosen = [
            each for each in BENCHMARKS
            if (any(each.name.startswith(name) for name in args.only) if args.only else args.full or not each.full)
        ]  # fmt: skip
        if not chosen:
            parser.error(f"nothing is called so; there are {', '.join(each.name for each in BENCHMARKS)}")
        if "machine" not in results or not args.only:
            results["machine"] = machine.describe() | {"roofs": {k: round(v, 2) for k, v in machine.roofs().items()}}
        for each in chosen:
            print(each.title, flush=True)
            if each.gpu and not torch.cuda.is_available():
                print("  skipped: torch sees no CUDA device here", flush=True)
                continue
            rows = measure(each, lambda text: print(text, flush=True))
            print(f"  so far: {(time.monotonic() - start) / 60:.1f} min", flush=True)
            _against_roof(rows, results["machine"]["roofs"])
            results["benchmarks"][each.name] = {
                "rows": rows, "revision": _revision(), "when": datetime.now(UTC).strftime("%Y-%m-%d %H:%M")
            }  # fmt: skip
            RESULTS.parent.mkdir(exist_ok=True)
            RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    render(results, ROOT / "docs" / "performance.md")


if __name__ == "__main__":
    main()

"""Contenders, each in a child process of its own, measured in turn."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Contender:
    """One side of a benchmark.

    Attributes:
        name: in the table.
        make: "module:function" below `benchmarks.speed`, which prepares the work (untimed) and returns it as a callable;
            what that returns is a dict of facts (JSON), or None.
        settings: keyword arguments of `make`.
        warm: run the work once before it is timed.
    """

    name: str
    make: str
    settings: Row = field(default_factory=dict)
    warm: bool = True


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """Contenders that do the same work; ours first.

    Attributes:
        name: for `--only`.
        title: for the table.
        rounds: timed runs of each contender, taking turns.
        full: left out unless asked for.
        gpu: needs a CUDA device.
    """

    name: str
    title: str
    contenders: tuple[Contender, ...]
    rounds: int = 1
    full: bool = False
    gpu: bool = False


def measure(benchmark: Benchmark, say: Callable[[str], None]) -> list[Row]:
    """One row a contender: lists of seconds and processor seconds, peak memory, the facts of its last run.

    A contender that fails (most often for want of memory) has a row with "failed".
    """
    alone = benchmark.rounds == 1
    rows: dict[str, Row] = {each.name: {"name": each.name, "wall": [], "cpu": []} for each in benchmark.contenders}
    children: dict[str, _Child] = {}
    try:
        for each in benchmark.contenders:
            if not alone:
                children[each.name] = _Child(each)
        for _ in range(benchmark.rounds):
            for each in benchmark.contenders:
                row = rows[each.name]
                if "failed" in row:
                    continue
                child = children.get(each.name) or _Child(each)
                try:
                    _add(row, child.run())
                    say(f"  {each.name}: {row['wall'][-1]:.4g} s, peak {row['peak_mib']:.0f} MiB {row['facts'] or ''}")
                except ChildError as failed:
                    row["failed"] = str(failed)
                    say(f"  {each.name}: {failed}")
                if alone:
                    child.close()
    finally:
        for child in children.values():
            child.close()
    return list(rows.values())


def _add(row: Row, found: Row) -> None:
    row["wall"].append(round(found["wall"], 6))
    row["cpu"].append(round(found["cpu"], 6))
    row["peak_mib"] = max(row.get("peak_mib", 0), round(found["peak_mib"], 1))
    row["before_mib"] = round(found["before_mib"], 1)
    row["facts"] = found["facts"]


class ChildError(RuntimeError):
    """The child ended before it answered."""


class _Child:
    """A child process that runs one contender's work on demand."""

    def __init__(self, contender: Contender) -> None:
        order = json.dumps({"make": contender.make, "settings": contender.settings, "warm": contender.warm})
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.speed.child", order],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self) -> Row:
        """One timed run."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with suppress(BrokenPipeError):
            self.process.stdin.write("go\n")
            self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise ChildError(f"ended with status {self.process.wait()}")
        found = json.loads(answer)
        if "failed" in found:
            raise ChildError(found["failed"])
        return found

    def close(self) -> None:
        """End the child."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()

"""Hostile folders of our own: records with the right checksum, and results in which any file holds anything."""

from __future__ import annotations

import copy
import io
import json
import random
import tempfile
import tomllib
from collections.abc import Callable
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import tomli_w
from fuzz_mutate import ODD, Case, bomb, mutated_bytes, odd_columns, with_odd_header
from rich.console import Console

from sharpap.assess import Cell, Results
from sharpap.assess.tables.landscape import LANDSCAPES, Landscape
from sharpap.assess.work.cells import CellStore, _packed
from sharpap.assess.work.measurements import rows_of
from sharpap.checksums import SUMS
from sharpap.cli.console import safe
from sharpap.cli.results import Query, means
from sharpap.cli.run import summary_json
from sharpap.data import split
from sharpap.data.generated import synthetic
from sharpap.report import html, show
from sharpap.report.latex import latex
from sharpap.report.markdown import markdown
from sharpap.threat import Budget, Goal

DATA = split(synthetic(20, 9, 60), seed=0, name="made")
GOAL, BUDGET = Goal(targets=(3,)), Budget(fake_users=2, profile_size=3)
KEY: dict[str, Any] = {"targets": (3,), "ks": (5,)}
LINE = (0.0, 0.5, 1.0)
LANDSCAPE = Landscape(
    attack="random", k=5, hit_ratio=0.5, atk_sharpness=1.0, rec_sharpness=1.0, shares=LINE, atk_line=LINE, rec_line=LINE,
    plane_rows=LINE, plane_columns=LINE, plane=(LINE, LINE, LINE),
)  # fmt: skip
FACTS: dict[str, dict[str, Any]] = {
    "cell": {
        "cell": {"attack": "none", "victim": "v", "draw": -1, "seed": 0, "error": "", "epochs": 3, "train_seconds": 0.5},
        "recall": {"5": 0.5}, "ndcg": {"5": 0.5}, "num_users": 20, "num_test_users": 3,
        "capabilities": {"top_k": None, "deterministic": True},
    },
    "poison": {
        "attack": "random", "settings": {}, "seed": 0, "seconds": 0.5, "history": [], "notes": {}, "targets": [3],
        "direction": "promote",
    },
    "state": {"epoch": 3},
}  # fmt: skip


def folder_case(kind: str, rng: random.Random) -> Case:
    """One mutated case."""
    if kind == "results":
        return "results.parquet", _results(rng)
    own = rng.choice(["cell", "cell", "poison", "poison", "state", "sharpness"])
    content = _record(own, rng)
    if rng.random() < 0.85:
        return f"{own}.content", {f"{own}.content": content}
    with tempfile.TemporaryDirectory() as folder:
        CellStore(Path(folder)).put(own, KEY, content)
        raw = next(Path(folder).iterdir()).read_bytes()
    return f"{own}.whole", {f"{own}.whole": mutated_bytes(raw, rng)}


def _record(kind: str, rng: random.Random) -> bytes:
    if kind == "sharpness":
        return _tree_text(json.loads(LANDSCAPES.dump_json([LANDSCAPE])), rng)
    facts = copy.deepcopy(FACTS[kind])
    arrays: dict[str, np.ndarray] = {
        "cell": {"targets": np.array([3]), "ranks": np.zeros((20, 1), np.int32)},
        "poison": {"indices": np.array([0, 3, 5, 1, 3, 4]), "indptr": np.array([0, 3, 6])},
        "state": {"weights": np.ones((3, 2))},
    }[kind]
    for _ in range(rng.choice([0, 1, 1, 2])):
        if rng.random() < 0.5:
            _change(facts, rng)
        else:
            name = rng.choice(list(arrays))
            arrays[name] = _array(arrays[name], rng)
    try:
        raw = _packed(facts, rng.choice([np.savez, np.savez_compressed]), **arrays)
    except (ValueError, TypeError, RecursionError):
        raw = _packed({}, **arrays)
    odd = rng.random()
    if odd < 0.15:
        return with_odd_header(raw, rng)
    return bomb() if odd < 0.16 else mutated_bytes(raw, rng) if odd < 0.4 else raw


def _array(array: np.ndarray, rng: random.Random) -> np.ndarray:
    array = array if array.dtype.kind in "iufb" else np.zeros(array.shape)  # texts, by an earlier change
    made = array.astype(rng.choice([np.int64, np.int32, np.uint64, np.float64, "U3", bool, np.int8]))
    if made.size and made.dtype.kind in "if" and rng.random() < 0.7:
        made.reshape(-1)[rng.randrange(made.size)] = rng.choice([-2, -1, 0, 8, 9, 100])
    return rng.choice([made, made.reshape(-1)[:-1], np.append(made, made), made.reshape(1, -1), np.array(3)])


def _change(tree: Any, rng: random.Random) -> None:
    """Another value or key somewhere in a nest of tables and lists."""
    inner = tree
    while True:
        key = rng.choice(list(inner)) if isinstance(inner, dict) else rng.randrange(len(inner))
        if not (isinstance(inner[key], (dict, list)) and inner[key] and rng.random() < 0.75):
            break
        inner = inner[key]
    if isinstance(inner, dict) and rng.random() < 0.2:
        inner[rng.choice(["x", "dataset", "random", "\x1b", "10", ""])] = inner.pop(key)
    else:
        inner[key] = copy.deepcopy(rng.choice([*ODD, None, [], "2026-01-01", 1e300, {"a": None}]))


def _tree_text(tree: Any, rng: random.Random, write: Callable[[Any], str] = json.dumps) -> bytes:
    whole = write(tree).encode()
    for _ in range(rng.choice([1, 1, 2, 3])):
        if tree:
            _change(tree, rng)
    try:
        text = write(tree).encode("utf-8", "surrogatepass")
    except (ValueError, TypeError, RecursionError):
        text = whole
    odd = rng.random()
    if odd < 0.05:
        return rng.choice([b"[" * 5000, b'{"a":' * 5000, b"a." * 3000 + b"b=1", b'{"a":' + b"9" * 5000 + b"}", b"null"])
    return text if odd < 0.8 else mutated_bytes(text, rng)


@cache
def _whole() -> dict[str, bytes]:
    """The files of a small folder of results."""
    made = Results.empty(DATA, {
        "title": "t", "seed": 0, "seeds": 1, "ks": [5], "direction": "promote", "data": {"source": "synthetic"},
        "targets": {"draws": 2}, "attacks": {"revadv": {"name": "revadv"}, "sharpap": {"name": "revadv", "worst_case": {}}},
        "victims": {"wrmf": {"name": "wrmf"}, "bpr-mf": {"name": "bpr-mf", "recommender": {"name": "x"}}},
        "reported": [{"claim": "c", "attack": "sharpap", "base": "revadv", "victim": "wrmf", "k": 5, "change": 0.2}],
    })  # fmt: skip
    for attack, draws in (("none", (-1,)), ("revadv", (0, 1)), ("sharpap", (0, 1))):
        for victim in ("wrmf", "bpr-mf"):
            for draw in draws:
                error = "x" if (attack, victim, draw) == ("sharpap", "bpr-mf", 1) else ""
                made.cells.append(Cell(attack=attack, victim=victim, draw=draw, seed=0, error=error, traceback=error))
                rows = [
                    (name, k, target, 0.1 + 0.01 * draw)
                    for name, k in (("H", 5), ("N", 5), ("rank", 0))
                    for target in (-1, 3)
                ]
                made.add(attack, victim, max(draw, 0), 0, [*rows, ("NDCG", 5, -1, 0.3), ("Recall", 5, -1, None)])
    made.sharpness = [LANDSCAPE, LANDSCAPE]
    crafted = {
        "popularity": [[1] * 20],
        "sizes": [3, 4],
        "history": [[{"epoch": 0, "surrogate_hit_ratio": 0.5}]],
        "seconds": [1.0],
    }
    made.provenance = {
        "started": "2026-01-01T00:00:00+00:00", "wall_seconds": 3.5, "peak_memory_mib": 300, "interrupted": False,
        "dataset": {"name": "made", "fingerprint": "f", "users": 20, "items": 9, "train": 40, "source": {"users": 20}},
        "machine": {"python": "3", "platform": "p", "processor": "c", "cpus": 2, "versions": {"numpy": "2"}, "gpu": None,
                    "git_revision": None},
        "capabilities": {"wrmf": {"top_k": 5, "deterministic": False}},
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        place = made.save(Path(folder) / "out")
        made.provenance["figures"] |= {"attacks": {"revadv": crafted, "sharpap": copy.deepcopy(crafted)},
                                       "targets": {"3": {"label": "t", "interactions": 4}}}  # fmt: skip
        (place / "provenance.json").write_text(json.dumps(made.provenance))
        names = ("config.toml", "results.parquet", "cells.parquet", "provenance.json", "sharpness.json")
        return {name: (place / name).read_bytes() for name in names}


def _results(rng: random.Random) -> dict[str, bytes]:
    files = dict(_whole())
    for _ in range(rng.choice([1, 1, 1, 2])):
        name = rng.choice(list(files))
        raw = files[name]
        if rng.random() < 0.1:
            files[name] = mutated_bytes(raw, rng)
        elif name.endswith(".parquet"):
            files[name] = _table(_whole()[name], rng)
        elif name == "config.toml":
            files[name] = _tree_text(tomllib.loads(_whole()[name].decode()), rng, tomli_w.dumps)
        else:
            files[name] = _tree_text(json.loads(_whole()[name]), rng)
    sums = rng.random()
    if sums < 0.85:
        told = files if sums < 0.7 else _whole()
        lines = "".join(f"{sha256(raw).hexdigest()}  {name}\n" for name, raw in told.items()).encode()
        files[SUMS] = lines if rng.random() < 0.95 else mutated_bytes(lines, rng)
    return files


def _table(raw: bytes, rng: random.Random) -> bytes:
    frame = pl.read_parquet(io.BytesIO(raw))
    for _ in range(rng.choice([1, 1, 2])):
        name = rng.choice(frame.columns)
        kind, rows = frame[name].dtype, frame.height
        value = rng.choice(
            ["x", "\x1b[1m", "none", -1, -2, 0, 3, 2**31 - 1, float("inf"), float("nan"), 1e308, 5e-324, None]
        )
        if rng.random() < 0.7:  # in the type of the column, here and there
            try:
                changed = pl.Series(name, [value], dtype=kind).extend_constant(value, rows - 1)
            except (TypeError, pl.exceptions.PolarsError, OverflowError):
                continue
            where = pl.Series([rng.random() < rng.choice([0.1, 1.0]) for _ in range(rows)])
            frame = frame.with_columns(frame[name].zip_with(~where, changed))
        else:
            frame = frame.with_columns(rng.choice(odd_columns(rows)).alias(rng.choice([name, name, "more"])))
    frame = frame.head(rng.choice([0, 1, *[frame.height] * 6]))
    out = io.BytesIO()
    frame.write_parquet(out)
    return out.getvalue() if rng.random() < 0.8 else mutated_bytes(out.getvalue(), rng)


def _look_record(path: Path) -> str:
    kind, form = path.name.split(".")
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        store = CellStore(Path(folder))
        store.put(kind, KEY, path.read_bytes())
        if form == "whole":
            next(Path(folder).iterdir()).write_bytes(path.read_bytes())
        found = _READ[kind](store)
        if (found is None) != bool(store.problems):
            raise AssertionError("a record was neither taken nor told of")
    return "refused" if found is None else "loaded"


def _read_cell(store: CellStore) -> Any:
    found = store.load_cell(KEY, DATA)
    if found is not None:
        made = Results.empty(DATA, {})
        made.add("none", "v", 0, 0, rows_of(found[1], found[1], (5,), True))
        made.cells.append(found[0])
        assert made.frame.height + made.cell_frame.height > 0
    return found


def _read_poison(store: CellStore) -> Any:
    found = store.load_poison(KEY, DATA.train, GOAL, BUDGET)
    return found and (found, found.inject(DATA.train.matrix))


_READ: dict[str, Callable[[CellStore], Any]] = {
    "cell": _read_cell, "poison": _read_poison, "sharpness": lambda store: store.load_landscape(KEY),
    "state": lambda store: store.get("state", KEY, _state),
}  # fmt: skip


def _state(content: bytes) -> Any:
    from sharpap.assess.work.cells import _unpacked

    return _unpacked(content)


def _look_results(path: Path) -> str:
    """As `sharpap report` and `sharpap results` do, in every form that they have."""
    folder = path.parent
    changed = [name for name, raw in _whole().items() if (folder / name).read_bytes() != raw]
    found = Results.load(folder)
    sums = (folder / SUMS).read_text() if (folder / SUMS).exists() else None
    for name in changed if sums is not None else ():
        if f"{sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" not in sums:
            raise AssertionError(f"{name} is not what the checksums say, and was read")
    out = io.StringIO()
    show(found, safe(Console(file=out, width=100)))
    texts = [html(found), markdown(found), out.getvalue(), json.dumps(summary_json(found, folder))]
    if found.rows:
        texts.append(latex(means({"run": found}, Query())))
    odd = {mark for text in texts for mark in text if not mark.isprintable() and mark not in "\n\xa0"}
    if odd:
        raise AssertionError(f"{odd!r} came through")
    return "loaded"


LOOKS = {"records": _look_record, "results": _look_results}

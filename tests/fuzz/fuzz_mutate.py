"""Seeds of every form that is read, and mutations of them: bytes, lines, fields, arrays, tables of a recipe."""

from __future__ import annotations

import copy
import gzip
import io
import json
import random
import re
import tomllib
import warnings
import zipfile
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import polars as pl
import tomli_w

Case = tuple[str, dict[str, bytes]]  # name of the file to read, and all files by name

RATINGS = [(u, i, 1 + (u * i) % 5, 978300000 + 60 * u + i) for u in range(1, 7) for i in range(u % 3, 9, 2)]
WORDS = [
    b"", b"0", b"-1", b"1e400", b"nan", b"inf", b"-0", b"007", b"999999999999999999999", b"9223372036854775807", b"4,5",
    b"1_000", b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b'"', b'""', b'"a', b'a"b', b"\r", b"\r\n", b"\n\n", b"\t", b",", b";",
    b"|", b"::", b" ", b"\xc2\xa0", "ü".encode(), "\u202e".encode(), b"\x1b[31m", b"[red]", b"=1+1", b"2020-01-05",
    b"2020-01-05T10:00:00Z", b"1e3", b"0x10", b"True", b"None", b"../../x", b"'", b"#", b"\\", "１２".encode(), b"1.0",
    b"9" * 5000,
]  # fmt: skip
ODD: list[Any] = [
    0, -1, 1, 2**31, 2**63 - 1, -(2**63), 10**30, 0.0, -0.5, 1e308, float("nan"), float("inf"), "", "x", "wrmf", "a" * 5000,
    "\x1b[2J", "mod:attr", "os:system", "../..", [], [[]], [1, "a"], {}, {"name": "x"}, {"name": 3}, {"file": "x"}, True,
    False, {"file": 3}, {"file": "/"}, "command", "remote", {"name": "command", "command": ["true"]}, ["a"] * 50,
    10**400, 10**4000, "/dev/zero", {"file": "/dev/zero"},
]  # fmt: skip
SHAPES = [
    "(10000000000000000, 9)", "(20, 10000000000)", "(20, 9, 1)", "(180,)", "(-20, -9)", "(True, 9)", "()", "(0, 9)",
    "((20, 9),)", "(" * 300, "1" + "+1" * 900, "-" * 2000 + "1", "(20, 9) #",
]  # fmt: skip
TYPES = [
    "'<f4'",
    "'<i8'",
    "'|O'",
    "'|V0'",
    "'<U3'",
    "'<c16'",
    "'|b1'",
    "('<f8', (3,))",
    "[('a', '<f8')]",
    "'>f8'",
    "'<M8[s]'",
]
RECIPE = """
title = "t"
seed = 0
seeds = 1
ks = [10, 20]
direction = "promote"
attacks = ["random", "revadv"]
[data]
source = "synthetic"
users = 30
items = 40
interactions = 200
threshold = 3.0
k_core = 2
bad_rows = "drop"
columns = {user = "u", item = 1}
split = {name = "random", valid = 0.1}
[targets]
kind = "tail"
size = 2
draws = 2
[budget]
fake_users = 0.05
profile_size = 6
[victims.wrmf]
epochs = 2
[victims.deep]
name = "lightgcn"
layers = 2
[[reported]]
claim = "c"
attack = "revadv"
base = "random"
victim = "wrmf"
change = 0.2
"""
PROVENANCE = {
    "attack": "random", "seed": 1, "seconds": 0.5, "direction": "promote", "targets": [1], "target_ids": ["1"],
    "settings": {}, "history": [], "notes": {}, "data_fingerprint": "x",
}  # fmt: skip


def text_seeds(rng: random.Random) -> dict[str, Case]:
    """One valid file of every text form."""
    rows = rng.sample(RATINGS, rng.randint(3, len(RATINGS)))
    dates = ["2020-01-05", "2021-03-01 10:00:00", "2020-02-30", "1"]

    def table(separator: str, head: str, line: Callable[..., str]) -> bytes:
        end = rng.choice(["\n", "\n", "\r\n"])
        return (head + "".join(line(*row).replace(",", separator) + end for row in rows)).encode()

    by_user: dict[int, list[str]] = {}
    for user, item, *_ in rows:
        by_user.setdefault(user, []).append(str(item))
    lists = "".join(f"{user} {' '.join(items)}\n" for user, items in by_user.items()).encode()
    inter = "user_id:token\titem_id:token\trating:float\n"
    csv = table(",", "user,item,rating,timestamp\n", lambda u, i, r, t: f"{u},{i},{r},{t}")
    named = table(",", "user_id,item_id,date\n", lambda u, i, r, t: f'"u{u}","film {i} ""x""",{rng.choice(dates)}')
    spaced = "user_id item_id  rating\n" + "".join(f"{u:>4} {i:>5} {r}\n" for u, i, r, _ in rows)
    checkins = table("\t", "", lambda u, i, r, t: f"{u},2010-10-{10 + r}T03:05:{10 + r}Z,{u}.{t},-{i}.{t},p{i}")
    did = table(",", "", lambda u, i, r, t: f'{u},"film {i}",{("seen", "bought")[r % 2]},{r}.5,0')
    objects = "".join(
        json.dumps({"user_id": u, "movie": {"id": f"m{i}"}, "rating": rng.choice([r, f"{r}", float(r)]), "timestamp": t,
                    "text": 'a "b"\n\u00e9', "tags": [r], "ok": r > 2}, ensure_ascii=rng.random() < 0.5) + "\n"
        for u, i, r, t in rows
    ).encode()  # fmt: skip
    return {
        "jsonl": ("x.json", {"x.json": objects}),
        "jsonl-gzip": ("x.jsonl.gz", {"x.jsonl.gz": gzip.compress(objects, 1)}),
        "blanks": ("x.inter", {"x.inter": spaced.encode()}),
        "checkins": ("x.txt", {"x.txt": checkins}),
        "behaviour": ("x.csv", {"x.csv": did}),
        "csv": ("x.csv", {"x.csv": csv}),
        "csv-quoted": ("x.csv", {"x.csv": named}),
        "csv-bare": ("x.csv", {"x.csv": table(",", "", lambda u, i, r, t: f"{u},{i},{r}")}),
        "semicolon": ("x.csv", {"x.csv": table(";", "user;item;rating\n", lambda u, i, r, t: f"a{u},{i},{r}")}),
        "tsv": ("x.tsv", {"x.tsv": table("\t", "uid\tsid\tcount\n", lambda u, i, r, t: f"{u},b{i},{r}")}),
        "u.data": ("u.data", {"u.data": table("\t", "", lambda u, i, r, t: f"{u},{i},{r},{t}")}),
        "ratings.dat": ("r.dat", {"r.dat": table("::", "", lambda u, i, r, t: f"{u},{i},{r},{t}")}),
        "inter": (
            "x.inter", {"x.inter": table("\t", inter, lambda u, i, r, t: f"{u},{i},{r}")},
        ),
        "adjacency": ("train.txt", {"train.txt": lists}),
        "unnamed": ("data", {"data": rng.choice([csv, named, lists])}),
        "gzip": ("x.csv.gz", {"x.csv.gz": gzip.compress(csv, 1)}),
    }  # fmt: skip


def mutated_bytes(raw: bytes, rng: random.Random) -> bytes:
    """Up to four small changes."""
    made = bytearray(raw)
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        at, end = rng.randint(0, len(made)), rng.randint(0, len(made))
        kind = rng.randrange(9)
        if kind == 0 and made:
            made[min(at, len(made) - 1)] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del made[min(at, end) : min(max(at, end), min(at, end) + rng.choice([1, 2, 8, 10**6]))]
        elif kind in (2, 3, 4):
            made[at:at] = rng.choice(WORDS)
        elif kind == 5:
            made[at:at] = made[min(at, end) : max(at, end)][: rng.choice([4, 40, 400])]
        elif kind == 6:
            del made[at:]
        else:
            made = bytearray(_lines_changed(bytes(made), rng))
    return bytes(made)


def _lines_changed(raw: bytes, rng: random.Random) -> bytes:
    """A field replaced, a line moved, repeated, blanked, or given another separator."""
    lines = raw.split(b"\n")
    at = rng.randrange(len(lines))
    kind = rng.randrange(6)
    if kind <= 2:
        mark = next((mark for mark in (b"::", b"\t", b",", b";", b" ") if mark in lines[at]), b",")
        fields = lines[at].split(mark)
        fields[rng.randrange(len(fields))] = rng.choice(WORDS)
        lines[at] = mark.join(fields)
    elif kind == 3:
        lines[at] = rng.choice(lines)
    elif kind == 4:
        lines.insert(at, rng.choice([b"", b"  ", b"\r", b"\t\t", b",,"]))
    else:
        lines[at] = lines[at].replace(rng.choice([b",", b"\t", b"::"]), rng.choice([b",", b"\t", b";", b"::"]))
    return b"\n".join(lines)


def npz(rng: random.Random, *, profiles: bool) -> bytes:
    """A CSR archive with some of its arrays changed."""
    n, m = 4, 9
    indptr = np.array([0, 2, 4, 4, 7])
    arrays: dict[str, Any] = {
        "indices": np.array([0, 3, 1, 2, 0, 5, 8]), "indptr": indptr, "data": np.ones(7, np.float32),
        "shape": np.array([n, m]), "format": np.array(b"csr"),
    }  # fmt: skip
    if profiles:
        facts = dict(PROVENANCE)
        for _ in range(rng.choice([0, 1, 1, 2])):
            facts[rng.choice(list(facts))] = rng.choice(ODD)
        text = json.dumps(facts) if rng.random() < 0.8 else rng.choice(["[1]", "{", "\ud800", "[" * 5000, "null"])
        arrays["provenance"] = np.frombuffer(text.encode("utf-8", "surrogatepass"), np.uint8)
    else:
        arrays |= {"user_ids": np.array(["a", "b", "c", "d"]), "item_ids": np.arange(m), "timestamps": np.arange(7.0)}
    for _ in range(rng.choice([0, 1, 1, 2, 3])):
        name = rng.choice(list(arrays))
        arrays[name] = _array_changed(arrays[name], rng)
        if rng.random() < 0.1:
            del arrays[name]
    out = io.BytesIO()
    np.savez(out, **arrays)
    odd = rng.random()
    if odd < 0.15:
        return with_odd_header(out.getvalue(), rng)
    return bomb() if odd < 0.16 else mutated_bytes(out.getvalue(), rng) if odd < 0.4 else out.getvalue()


@cache
def bomb() -> bytes:
    """A small archive of far too many zeros."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("indices", "ranks"):
            archive.writestr(f"{name}.npy", b"\0" * (100 << 20))
    return out.getvalue()


def with_odd_header(raw: bytes, rng: random.Random) -> bytes:
    """An archive of arrays, one of which says that it has another shape or type."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(raw)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        names = old.namelist()
        picked = rng.choice(names)
        for name in names:
            member = old.read(name)
            if name == picked:
                key, values = rng.choice([(rb"'shape': \([^)]*\)", SHAPES), (rb"'descr': '[^']*'", TYPES)])
                start = key.split(b": ")[0] + b": "
                member = odd_header(member, key, start + rng.choice(values).encode())
            new.writestr(name, member)
    return out.getvalue()


def odd_header(raw: bytes, old: bytes, new: bytes) -> bytes:
    """A .npy whose header says another thing, where `old` stands, a pattern, and is as long as it says."""
    at = 10 + int.from_bytes(raw[8:10], "little")
    text = re.sub(old, lambda _: new, raw[10:at])
    return raw[:8] + len(text).to_bytes(2, "little") + text + raw[at:]


def _array_changed(array: np.ndarray, rng: random.Random) -> np.ndarray:
    odd = [-1, 2**31, 2**62, 0, 3]
    kind = rng.randrange(8)
    if kind == 0:
        types = [np.float64, np.int8, np.uint64, np.int16, bool, "U3", "S2", np.complex64, "M8[s]", object, np.float16]
        try:
            with warnings.catch_warnings(action="ignore"):  # imaginary parts that are thrown away
                return array.astype(rng.choice(types))
        except (ValueError, TypeError, RuntimeError):
            return np.array(rng.choice([np.nan, 1, "x"]))
    if kind == 1:
        return array[: rng.randint(0, array.size)] if array.ndim else array
    if kind == 2:
        return np.append(array, array)
    if kind == 3 and array.ndim and array.size and array.dtype.kind in "iuf":
        made = array.astype(np.int64 if array.dtype.kind in "iu" else array.dtype).reshape(-1)
        made[rng.randrange(array.size)] = rng.choice(odd)
        return made
    if kind == 4 and array.dtype.kind == "f" and array.size:
        made = array.copy().reshape(-1)
        made[rng.randrange(made.size)] = rng.choice([np.nan, np.inf, -1, 0])
        return made
    if kind == 5:
        return array.reshape(1, -1)
    if kind == 6:
        return np.array(rng.choice([[], 0, "x", [2**40, 2**40], [5], [-1, 3], [1.5, 2]]))
    return np.zeros_like(array)


def parquet(rng: random.Random) -> bytes:
    """A Parquet file with odd columns, often with a few bytes changed."""
    rows = len(RATINGS)
    columns: dict[str, Any] = {
        "user": [row[0] for row in RATINGS], "item": [f"i{row[1]}" for row in RATINGS],
        "rating": [float(row[2]) for row in RATINGS], "timestamp": [row[3] for row in RATINGS],
    }  # fmt: skip
    for _ in range(rng.choice([0, 1, 1, 2])):
        name = rng.choice(list(columns))
        columns[name] = rng.choice(odd_columns(rows))
    if rng.random() < 0.1:
        del columns[rng.choice(list(columns))]
    out = io.BytesIO()
    frame = pl.DataFrame(columns)
    frame.head(rng.choice([0, 1, rows, rows])).write_parquet(
        out, compression=rng.choice(["uncompressed", "zstd", "snappy"])
    )
    return out.getvalue() if rng.random() < 0.5 else mutated_bytes(out.getvalue(), rng)


def odd_columns(rows: int) -> list[pl.Series]:
    """Columns of types and values that no reader hopes for."""
    return [
            pl.Series([None] * rows), pl.Series([1.5] * rows), pl.Series([float("nan")] * rows), pl.Series([[1, 2]] * rows),
            pl.Series([{"a": 1}] * rows), pl.Series([b"\xff"] * rows), pl.Series([True] * rows), pl.Series([-1] * rows),
            pl.Series([2**63] * rows, dtype=pl.UInt64), pl.Series(["\x1b[1m", ""] * (rows // 2) + [" "] * (rows % 2)),
            pl.Series([1] * rows).cast(pl.Date), pl.Series([1] * rows).cast(pl.Time), pl.Series([1] * rows).cast(pl.Duration),
            pl.Series([1e30] * rows), pl.Series([1] * rows).cast(pl.Decimal(10, 2)),
            pl.Series(["a"] * rows).cast(pl.Categorical),
            pl.Series([None, 1] * (rows // 2) + [1] * (rows % 2)), pl.Series([1] * rows).cast(pl.Datetime("ns", "UTC")),
            pl.Series([1] * rows).cast(pl.Int128),
    ]  # fmt: skip


def recipe(rng: random.Random) -> bytes:
    """A recipe with some values, keys or bytes changed."""
    table = tomllib.loads(RECIPE)
    for _ in range(rng.choice([1, 1, 2, 3])):
        inner: Any = table
        while True:
            key = rng.choice(list(inner)) if isinstance(inner, dict) else rng.randrange(len(inner))
            if isinstance(inner[key], (dict, list)) and inner[key] and rng.random() < 0.7:
                inner = inner[key]
                continue
            break
        kind = rng.randrange(4)
        if kind == 0 and isinstance(inner, dict):
            inner[rng.choice(["epochs", "name", "x", "users", "source", "file", "", "a.b", "\x1b", "reg"])] = inner.pop(
                key
            )
        else:
            inner[key] = copy.deepcopy(rng.choice(ODD))  # later changes go into it: a case must not change the next one
        if not table:
            break
    try:
        text = tomli_w.dumps(table).encode()
    except (TypeError, ValueError, RecursionError):
        text = RECIPE.encode()
    deep = rng.random()
    if deep < 0.02:
        return rng.choice(
            [b"a = " + b"[" * 50, b"a = " + b"[" * 5000, b"a." * 3000 + b"b = 1", b"seed = " + b"9" * 5000]
        )
    return text if deep < 0.7 else mutated_bytes(text, rng)


def case(kind: str, rng: random.Random) -> Case:
    """One mutated case."""
    if kind in OUTSIDE:
        from fuzz_outside import outside_case  # which needs this module

        return outside_case(kind, rng)
    if kind in FOLDERS:
        from fuzz_folder import folder_case

        return folder_case(kind, rng)
    if kind == "npz":
        return "x.npz", {"x.npz": npz(rng, profiles=False)}
    if kind == "parquet":
        return "x.parquet", {"x.parquet": parquet(rng)}
    if kind == "recipe":
        return "r.toml", {"r.toml": recipe(rng)}
    if kind == "profiles-npz":
        return "p.npz", {"p.npz": npz(rng, profiles=True)}
    if kind == "profiles-csv":
        rows = "".join(f"fake-{row % 3},{row % 9}\n" for row in range(12))
        facts = {**PROVENANCE, rng.choice(list(PROVENANCE)): rng.choice(ODD)}
        table = b"user_id,item_id\n" + rows.encode()
        beside = json.dumps(facts).encode()
        half = rng.random() < 0.5
        return "p.csv", {
            "p.csv": mutated_bytes(table, rng) if half else table,
            "p.csv.json": beside if half else rng.choice([beside, mutated_bytes(beside, rng), b"[" * 5000]),
        }
    if kind == "profiles-parquet":
        return "p.parquet", {"p.parquet": parquet(rng), "p.parquet.json": json.dumps(PROVENANCE).encode()}
    name, files = text_seeds(rng)[kind]
    if kind == "gzip" and rng.random() < 0.7:  # whole outside, odd inside
        return name, {path: gzip.compress(mutated_bytes(gzip.decompress(raw), rng), 1) for path, raw in files.items()}
    return name, {path: mutated_bytes(raw, rng) for path, raw in files.items()}


FOLDERS = ("records", "results")
OUTSIDE = ("http", "command-scores", "command-lists", "options")
KINDS = (
    *text_seeds(random.Random(0)), "npz", "parquet", "recipe", "profiles-npz", "profiles-csv", "profiles-parquet", *FOLDERS,
    *OUTSIDE,
)  # fmt: skip

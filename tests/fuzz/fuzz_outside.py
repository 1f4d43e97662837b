"""Hostile answers of outside recommenders: raw HTTP replies, files that a command wrote, options for other libraries."""

from __future__ import annotations

import copy
import io
import json
import random
import re
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import tomli_w
from fuzz_mutate import ODD, SHAPES, TYPES, WORDS, Case, mutated_bytes, odd_header

from sharpap.adapters.isolated import RecBoleRecommender, RecToolsRecommender
from sharpap.adapters.outputs import StoredScores, TopKLists, read_lists, read_scores
from sharpap.adapters.remote import RemoteRecommender
from sharpap.config import build, read_toml
from sharpap.data.generated import synthetic

TRAIN = synthetic(20, 9, 60).matrix
USERS, ITEMS = TRAIN.shape
BLOCK = np.arange(5)
SECONDS = 2.0  # of a whole answer; a listener that hangs up makes most of them short
NUMBERS: list[Any] = [
    0, -1, 8, 9, 2**31, 2**63, 2**64 - 1, 10**12, 10**30, -(10**30), 1.5, "1", None, True, [], {}, [[1]], float("nan"),
]  # fmt: skip


def outside_case(kind: str, rng: random.Random) -> Case:
    """One mutated case."""
    if kind == "http":
        return "fit", _http(rng)
    if kind == "command-scores":
        return "scores.npy", {"scores.npy": _npy(rng, (USERS, ITEMS))}
    if kind == "command-lists":
        return "topk", {"topk": _lists(rng)}
    return "v.toml", {"v.toml": _options(rng)}


def _npy(rng: random.Random, shape: tuple[int, ...]) -> bytes:
    """An array with another header, other values, or other bytes."""
    made = io.BytesIO()
    array = np.random.default_rng(rng.randrange(99)).random(shape)
    kind = rng.randrange(5)
    if kind == 0:
        array[tuple(rng.randrange(size) for size in shape)] = rng.choice([np.nan, np.inf, -np.inf, 1e308])
    if kind == 1:
        array = array.astype(rng.choice([np.int8, np.uint64, np.float16, np.complex64, bool, "U4", object, ">f8"]))
    np.save(made, array)
    raw = made.getvalue()
    if kind == 2:
        raw = odd_header(raw, re.escape(str(shape).encode()), rng.choice(SHAPES).encode())
    if kind == 3:
        raw = odd_header(raw, b"'<f8'", rng.choice(TYPES).encode())
    return raw if rng.random() < 0.7 else mutated_bytes(raw, rng)


def _lists(rng: random.Random) -> bytes:
    """Lists as a table or an array, some of their numbers changed."""
    table = {
        "user": [u for u in range(USERS) for _ in range(3)], "item": [(u + i) % ITEMS for u in range(USERS) for i in range(3)],
        "rank": [1, 2, 3] * USERS,
    }  # fmt: skip
    form = rng.choice(["csv", "csv", "parquet", "npy"])
    if form == "npy":
        made = io.BytesIO()
        array = np.array(table["item"], rng.choice([np.int64, np.int32, np.uint64, np.uint8])).reshape(USERS, 3)
        with suppress(OverflowError):
            array[rng.randrange(USERS), rng.randrange(3)] = rng.choice([-1, 8, 9, 200, 2**40, 2**63 - 1])
        np.save(made, array)
        raw = made.getvalue()
        if rng.random() < 0.4:
            raw = odd_header(raw, rb"\(20, 3\)", rng.choice(SHAPES).encode())
        return raw if rng.random() < 0.7 else mutated_bytes(raw, rng)
    column, row = rng.choice(list(table)), rng.randrange(USERS * 3)
    value = rng.choice([number for number in NUMBERS if type(number) is int])
    if form == "csv":
        whole: dict[str, list[Any]] = dict(table)
        whole[column] = [value if at == row and rng.random() < 0.7 else each for at, each in enumerate(whole[column])]
        rows = [",".join(whole), *(",".join(map(str, each)) for each in zip(*whole.values(), strict=True))]
        text = "\n".join(rows).encode()
        return text if rng.random() < 0.6 else mutated_bytes(text, rng)
    frame = pl.DataFrame(table)
    with suppress(OverflowError, TypeError, pl.exceptions.PolarsError):
        kinds = [pl.UInt64, pl.Int8, pl.Int128, pl.String, pl.Float64, pl.Boolean]
        frame = frame.with_columns(pl.col(column).cast(rng.choice(kinds)))
        frame = frame.with_columns(frame[column].scatter(row, value))
    if rng.random() < 0.1:
        frame = frame.with_columns(pl.lit(0).alias(f"c{n}") for n in range(150))
    out = io.BytesIO()
    frame.write_parquet(out)
    return out.getvalue() if rng.random() < 0.6 else mutated_bytes(out.getvalue(), rng)


def _http(rng: random.Random) -> dict[str, bytes]:
    """Two replies, to /fit and to /score, one of them changed."""
    top_k = rng.choice([None, None, 3, 3, 10**9])
    facts: dict[str, Any] = {"model": "m", "top_k": top_k, "deterministic": True}
    content: dict[str, Any] = {"items": [[(user + place) % ITEMS for place in range(3)] for user in BLOCK.tolist()]}
    odd, where = rng.random() < 0.7, rng.random()
    if odd and where < 0.3:
        facts[rng.choice([*facts, "x"])] = copy.deepcopy(rng.choice([*NUMBERS, *ODD]))
    elif odd and top_k:
        user = rng.randrange(len(BLOCK))
        inner = rng.choice([content, content["items"], content["items"][user]])
        key = rng.choice(list(inner)) if isinstance(inner, dict) else rng.randrange(len(inner))
        inner[key] = copy.deepcopy(rng.choice([*NUMBERS, *ODD]))
    fit = _json(facts, rng)
    score = _json(content, rng) if top_k else _npy(rng, (len(BLOCK), ITEMS))
    replies = {"fit": _reply(fit, "application/json", rng)}
    replies["score"] = _reply(score, "application/json" if top_k else "application/octet-stream", rng)
    if not odd or rng.random() < 0.3:
        name = rng.choice(list(replies))
        replies[name] = mutated_bytes(replies[name], rng)
    return replies


def _json(value: Any, rng: random.Random) -> bytes:
    if rng.random() < 0.05:
        deep = rng.choice([50, 5000, 30000])
        return rng.choice([b"[" * deep, b'{"items":' + b"[" * deep + b"]" * deep + b"}", b'{"model":' * deep])
    if rng.random() < 0.05:
        return b'{"model": "m", "top_k": ' + b"1" * rng.choice([400, 5000]) + b"}"
    try:
        return json.dumps(value).encode()
    except (TypeError, ValueError, RecursionError):
        return b"{}"


def _reply(content: bytes, kind: str, rng: random.Random) -> bytes:
    status = rng.choice(["200 OK"] * 90 + ["500 No", "204 None", "307 Elsewhere", "100 Go on", "999 \x1b[2J", "200"])
    length = rng.choice([str(len(content))] * 90 + ["-1", "9" * 30, "9" * 5000, "x", str(len(content) // 2)])
    head = [f"HTTP/1.1 {status}", f"Content-Type: {kind}", f"Content-Length: {length}"]
    if rng.random() < 0.06:
        head[2] = "Transfer-Encoding: chunked"
        size = rng.choice([*[f"{len(content):x}"] * 5, "f" * 20, "f" * 5000, "-1", "", "zz"])
        content = size.encode() + b"\r\n" + content + b"\r\n0\r\n\r\n"
    if rng.random() < 0.03:
        head[1:1] = [
            rng.choice(["a: b"] * 3 + ["Location: http://127.0.0.1:1/", "x" * 70000, ": ", "\x00: \xff"])
        ] * 120
    return "\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + content


def _options(rng: random.Random) -> bytes:
    """A victim of an outside library with options of all kinds."""
    text = [
        *(f"__import__('os').system('touch {name}')" for name in ("RAN", "x")),
        "exit",
        "subprocess.Popen",
        "().__class__",
    ]
    table: dict[str, Any] = {
        "recbole": {"model": "NeuMF", "options": {
            "epochs": 3, "learner": "adam", "mlp_hidden_size": [8, 4], "train_neg_sample_args": {"distribution": "uniform"},
        }},
        "rectools": {"model": "ImplicitALSWrapperModel", "options": {
            "verbose": 0, "model": {"factors": 4, "cls": "AlternatingLeastSquares", "dtype": "float32"},
        }},
    }  # fmt: skip
    name = rng.choice(list(table))
    victim = {"name": name, **table[name]}
    for _ in range(rng.choice([0, 1, 1, 2])):
        inner: Any = victim["options"]
        while (
            (key := rng.choice([*inner, "cls", "note", "ip"])) in inner and isinstance(inner[key], dict) and inner[key]
        ):
            if rng.random() < 0.3:
                break
            inner = inner[key]
        inner[key] = copy.deepcopy(rng.choice([*ODD, *NUMBERS, *text, *text]))
    try:
        made = tomli_w.dumps(victim).encode()
    except (TypeError, ValueError, RecursionError):
        made = b'name = "recbole"\noptions = {note = "' + rng.choice(WORDS) + b'"}'
    return made if rng.random() < 0.8 else mutated_bytes(made, rng)


class _Listener:
    """A service that answers with given bytes, whatever it is asked, and hangs up."""

    def __init__(self) -> None:
        self.replies: dict[bytes, bytes] = {}
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self) -> None:
        while True:
            connection, _ = self.socket.accept()
            with connection, suppress(OSError):
                connection.settimeout(SECONDS)
                asked = b""
                while b"\r\n\r\n" not in asked:
                    asked += connection.recv(1 << 16)
                head, _, body = asked.partition(b"\r\n\r\n")
                length = int(re.findall(rb"(?i)content-length: (\d+)", head)[0])
                while len(body) < length:
                    body += connection.recv(1 << 16)
                connection.sendall(self.replies[b"fit" if b"/fit" in head[:40] else b"score"])


@cache
def listener() -> _Listener:
    """The one of this process."""
    return _Listener()


def _sound(scores: Any, rows: int) -> str:
    if scores.shape != (rows, ITEMS) or np.isnan(scores).any() or scores.dtype.kind not in "fiu":
        raise AssertionError("scores of another form came through")
    return "loaded"


def _look_http(path: Path) -> str:
    there = listener()
    there.replies = {name.encode(): path.with_name(name).read_bytes() for name in ("fit", "score")}
    service = RemoteRecommender(url=there.url, timeout=SECONDS, score_timeout=SECONDS)
    return _sound(service.fit(TRAIN, seed=0).score(BLOCK), len(BLOCK))


def _look_scores(path: Path) -> str:
    scores = read_scores(path, (USERS, ITEMS), "The command 'x'")
    return _sound(StoredScores(scores=scores, source="The command 'x'").score(BLOCK), len(BLOCK))


def _look_lists(path: Path) -> str:
    lists = read_lists(path, USERS, ITEMS, np.arange(USERS), "The command 'x'")
    if lists.min(initial=0) < -1 or lists.max(initial=0) >= ITEMS:
        raise AssertionError("items of another catalogue came through")
    model = TopKLists(items=lists, num_items=ITEMS, capabilities=None)  # pyright: ignore[reportArgumentType]
    return _sound(model.score(BLOCK), len(BLOCK))


def _look_options(path: Path) -> str:
    made = build("victim", read_toml(path))
    if not isinstance(made, (RecBoleRecommender, RecToolsRecommender)):
        return "loaded"
    for text in _texts(made.options):
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,30}", text) or text in ("exit", "RAN", "x"):
            raise AssertionError(f"{text!r} came through to {made.model}")
    json.dumps(made.options, allow_nan=False)
    return "loaded"


def _texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for each in value.values() for text in _texts(each)]
    if isinstance(value, list):
        return [text for each in value for text in _texts(each)]
    return [value] if isinstance(value, str) else []


LOOKS: dict[str, Callable[[Path], str]] = {
    "http": _look_http, "command-scores": _look_scores, "command-lists": _look_lists, "options": _look_options,
}  # fmt: skip

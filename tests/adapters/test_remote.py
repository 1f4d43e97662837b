"""A recommender behind HTTP: a real server in a thread, loopback only, and a plain message for every wrong answer."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import sharpap
from sharpap.adapters.remote import RemoteRecommender
from sharpap.attacks import Bandwagon
from sharpap.data import TargetPool, split, synthetic
from sharpap.errors import ConfigError, ContractError, TrainingError
from sharpap.metrics import evaluate
from sharpap.recommenders import Popularity
from sharpap.threat import Budget

EXAMPLE = Path(__file__).parents[2] / "examples" / "serve_recommender.py"


@pytest.fixture(scope="module")
def dataset():
    return split(synthetic(60, 50, 900, seed=2), seed=0, name="made")


def npy(array) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


@pytest.fixture
def serve():
    """A server that answers /fit and /score by given functions of the request; gives its address."""
    servers = []

    def start(fit, score=None) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, kind, content, headers = (fit if self.path.startswith("/fit") else score)(self.path, body)
                try:
                    self.send_response(status)
                    for name, value in {"Content-Type": kind, "Content-Length": len(content), **headers}.items():
                        self.send_header(name, str(value))
                    self.end_headers()
                    self.wfile.write(content)
                except OSError:
                    pass  # the client has gone: that is what some tests are about

            def log_message(self, *_):
                pass

        servers.append(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def says(content, kind="application/json", status=200, **headers):
    """An answer that does not depend on the request."""
    found = content if isinstance(content, bytes) else json.dumps(content).encode()
    return lambda path, body: (status, kind, found, headers)


def test_the_example_serves_the_same_table_as_in_process(dataset):
    spec = importlib.util.spec_from_file_location("serve_recommender", EXAMPLE)
    assert spec
    assert spec.loader
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    server = example.serve()
    try:
        url = f"http://localhost:{server.server_port}/"
        results = sharpap.stress_test(
            dataset, attacks={"bandwagon": Bandwagon()}, targets=TargetPool(draws=2), budget=Budget(fake_users=0.1),
            victims={"inside": Popularity(), "served": RemoteRecommender(url=url)},
        )  # fmt: skip
        assert not [cell.error for cell in results.cells if cell.error]
        inside, served = (
            results.frame.filter(pl.col("victim") == name).drop("victim") for name in ("inside", "served")
        )
        assert inside.equals(served)
        model = RemoteRecommender(url=url).fit(dataset.train.matrix, seed=0)
        for _ in range(5):
            RemoteRecommender(url=url).fit(dataset.train.matrix, seed=0)
        with pytest.raises(TrainingError, match=r"HTTP 500 .*KeyError"):  # the model is no longer the service's
            model.score(np.arange(3))
    finally:
        server.shutdown()
        server.server_close()


def test_lists_and_a_seed_that_arrives(dataset, serve):
    """Lists by popularity, as JSON, with what the service declares of itself."""
    train, paths = dataset.train.matrix, []
    scores = Popularity().fit(train, seed=0).score(np.arange(train.shape[0]))
    scores[train.nonzero()] = -np.inf
    order = np.argsort(-scores, axis=1, kind="stable")[:, :5].tolist()

    def fit(path, body):
        paths.append(path)
        return 200, "application/json", b'{"model": "a", "top_k": 5, "deterministic": false}', {}

    def score(path, body):
        asked = json.loads(body)
        assert asked["model"] == "a"
        lists = [order[user] for user in asked["users"]]
        return 200, "application/json", json.dumps({"items": lists}).encode(), {}

    model = RemoteRecommender(url=serve(fit, score)).fit(train, seed=2**33 + 7)
    assert paths == ["/fit?seed=7"]
    options = {"targets": tuple(range(50)), "ks": (5, 20)}
    full, lists = (evaluate(each, train, **options) for each in (Popularity().fit(train, seed=0), model))
    assert np.array_equal(np.where(full.ranks < 5, full.ranks, 50), lists.ranks)
    assert (lists.ranks < 5).any()
    assert lists.capabilities.top_k == 5
    assert not lists.capabilities.deterministic


@pytest.mark.parametrize(
    "url",
    ["http://example.com:80", "http://10.0.0.1:8000", "http://127.0.0.1.example.com", "http://127.0.0.2@example.com/"],
)
def test_only_this_machine_is_called(url):
    with pytest.raises(ConfigError, match="talks to no live service"):
        RemoteRecommender(url=url)


def test_other_forms_of_address():
    for url in (
        "http://[::1",
        "http://[::1]:80000000/",
        "http://localhost:8000/\n",
        "http://localhost:8000/a b",
        "http://localhost:8000/ä",
        "http://@localhost:8000/",
        "http://localhost:0",
        "ftp://localhost/",
        "file://localhost/etc/passwd",
        "http://localhost:8000/?a=b",
        "http://localhost:web/",
    ):
        with pytest.raises(ConfigError, match="not of the form"):
            RemoteRecommender(url=url)
    assert RemoteRecommender(url="http://[::1]:8000").url


def test_a_redirect_is_not_followed_and_a_proxy_not_asked(dataset, serve, monkeypatch):
    other = serve(says({"model": "stolen"}))
    url = serve(says(b"", status=307, Location=f"{other}/fit"))
    with pytest.raises(TrainingError, match="HTTP 307"):
        RemoteRecommender(url=url).fit(dataset.train.matrix, seed=0)
    monkeypatch.setenv("http_proxy", url)
    monkeypatch.delenv("no_proxy", raising=False)
    assert RemoteRecommender(url=other).fit(dataset.train.matrix, seed=0).model == "stolen"


@pytest.fixture
def speak():
    """A listener that sends pieces of bytes after a request, some seconds apart, whatever they are; gives its address."""
    listeners, over = [], threading.Event()

    def start(pieces, pause: float) -> str:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def answer() -> None:
            connection, _ = listener.accept()
            with connection, contextlib.suppress(OSError):
                connection.recv(1 << 20)
                for piece in pieces:
                    connection.sendall(piece)
                    if over.wait(pause):
                        return

        threading.Thread(target=answer, daemon=True).start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}"

    yield start
    over.set()
    for listener in listeners:
        listener.close()


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\nContent-Type: application/json\r\n\r\n"
DRIPS = {
    "in its answer": [HEAD, *[b" "] * 500],
    "in its first line": [b"H"] * 500,
    "in its headers": [b"HTTP/1.1 200 OK\r\n", *[b"a: b\r\n"] * 500],
    "in answers before the answer": [b"HTTP/1.1 100 Continue\r\n\r\n"] * 500,
    "in pieces": [HEAD.replace(b"Content-Length: 500", b"Transfer-Encoding: chunked"), *[b"1\r\n \r\n"] * 500],
}


@pytest.mark.parametrize("pieces", DRIPS.values(), ids=DRIPS.keys())
def test_a_timeout_is_for_the_whole_answer(dataset, speak, pieces):
    """Each wait is shorter than the timeout; all of them would take two and a half minutes."""
    service = RemoteRecommender(url=speak(pieces, 0.3), timeout=1.0)
    start = time.monotonic()
    with pytest.raises(TrainingError, match="no answer within 1 seconds"):
        service.fit(dataset.train.matrix, seed=0)
    assert time.monotonic() - start < 60


def test_an_answer_that_breaks_off_is_none(dataset, speak):
    url = speak([HEAD + b'{"model": "a"}'], 0.0)
    with pytest.raises(TrainingError, match="shorter than it declares"):
        RemoteRecommender(url=url, timeout=30).fit(dataset.train.matrix, seed=0)


def slow(path, body):
    time.sleep(1.5)
    return 200, "application/json", b"{}", {}


def header(shape: str) -> bytes:
    """A .npy that is all claim."""
    made = io.BytesIO()
    np.lib.format.write_array_header_1_0(made, {"descr": "<f8", "fortran_order": False, "shape": (3, 50)})
    return made.getvalue().replace(b"(3, 50)", shape.encode()) + bytes(8)


OK = {"model": "a"}
FIT = {
    "error": (says(b"out of memory", status=500), TrainingError, r"/fit: HTTP 500 .*out of memory"),
    "late": (slow, TrainingError, "no answer within 0.5 seconds"),
    "no JSON": (says(b"<html>"), ContractError, "no JSON object"),
    "a list": (says([1]), ContractError, "no JSON object"),
    "no model": (says({"ok": True}), ContractError, "did not say which model"),
    "top_k": (says({"model": "a", "top_k": 0}), ContractError, "declares top_k=0"),
    "a top_k of 12 digits": (says({"model": "a", "top_k": 10**12}), ContractError, "declares top_k=1000000000000 "),
    "a top_k of 30 digits": (says({"model": "a", "top_k": 10**30}), ContractError, "declares top_k=10{30} "),
    "a number of 5,000 digits": (
        says(b'{"top_k": ' + b"1" * 5000 + b"}"),
        ContractError,
        "no JSON object .*4,300 digits",
    ),
    "a top_k that is long": (
        says({"model": "a", "top_k": ["a" * 9000]}),
        ContractError,
        r"top_k=\['a{70,80}\.\.\. and",
    ),
    "deep": (says(b"[" * 50_000), ContractError, "no JSON object .*deeply"),
    "deep and closed": (says(b'{"model":' + b"[" * 500 + b"]" * 500 + b"}"), ContractError, "no JSON object .*deeply"),
    "no text": (says(b'{"model": "\xff"}'), ContractError, "no JSON object"),
    "endless": (says(b"x" * 100_000), ContractError, "more than the 65,536 bytes"),
}


@pytest.mark.parametrize(("fit", "kind", "message"), FIT.values(), ids=FIT.keys())
def test_answers_to_fit_that_cannot_be_used(dataset, serve, fit, kind, message):
    with pytest.raises(kind, match=message):
        RemoteRecommender(url=serve(fit), timeout=0.5).fit(dataset.train.matrix, seed=0)


def test_what_answers_speaks_no_http(dataset):
    listener = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        connection, _ = listener.accept()
        connection.recv(100)
        connection.sendall(b"220 mail.example ESMTP\r\n")
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(1 << 16):
            pass
        connection.close()

    threading.Thread(target=answer, daemon=True).start()
    with listener, pytest.raises(TrainingError, match=r"220 mail\.example"):
        RemoteRecommender(url=f"http://127.0.0.1:{listener.getsockname()[1]}", timeout=5).fit(
            dataset.train.matrix, seed=0
        )


def test_nobody_listens(dataset):
    with pytest.raises(TrainingError, match=r"refused.*Is the service running"):
        RemoteRecommender(url="http://127.0.0.1:9").fit(dataset.train.matrix, seed=0)


ARRAY = "application/octet-stream"
LISTS = OK | {"top_k": 2}
SCORE = {
    "late": (OK, slow, TrainingError, "no answer within 0.5 seconds"),
    "shape": (OK, says(npy(np.zeros((2, 50))), ARRAY), ContractError, r"sent \(2, 50\), not \(3, 50\)"),
    "nan": (OK, says(npy(np.full((3, 50), np.nan)), ARRAY), ContractError, "sent NaN"),
    "pickle": (OK, says(npy(np.zeros((3, 50))).replace(b"<f8", b"|O "), ARRAY), ContractError, "no .npy"),
    "text": (OK, says(npy(np.full((3, 50), "a")), ARRAY), ContractError, "sent <U1"),
    "garbage": (OK, says(b"hello", ARRAY), ContractError, "no .npy"),
    "claims": (
        OK,
        says(header("(3, 10**15)".replace("10**15", "1" + "0" * 15)), ARRAY),
        ContractError,
        "as long as it says",
    ),
    "lists undeclared": (OK, says({"items": [[1], [2], [3]]}), ContractError, "need a top_k"),
    "too few": (LISTS, says({"items": [[1], [2]]}), ContractError, "for each of 3 users"),
    "too long": (LISTS, says({"items": [[1], [2], [3, 4, 5]]}), ContractError, "longer than its top_k=2"),
    "fractions": (LISTS, says({"items": [[1], [2], [3.5]]}), ContractError, "other things than item numbers"),
    "out of range": (LISTS, says({"items": [[1], [2], [50]]}), ContractError, "item 50 of user 9 is out of range"),
    "no number": (
        LISTS,
        says({"items": [[1], [2], [10**30]]}),
        ContractError,
        r"item 10{30} of user 9 is out of range",
    ),
    "negative": (
        LISTS,
        says({"items": [[1], [2], [-(10**30)]]}),
        ContractError,
        r"item -10{30} of user 9 is out of range",
    ),
    "deep": (LISTS, says(b'{"items":' + b"[" * 60_000), ContractError, "no JSON object .*deeply"),
    "many": (LISTS | {"top_k": 2**31 - 1}, says(b"{" * 66_000), ContractError, "sent 66,000 lists, tables and texts"),
    "twice": (LISTS, says({"items": [[1], [2], [3, 3]]}), ContractError, "item 3 stands twice in the list of user 9"),
    "empty": (LISTS, says({"items": [[1], [2], []]}), ContractError, "have no list; the first is user 9"),
}


@pytest.mark.parametrize(("fit", "score", "kind", "message"), SCORE.values(), ids=SCORE.keys())
def test_answers_to_score_that_cannot_be_used(dataset, serve, fit, score, kind, message):
    model = RemoteRecommender(url=serve(says(fit), score), score_timeout=0.5).fit(dataset.train.matrix, seed=0)
    with pytest.raises(kind, match=message):
        model.score(np.array([4, 5, 9]))

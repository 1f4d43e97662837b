"""A recommender behind HTTP: a real server in a thread, loopback only, and a plain message for every wrong answer."""

from __future__ import annotations

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


def slow(path, body):
    time.sleep(1.5)
    return 200, "application/json", b"{}", {}


OK = {"model": "a"}
FIT = {
    "error": (says(b"out of memory", status=500), TrainingError, r"/fit: HTTP 500 .*out of memory"),
    "late": (slow, TrainingError, "no answer within 0.5 seconds"),
    "no JSON": (says(b"<html>"), ContractError, "no JSON object"),
    "a list": (says([1]), ContractError, "no JSON object"),
    "no model": (says({"ok": True}), ContractError, "did not say which model"),
    "top_k": (says({"model": "a", "top_k": 0}), ContractError, "declares top_k=0"),
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
    "lists undeclared": (OK, says({"items": [[1], [2], [3]]}), ContractError, "need a top_k"),
    "too few": (LISTS, says({"items": [[1], [2]]}), ContractError, "for each of 3 users"),
    "too long": (LISTS, says({"items": [[1], [2], [3, 4, 5]]}), ContractError, "longer than its top_k=2"),
    "fractions": (LISTS, says({"items": [[1], [2], [3.5]]}), ContractError, "other things than item numbers"),
    "out of range": (LISTS, says({"items": [[1], [2], [50]]}), ContractError, "item 50 of user 9 is out of range"),
    "twice": (LISTS, says({"items": [[1], [2], [3, 3]]}), ContractError, "item 3 stands twice in the list of user 9"),
    "empty": (LISTS, says({"items": [[1], [2], []]}), ContractError, "have no list; the first is user 9"),
}


@pytest.mark.parametrize(("fit", "score", "kind", "message"), SCORE.values(), ids=SCORE.keys())
def test_answers_to_score_that_cannot_be_used(dataset, serve, fit, score, kind, message):
    model = RemoteRecommender(url=serve(says(fit), score), score_timeout=0.5).fit(dataset.train.matrix, seed=0)
    with pytest.raises(kind, match=message):
        model.score(np.array([4, 5, 9]))

"""Any recommender behind HTTP on this machine, for `sharpap.RemoteRecommender`. Standard library and numpy.

python examples/serve_recommender.py              # try it: serve popularity, attack it once, stop
python examples/serve_recommender.py --port 8000  # serve; victim: sharpap.RemoteRecommender(url="http://127.0.0.1:8000")
"""

import argparse
import io
import itertools
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import numpy as np
from scipy.sparse import load_npz


class Popularity:
    """Put your own here: `fit(train, seed)`, then `score(users)`."""

    def fit(self, train, seed):
        """Train on (users, items) CSR, fake users last."""
        self.counts = np.asarray(train.sum(axis=0), np.float32).ravel()
        return self

    def score(self, users):
        """(len(users), items)."""
        return np.tile(self.counts, (len(users), 1))


class Handler(BaseHTTPRequestHandler):
    """POST /fit?seed=N with a .npz, POST /score with {"model": ..., "users": [...]}."""

    models = {}  # noqa: RUF012 - the last few that were trained, by name
    numbers = itertools.count()

    def do_POST(self):
        """One request; what goes wrong is told to the caller."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        place = urlsplit(self.path)
        try:
            if place.path == "/fit":
                seed = int(parse_qs(place.query)["seed"][0])
                name = f"model-{next(self.numbers)}"
                while len(self.models) > 3:
                    self.models.pop(next(iter(self.models)))
                self.models[name] = Popularity().fit(load_npz(io.BytesIO(body)).tocsr(), seed)
                self.reply(200, "application/json", json.dumps({"model": name}).encode())
            else:
                asked = json.loads(body)
                scores = io.BytesIO()
                np.save(scores, self.models[asked["model"]].score(np.array(asked["users"])))
                self.reply(200, "application/octet-stream", scores.getvalue())
        except Exception as error:
            self.reply(500, "text/plain", f"{type(error).__name__}: {error}".encode())

    def reply(self, status, kind, content):
        """Send one answer."""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        """Be quiet."""


def serve(port=0):
    """Serve on this machine only; port 0: any free one."""
    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int)
    port = parser.parse_args().port
    server = serve(port or 0)
    if port:
        threading.Event().wait()
    import sharpap as sp

    results = sp.stress_test(
        "ml-100k",
        attacks={"bandwagon": sp.Bandwagon()},
        victims={"served by sharpap's example": sp.RemoteRecommender(url=f"http://127.0.0.1:{server.server_port}")},
        targets=sp.TargetPool(draws=1),
    )
    print(results.transfer_matrix("H", k=10))
    server.shutdown()

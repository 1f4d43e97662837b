"""A recommender behind HTTP on this machine: a process that the user runs and SharpAP trains and asks."""

from __future__ import annotations

import http.client
import io
import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from email.message import Message
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from scipy.sparse import csr_array

from sharpap.adapters.command import save_matrix
from sharpap.adapters.outputs import TopKLists, check_lists
from sharpap.errors import ConfigError, ContractError, TrainingError
from sharpap.recommenders import Capabilities

Array = np.ndarray[Any, np.dtype[Any]]
LOOPBACK = ("127.0.0.1", "localhost", "::1")
SLACK = 1 << 16


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would lead away from this machine."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Message, newurl: str) -> None:
        """Refuse: the reply then counts as an HTTP error."""
        return


@dataclass(frozen=True, kw_only=True)
class RemoteRecommender:
    """A recommender behind a small HTTP service on this machine (`examples/serve_recommender.py` is one).

    - ``POST /fit?seed=N``, body: the train matrix as .npz (`scipy.sparse.save_npz`). Reply: JSON
      ``{"model": "...", "top_k": null, "deterministic": true}``; `model` names what was trained, the others may be absent.
    - ``POST /score``, body: JSON ``{"model": "...", "users": [...]}``. Reply: a .npy of (len(users), num_items) scores, or JSON
      ``{"items": [[...], ...]}`` with a list for each user (items it does not have, best first) where `top_k` is set.

    Any other status than 200 is an error, and its body the reason.

    Attributes:
        url: http://127.0.0.1:PORT, localhost or ::1. Any other host is refused: SharpAP talks to no live service.
        timeout: seconds of one training.
        score_timeout: seconds of one block of users.
    """

    url: str
    timeout: float = 3600.0
    score_timeout: float = 120.0

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        try:
            port_ok = parts.port != 0
        except ValueError:
            port_ok = False
        if parts.hostname not in LOOPBACK:
            raise ConfigError(
                f"{self.url} is not on this machine: SharpAP works offline and talks to no live service.",
                hint=f"Run the recommender here and name it by {', '.join(LOOPBACK)}.",
            )
        if parts.scheme != "http" or parts.query or parts.fragment or parts.username or not port_ok:
            raise ConfigError(f"{self.url} is not of the form http://127.0.0.1:8000.")
        if min(self.timeout, self.score_timeout) <= 0:
            raise ConfigError("timeout and score_timeout must be above 0.")

    def fit(self, train: csr_array, *, seed: int) -> RemoteModel:
        """Have the service train.

        Raises:
            TrainingError: no answer, a late one, or an error. ContractError: an answer of the wrong form.
        """
        body = io.BytesIO()
        save_matrix(body, train)
        reply, _ = self.post(
            f"fit?seed={seed % 2**32}", body.getvalue(), "application/octet-stream", SLACK, self.timeout
        )
        facts = self.parse(reply)
        model, top_k, deterministic = facts.get("model"), facts.get("top_k"), facts.get("deterministic", True)
        if not isinstance(model, str):
            raise ContractError(f"{self.url}/fit did not say which model it trained.", hint='Reply {"model": "..."}.')
        length_ok = top_k is None or (isinstance(top_k, int) and not isinstance(top_k, bool) and top_k > 0)
        if not length_ok or not isinstance(deterministic, bool):
            raise ContractError(f"{self.url}/fit declares top_k={top_k!r} and deterministic={deterministic!r}.")
        return RemoteModel(
            service=self, model=model, num_items=train.shape[1],
            capabilities=Capabilities(top_k=top_k, deterministic=deterministic),
        )  # fmt: skip

    def post(self, path: str, body: bytes, kind: str, longest: int, timeout: float) -> tuple[bytes, str]:
        """One request; the reply, of at most `longest` bytes, and its content type. No proxy, no redirect."""
        address = f"{self.url.rstrip('/')}/{path}"
        where = address.partition("?")[0]
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect())
        request = urllib.request.Request(address, data=body, headers={"Content-Type": kind}, method="POST")  # noqa: S310 - http and loopback only, checked above
        try:
            with opener.open(request, timeout=timeout) as reply:
                content = reply.read(longest + 1)
                found = reply.headers.get_content_type()
        except urllib.error.HTTPError as error:
            reason = error.read(500).decode("utf-8", "replace").strip()
            raise TrainingError(f"{where}: HTTP {error.code} {error.reason}. {reason}".strip()) from None
        except TimeoutError:
            raise TrainingError(
                f"{where} gave no answer within {timeout:g} seconds.", hint="Raise its timeout."
            ) from None
        except (OSError, ValueError, http.client.HTTPException) as error:
            problem = getattr(error, "reason", None) or error
            if isinstance(problem, TimeoutError):
                problem = f"no answer within {timeout:g} seconds"
            raise TrainingError(f"{where}: {problem}.", hint="Is the service running?") from None
        if len(content) > longest:
            raise ContractError(f"{where} sent more than the {longest:,} bytes that its answer can have.")
        return content, found

    def parse(self, reply: bytes) -> dict[str, Any]:
        """A JSON object."""
        try:
            facts = json.loads(reply)
        except ValueError:
            facts = None
        if not isinstance(facts, dict):
            raise ContractError(f"{self.url} replied {reply[:80]!r}, which is no JSON object.")
        return facts


@dataclass(frozen=True, eq=False, kw_only=True)
class RemoteModel:
    """What a service has trained.

    Attributes:
        service: where.
        model: its name there.
        num_items: columns of the scores.
        capabilities: what the service declares.
    """

    service: RemoteRecommender
    model: str
    num_items: int
    capabilities: Capabilities

    def score(self, users: Array) -> Array:
        """Ask for one block of users; raises as `RemoteRecommender.fit` does."""
        body = json.dumps({"model": self.model, "users": users.tolist()}).encode()
        longest = len(users) * self.num_items * 8 + SLACK
        service = self.service
        reply, kind = service.post("score", body, "application/json", longest, service.score_timeout)
        source = f"{service.url}/score"
        if self.capabilities.top_k is None:
            if kind == "application/json":
                raise ContractError(
                    f"{source} sent JSON.", hint="Lists need a top_k in the reply to /fit; scores are .npy."
                )
            return self._scores(reply, len(users), source)
        return self._lists(reply, users, source)

    def _scores(self, reply: bytes, rows: int, source: str) -> Array:
        try:
            scores = np.load(io.BytesIO(reply), allow_pickle=False)
        except (ValueError, OSError, EOFError) as error:
            raise ContractError(f"{source} sent no .npy ({str(error).splitlines()[0]}).") from None
        if not isinstance(scores, np.ndarray) or scores.shape != (rows, self.num_items):
            shape = getattr(scores, "shape", "no array")
            raise ContractError(f"{source} sent {shape}, not ({rows}, {self.num_items}).")
        if not (np.issubdtype(scores.dtype, np.floating) or np.issubdtype(scores.dtype, np.integer)):
            raise ContractError(f"{source} sent {scores.dtype}, not numbers.")
        if np.isnan(scores).any():
            raise ContractError(f"{source} sent NaN.", hint="Send -inf for items that cannot be scored.")
        return scores

    def _lists(self, reply: bytes, users: Array, source: str) -> Array:
        top_k = self.capabilities.top_k or 0
        lists = self.service.parse(reply).get("items")
        if not isinstance(lists, list) or len(lists) != len(users) or not all(isinstance(each, list) for each in lists):
            raise ContractError(f"{source} did not send a list of items for each of {len(users)} users.")
        if max(map(len, lists), default=0) > top_k:
            raise ContractError(f"{source} sent lists longer than its top_k={top_k}.")
        if not all(type(item) is int for each in lists for item in each):
            raise ContractError(f"{source} sent lists of other things than item numbers.")
        table = np.full((len(users), top_k), -1, np.int64)
        for row, each in enumerate(lists):
            table[row, : len(each)] = each
        rows = np.arange(len(users))
        checked = check_lists(table, self.num_items, rows, source, names=users)
        return TopKLists(items=checked, num_items=self.num_items, capabilities=self.capabilities).score(rows)

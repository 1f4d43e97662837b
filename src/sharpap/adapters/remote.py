"""A recommender behind HTTP on this machine: a process that the user runs and SharpAP trains and asks."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from scipy.sparse import csr_array

from sharpap.adapters.command import save_matrix
from sharpap.adapters.http import post
from sharpap.adapters.outputs import NONE, TopKLists, check_lists
from sharpap.adapters.process import check_timeout
from sharpap.data.form.arrays import stored_array
from sharpap.errors import ConfigError, ContractError
from sharpap.recommenders import Capabilities
from sharpap.untrusted import json_value

Array = np.ndarray[Any, np.dtype[Any]]
FORM = "http://127.0.0.1:8000"
LOOPBACK = ("127.0.0.1", "localhost", "::1")
SLACK = 1 << 16
MOST_ITEMS = 2**31 - 1
NUMBER_BYTES = 24  # of an item number in JSON, blanks and line breaks included


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
        timeout: seconds of one training, until its whole answer is there.
        score_timeout: seconds of one block of users, the same.
    """

    url: str
    timeout: float = 3600.0
    score_timeout: float = 120.0

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.url)
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise ConfigError(f"{self.url[:200]!r} is not of the form {FORM}: {error}.") from None
        if host not in LOOPBACK:
            raise ConfigError(
                f"{self.url[:200]} is not on this machine: SharpAP works offline and talks to no live service.",
                hint=f"Run the recommender here and name it by {', '.join(LOOPBACK)}.",
            )
        plain = all("!" <= mark <= "~" for mark in self.url)
        if parts.scheme != "http" or parts.query or parts.fragment or "@" in parts.netloc or port == 0 or not plain:
            raise ConfigError(f"{self.url[:200]!r} is not of the form {FORM}.")
        check_timeout(self.timeout, self.score_timeout)

    def fit(self, train: csr_array, *, seed: int) -> RemoteModel:
        """Have the service train.

        Raises:
            TrainingError: no answer, a late one, or an error. ContractError: an answer of the wrong form.
        """
        body = io.BytesIO()
        save_matrix(body, train)
        wanted = f"fit?seed={seed % 2**32}"
        reply, _ = post(
            self.url, wanted, body.getvalue(), "application/octet-stream", longest=SLACK, seconds=self.timeout
        )
        facts = self.parse(reply)
        model, top_k, deterministic = facts.get("model"), facts.get("top_k"), facts.get("deterministic", True)
        if not isinstance(model, str):
            raise ContractError(f"{self.url}/fit did not say which model it trained.", hint='Reply {"model": "..."}.')
        length_ok = top_k is None or (type(top_k) is int and 0 < top_k <= MOST_ITEMS)
        if not length_ok or not isinstance(deterministic, bool):
            raise ContractError(
                f"{self.url}/fit declares top_k={_short(top_k)} and deterministic={_short(deterministic)}.",
                hint="The one is the length of the lists, or null for scores; the other true or false.",
            )
        return RemoteModel(
            service=self, model=model, num_items=train.shape[1],
            capabilities=Capabilities(top_k=top_k, deterministic=deterministic),
        )  # fmt: skip

    def parse(self, reply: bytes) -> dict[str, Any]:
        """A JSON object."""
        try:
            facts = json_value(reply.decode())
        except ValueError as error:
            raise ContractError(f"{self.url} replied {reply[:80]!r}, which is no JSON object ({error}).") from None
        if not isinstance(facts, dict):
            raise ContractError(f"{self.url} replied {reply[:80]!r}, which is no JSON object.")
        return facts


def _short(value: object) -> str:
    """A value of a reply for a message, whatever it is."""
    text = str(value) if isinstance(value, (int, float)) else repr(value)
    return text if len(text) <= 80 else f"{text[:80]}..."


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
        service, top_k = self.service, self.capabilities.top_k
        each = 8 if top_k is None else min(top_k, self.num_items) / self.num_items * NUMBER_BYTES
        longest = int(len(users) * self.num_items * each) + SLACK
        reply, kind = post(
            service.url, "score", body, "application/json", longest=longest, seconds=service.score_timeout
        )
        source = f"{service.url}/score"
        if top_k is None:
            if kind == "application/json":
                raise ContractError(
                    f"{source} sent JSON.", hint="Lists need a top_k in the reply to /fit; scores are .npy."
                )
            return self._scores(reply, len(users), source)
        return self._lists(reply, users, min(top_k, self.num_items), source)

    def _scores(self, reply: bytes, rows: int, source: str) -> Array:
        try:
            scores = stored_array(io.BytesIO(reply), len(reply))
        except ValueError as error:
            raise ContractError(f"{source} sent no .npy ({str(error)[:200]}).") from None
        if scores.shape != (rows, self.num_items):
            raise ContractError(f"{source} sent {scores.shape}, not ({rows}, {self.num_items}).")
        if not (np.issubdtype(scores.dtype, np.floating) or np.issubdtype(scores.dtype, np.integer)):
            raise ContractError(f"{source} sent {scores.dtype}, not numbers.")
        if np.isnan(scores).any():
            raise ContractError(f"{source} sent NaN.", hint="Send -inf for items that cannot be scored.")
        return scores

    def _lists(self, reply: bytes, users: Array, longest: int, source: str) -> Array:
        parts = sum(map(reply.count, (b"[", b"{", b'"')))
        if parts > len(users) + SLACK:  # read, each takes many times the room of its two bytes
            raise ContractError(f"{source} sent {parts:,} lists, tables and texts, for {len(users)} users.")
        lists = self.service.parse(reply).get("items")
        if not isinstance(lists, list) or len(lists) != len(users) or not all(isinstance(each, list) for each in lists):
            raise ContractError(f"{source} did not send a list of items for each of {len(users)} users.")
        if max(map(len, lists), default=0) > longest:
            raise ContractError(f"{source} sent lists longer than its top_k={longest}.")
        table = np.full((len(users), longest), NONE, np.int64)
        for row, each in enumerate(lists):
            for item in each:
                if type(item) is not int:
                    raise ContractError(f"{source} sent lists of other things than item numbers.")
                if not NONE <= item < self.num_items:
                    raise ContractError(
                        f"{source}: item {_short(item)} of user {users[row]} is out of range: "
                        f"there are {self.num_items} items.",
                        hint="Items are the columns of the train matrix, from 0.",
                    )
            table[row, : len(each)] = each
        rows = np.arange(len(users))
        checked = check_lists(table, self.num_items, rows, source, names=users)
        return TopKLists(items=checked, num_items=self.num_items, capabilities=self.capabilities).score(rows)

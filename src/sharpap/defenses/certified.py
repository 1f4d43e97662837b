"""Certified bagging: a vote of many models, each trained on few users, from which a certificate can be read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from sharpap import progress
from sharpap.data.interactions import canonical_csr
from sharpap.defenses.bagging import Array
from sharpap.defenses.certificate import certify
from sharpap.errors import ConfigError
from sharpap.kernels import mask_rows, topk_scores
from sharpap.metrics.kept import Kept
from sharpap.recommenders import Recommender, Scorer
from sharpap.recommenders.calls import Timed, fit, score_blocks
from sharpap.seeds import derive_seed, rng
from sharpap.settings import Settings

_GATHERED = 64  # models whose votes are added up at once


@dataclass(frozen=True, kw_only=True)
class CertifiedBagging(Settings):
    """A vote of many models, each trained on a few users drawn at random, as PORE defines it (Jia et al. 2023).

    `defenses.certify` reads from its votes how many of a user's list stay whatever a number of fakes do. Only votes are kept,
    no models.

    Attributes:
        models: how many, T; a user is in about `models` x `users` / all of them, and that many votes are what a certificate is
            read from.
        users: s, how many users each is trained on: a number (int) or a share (float up to 1). Fewer are more robust and less
            accurate. With F fakes among n users about exp(-F s / n) of the models hold none, so that one number suits all sizes
            of data, as long as the fakes are a share of it.
        listed: N', items each model votes for: its best ones that the user does not have.

    Source: Jia, Liu, Hu and Gong 2023, *PORE: Provably robust recommender systems against data poisoning attacks*. Deviations:
    users are drawn by a random key each, so that fakes push others out of a model or leave it exactly as it was, which changes
    no probability; items without a vote and ties are ordered by the votes of all users, then by popularity. A user in no model
    gets that order.
    """

    models: int = 1000
    users: float | int = 60
    listed: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.listed < 1 or not self.users > 0 or (isinstance(self.users, float) and self.users > 1):
            raise ConfigError(
                f"listed={self.listed} must be 1 or more, users={self.users} a share above 0 up to 1 or a number of users."
            )

    def fit(self, recommender: Recommender, train: csr_array, valid: csr_array | None = None, *, seed: int) -> Votes:
        """See `Defense`. `models` trainings on `users` rows; O(models x users x listed) memory at most.

        Raises:
            ConfigError: the recommender reads the order of items.
        """
        if isinstance(recommender, Timed):
            raise ConfigError(
                f"CertifiedBagging trains on few rows, and {type(recommender.recommender).__name__} reads the order of items.",
                hint="Use another defence, or a recommender that does not.",
            )
        num_users, num_items = train.shape
        active = np.flatnonzero(np.diff(train.indptr))
        sample = self.users if isinstance(self.users, int) else max(1, round(self.users * len(active)))
        trials = np.zeros(num_users, dtype=np.int64)
        counts, part = csr_array((num_users, num_items), dtype=np.int64), []
        with progress.task("Training a vote", self.models) as task:
            for number in range(self.models):
                # A key for each row, whether it is active or not: those of the first rows are the same with more rows.
                keys = rng(seed, "certified", number).random(num_users)[active]
                members = np.sort(active[np.argsort(keys, kind="stable")[:sample]])
                trials[members] += 1
                rows = canonical_csr(csr_array(train[members]))
                held_out = None if valid is None else canonical_csr(csr_array(valid[members[members < valid.shape[0]]]))
                model = fit(recommender, rows, held_out, seed=derive_seed(seed, "certified", "model", number))
                part.append(_votes(model, rows, members, self.listed))
                if len(part) == _GATHERED or number == self.models - 1:
                    users, items = np.concatenate(part, axis=1)
                    ones = np.ones(len(users), dtype=np.int64)
                    counts, part = csr_array(counts + csr_array((ones, (users, items)), shape=train.shape)), []
                task.advance()
        return Votes(
            counts=counts, trials=trials, train=train, num_active=len(active),
            sample=min(sample, len(active)), listed=self.listed,
        )  # fmt: skip


@dataclass(frozen=True, eq=False, kw_only=True)
class Votes:
    """A trained `CertifiedBagging`.

    Attributes:
        counts: (num_users, num_items) how many models voted for an item.
        trials: (num_users,) how many models were trained with a user.
        train: what they were trained on.
        num_active: n, users with interactions.
        sample: s, users in each model.
        listed: N', votes of a model for a user.
    """

    counts: csr_array
    trials: Array
    train: csr_array
    num_active: int
    sample: int
    listed: int

    def score(self, users: Array) -> Array:
        """(len(users), num_items): share of a user's models that vote for an item, and less than half a vote for the rest."""
        votes = self.counts[users].toarray() + 0.5 * self._order()
        return votes / np.maximum(self.trials[users], 1)[:, None]

    def lists(self, k: int) -> csr_array:
        """(num_users, num_items) with a 1 for each user's k best items that the user does not have."""
        items = self.ranked(k)
        rows, places = np.nonzero(items >= 0)
        ones = np.ones(len(rows), dtype=np.int64)
        return canonical_csr(csr_array((ones, (rows, items[rows, places])), shape=self.train.shape))

    def ranked(self, k: int) -> Array:
        """(num_users, k) each user's k best items that the user does not have, best first; -1 where there is none, as for a
        user in no model.
        """
        found = np.full((len(self.trials), k), -1, dtype=np.int32)
        for part, scores in score_blocks(self, np.flatnonzero(self.trials), self.train.shape[1]):
            mask_rows(scores, part, self.train.indptr, self.train.indices)
            found[part, : scores.shape[1]] = topk_scores(scores, min(k, scores.shape[1]))[0]
        return found

    def kept(self, genuine: csr_array, ks: Sequence[int], *, attacked: bool) -> Kept:
        """The lists of genuine users, and unless fakes took part how much of them stays whatever fakes do (`certify`).

        Args:
            genuine: (n, m) training rows of genuine users; those with interactions are looked at, as `evaluate` does.
            ks: list lengths.
            attacked: fakes took part: nothing is certified.
        """
        users = np.flatnonzero(np.diff(genuine.indptr))
        fakes = () if attacked else _numbers(len(users))
        least = [certify(self, fakes, k=k).kept[users].T for k in ks if fakes]
        return Kept(
            ks=tuple(ks), fakes=fakes, lists=self.ranked(max(ks))[users],
            least=np.array(least, dtype=np.int16).reshape(len(ks), len(fakes), len(users)),
        )  # fmt: skip

    def _order(self) -> Array:
        """(num_items,) from 0 to below 1, no two alike."""
        num_items = self.train.shape[1]
        votes = np.bincount(self.counts.indices, self.counts.data, num_items)
        popularity = np.bincount(self.train.indices, minlength=num_items)
        order = np.empty(num_items)
        order[np.lexsort((-np.arange(num_items), popularity, votes))] = np.arange(num_items) / num_items
        return order


def _numbers(users: int) -> tuple[int, ...]:
    """Numbers of fakes up to a tenth of the users: every small one, then steps of a tenth."""
    most = max(1, users // 10)
    powers = range(1 + int(np.log(most) / np.log(1.1)))
    return tuple(sorted({round(1.1**power) for power in powers} | {most}))


def _votes(model: Scorer, rows: csr_array, members: Array, listed: int) -> Array:
    """(2, votes) users and items."""
    found = []
    for part, scores in score_blocks(model, np.arange(len(members)), rows.shape[1]):
        mask_rows(scores, part, rows.indptr, rows.indices)
        found.append(_best(scores, members[part], listed))
    return np.concatenate(found, axis=1)


def _best(scores: Array, users: Array, k: int) -> Array:
    """(2, found) users and their k best items; fewer where fewer can be scored."""
    items, _ = topk_scores(scores, min(k, scores.shape[1]))
    places = np.nonzero(items >= 0)
    return np.stack([users[places[0]], items[places]])

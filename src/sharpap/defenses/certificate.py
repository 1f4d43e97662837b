"""How much of a user's list stays whatever fake users do: the certificate of a vote of models (docs/defences.md)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from scipy.sparse import csr_array
from scipy.special import betainccinv, betaincinv, gammaln

from sharpap.errors import ConfigError
from sharpap.metrics.kept import CONFIDENCE

if TYPE_CHECKING:
    from sharpap.defenses.certified import Votes

Array = np.ndarray[Any, np.dtype[Any]]
Kind = Literal["these", "ideal"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Certificate:
    """What no fakes can take away.

    Attributes:
        fakes: numbers of fake users, ascending.
        kept: (num_users, len(fakes)) how many of a user's wanted items are among its k best, at least, with so many fakes or
            fewer; 0 for a user in no model.
        wanted: (num_users,) how many items were asked about.
        k: list length.
        confidence: with which all of `kept` hold together for one number of fakes.
        kind: of which vote it speaks, see `certify`.
    """

    fakes: tuple[int, ...]
    kept: Array
    wanted: Array
    k: int
    confidence: float
    kind: Kind

    @property
    def precision(self) -> Array:
        """(len(fakes),) certified share of the k places, mean over users with a wanted item."""
        return (self.kept[self.wanted > 0] / self.k).mean(0)

    @property
    def recall(self) -> Array:
        """(len(fakes),) certified share of the wanted items, mean over users with one."""
        asked = self.wanted > 0
        return (self.kept[asked] / self.wanted[asked, None]).mean(0)


def certify(
    votes: Votes, fakes: Sequence[int], *, k: int = 10, wanted: csr_array | None = None, confidence: float = CONFIDENCE,
    kind: Kind = "these",
) -> Certificate:  # fmt: skip
    """Read a certificate from the votes of models that were trained without fakes.

    The fakes may have any items, as many as they like; they cannot change the rows of others, and do not know who is in which
    model. One set of trained models serves every number of fakes.

    Args:
        votes: of `CertifiedBagging.fit`.
        fakes: numbers of fake users.
        k: list length.
        wanted: (num_users, num_items) the items to count, the test items for a certified precision and recall; None: the
            list that the vote gives each user.
        confidence: probability that everything that is said about one number of fakes is true, for all users together.
        kind: "ideal" is PORE's certificate: of the vote of infinitely many models, whose shares are known only up to an
            interval. "these" is of these very models: a user's votes are what they are, and chance is only which models the
            fakes fall into. It says more.

    Raises:
        ConfigError: fakes, k or confidence make no sense.

    Source: Jia et al. 2023 (PORE), theorem 1, with simultaneous Clopper-Pearson intervals (all items of all users). Deviations:
    the bound on the best items outside is taken over every number of them (PORE's code: one), probabilities are given that
    the user is in the model, and the certificate of "these" models is this project's.
    """
    if not fakes or min(fakes) < 0 or k < 1 or not 0 < confidence < 1:
        raise ConfigError(f"fakes={tuple(fakes)} must be 0 or more, k={k} 1 or more, confidence={confidence} below 1.")
    if kind not in ("these", "ideal"):
        raise ConfigError(f"kind={kind!r} is neither these nor ideal.")
    wanted = votes.lists(k) if wanted is None else wanted
    ordered = tuple(sorted(set(fakes)))
    num_users, num_items = votes.counts.shape
    known = np.flatnonzero(votes.trials)
    if kind == "ideal":
        alpha = (1 - confidence) / (len(known) * num_items)
    else:
        alpha = (1 - confidence) / (votes.counts.nnz + len(known))
    bounds = [_ideal(votes, each, alpha) if kind == "ideal" else _these(votes, each, alpha) for each in ordered]
    kept = np.zeros((num_users, len(ordered)), dtype=np.int64)
    for user in known:
        mine = slice(votes.counts.indptr[user], votes.counts.indptr[user + 1])
        items = votes.counts.indices[mine]
        own = votes.train.indices[votes.train.indptr[user] : votes.train.indptr[user + 1]]
        asked = np.setdiff1d(wanted.indices[wanted.indptr[user] : wanted.indptr[user + 1]], own)
        inside = np.isin(items, asked)
        silent = num_items - len(own) - len(asked) - int((~inside).sum())  # items outside without a vote
        for place, bound in enumerate(bounds):
            low, high = bound.low[mine][inside], bound.high[mine][~inside]
            rest = np.full(min(max(silent, 0), k), bound.silent[user])
            outside = -np.sort(-np.concatenate([high, rest]))[:k]
            # What holds with more fakes holds with fewer: no more is promised than with fewer of them.
            most = kept[user, place - 1] if place else k
            kept[user, place] = certain(-np.sort(-low), outside, bound.fake[user], votes.listed, k, most)
            if not kept[user, place]:
                break
    asked = np.diff(wanted.indptr)
    return Certificate(fakes=ordered, kept=kept, wanted=asked, k=k, confidence=confidence, kind=kind)


def certain(low: Array, outside: Array, fake: float, listed: int, k: int, most: int | None = None) -> int:
    """How many of the wanted items are among the k best, at least: the largest r whose opposite cannot be.

    If fewer than r were, one of the r with the largest `low` would stand below k - r + 1 items from outside. Any c of these
    have together at most their `outside` and min(c, listed) votes of each model with a fake in it, so that the weakest of
    them has at most a c-th of that.

    Args:
        low: (w,) least support of the wanted items, descending.
        outside: (o,) most support of the items outside from models without fakes, descending, the k largest at least.
        fake: most support that models with fakes can give to one item.
        listed: items a model votes for.
        k: list length.
        most: no more than so many are asked for; None: all.
    """
    for r in range(min(k, len(low), k if most is None else most), 0, -1):
        rivals = outside[: k - r + 1]
        if len(rivals) < k - r + 1:
            return r
        count = np.arange(1, len(rivals) + 1)
        weakest = ((np.cumsum(rivals[::-1]) + np.minimum(count, listed) * fake) / count).min()
        if low[r - 1] > weakest:
            return r
    return 0


def clean_share(active: int, sample: int, fakes: int) -> float:
    """The chance that a model of `sample` users, drawn from `active` genuine and `fakes` fake ones, has no fake in it."""
    if sample > active:
        return float(fakes == 0)
    return float(np.exp(_log_choose(active, sample) - _log_choose(active + fakes, sample)))


def intervals(counts: Array, trials: Array, alpha: float) -> tuple[Array, Array]:
    """Clopper-Pearson: the least and the most that a probability can be, each wrong with a chance of at most `alpha`."""
    low = np.where(counts > 0, betaincinv(np.maximum(counts, 1), trials - counts + 1, alpha), 0.0)
    high = np.where(counts < trials, betainccinv(counts + 1, np.maximum(trials - counts, 1), alpha), 1.0)
    return low, high


@dataclass(frozen=True, eq=False, kw_only=True)
class _Bounds:
    """Support with one number of fakes: low and high of each stored count, high of an item without a vote, and of fakes."""

    low: Array
    high: Array
    silent: Array
    fake: Array


def _ideal(votes: Votes, fakes: int, alpha: float) -> _Bounds:
    """In shares of the models that a user is in. Given that, the other users of a model are drawn from the others."""
    clean = clean_share(votes.num_active - 1, votes.sample - 1, fakes)
    low, high = intervals(votes.counts.data, _trials(votes), alpha)
    silent = intervals(np.zeros_like(votes.trials), votes.trials, alpha)[1]
    fake = np.full(len(votes.trials), 1 - clean)
    return _Bounds(low=clean * low, high=clean * high, silent=clean * silent, fake=fake)


def _these(votes: Votes, fakes: int, alpha: float) -> _Bounds:
    """In votes. Each model stays as it is with the same chance, or gets a fake and may keep the user."""
    from scipy.stats import binom  # here: it takes a second to import, and every use of the registry imports this file

    n = votes.num_active
    clean = clean_share(n, votes.sample, fakes)
    data = votes.counts.data
    each, at = np.unique(data, return_inverse=True)
    low, high = np.asarray(binom.ppf(alpha, each, clean)), np.asarray(binom.isf(alpha, each, clean))
    trials, of = np.unique(votes.trials, return_inverse=True)
    fake = np.asarray(binom.isf(alpha, trials, max(n / (n + fakes) - clean, 0.0)))
    return _Bounds(low=low[at], high=high[at], silent=np.zeros(len(votes.trials)), fake=fake[of])


def _trials(votes: Votes) -> Array:
    """For each stored count, how many models its user is in."""
    return np.repeat(votes.trials, np.diff(votes.counts.indptr))


def _log_choose(n: float, k: float) -> float:
    return float(gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1))

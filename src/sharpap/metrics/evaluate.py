"""One pass over a recommender's scores: exact ranks of the targets, and accuracy for genuine users."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from sharpap.errors import ContractError
from sharpap.kernels import hits, item_ranks, mask_rows, ranks_and_lists, recall_ndcg, stored, topk_scores
from sharpap.metrics.kept import Kept
from sharpap.metrics.reach import Reach
from sharpap.recommenders.base import FactorModel, Scorer
from sharpap.recommenders.calls import score_blocks
from sharpap.recommenders.capabilities import Capabilities, capabilities_of
from sharpap.threads import one_for_sums

Array = np.ndarray[Any, np.dtype[Any]]
OWNED = -1


@dataclass(frozen=True, eq=False, kw_only=True)
class Evaluation:
    """What one trained recommender does for genuine users.

    Attributes:
        targets: (t,) item numbers.
        ranks: (u, t) int64 0-based rank of each target for each evaluated user, training items left out of the ranking;
            `OWNED` where the user has the target in training. Ties go to the lower item number. An item scored -inf ranks
            last, behind all others; so does every item outside the list of a victim that gives only lists.
        recall, ndcg: k to the mean over users with held-out items; empty without held-out interactions, and without k that
            the victim's lists do not reach.
        valid_ndcg: the same on validation interactions; empty where nobody asked.
        num_users: evaluated users: those with at least one training interaction.
        num_test_users: those with a held-out one, too.
        capabilities: what the victim declares; ranks from its `top_k` on are unknown.
        reach: of a model trained without fakes, what any fakes could do; None where nobody asked, or no bound is known.
        kept: of a vote of models, its lists and what is certified of them; None for others.
    """

    targets: Array
    ranks: Array
    recall: dict[int, float]
    ndcg: dict[int, float]
    num_users: int
    num_test_users: int
    capabilities: Capabilities = field(default_factory=Capabilities)
    reach: Reach | None = None
    valid_ndcg: dict[int, float] = field(default_factory=dict)
    kept: Kept | None = None


@one_for_sums()
def evaluate(
    model: Scorer,
    genuine: csr_array,
    *,
    targets: tuple[int, ...] | Array,
    held_out: csr_array | None = None,
    valid: csr_array | None = None,
    ks: tuple[int, ...] = (10, 20, 50),
    capabilities: Capabilities | None = None,
) -> Evaluation:
    """Rank for every genuine user, in blocks of users.

    Args:
        model: trained on the genuine rows, followed by fake ones or not; only rows of genuine users are scored.
        genuine: (n, m) training interactions of genuine users.
        targets: item numbers whose ranks are wanted.
        held_out: (n, m) test interactions for Recall and NDCG; None: not computed.
        valid: (n, m) validation interactions, for NDCG on them, too; the lists are the same.
        ks: list lengths.
        capabilities: what the victim declares; None: what `model` itself declares.

    Raises:
        ContractError: the model returned scores of the wrong shape or type, or NaN, or other lists than it declares.
    """
    wanted = np.asarray(targets, dtype=np.int64)
    users = np.flatnonzero(np.diff(genuine.indptr))
    num_items = genuine.shape[1]
    can = capabilities_of(model) if capabilities is None else capabilities
    ks = tuple(sorted({min(k, num_items) for k in ks if can.reaches(k)}))
    longest = ks[-1] if (held_out is not None or valid is not None) and ks else 0
    ranks, lists = _look(model, genuine, users, wanted, longest, can)
    ranks[stored(genuine, wanted)[users]] = OWNED
    recall, ndcg, count = _accuracy(lists, users, held_out, ks)
    return Evaluation(
        targets=wanted, ranks=ranks, recall=recall, ndcg=ndcg, num_users=len(users), num_test_users=count,
        capabilities=can, valid_ndcg=_accuracy(lists, users, valid, ks)[1],
    )  # fmt: skip


def _accuracy(
    lists: Array, users: Array, held_out: csr_array | None, ks: tuple[int, ...]
) -> tuple[dict[int, float], dict[int, float], int]:
    """Recall and NDCG by k, and the number of users with held-out interactions, over whom they are means."""
    if held_out is None:
        return {}, {}, 0
    relevant = np.diff(held_out.indptr)[users].astype(np.int64)
    tested = relevant > 0
    count, recall, ndcg = int(tested.sum()), {}, {}
    if count and ks:
        found = hits(lists[tested], users[tested], held_out)
        for k in ks:
            recall[k], ndcg[k] = (float(part.sum()) / count for part in recall_ndcg(found, relevant[tested], k))
    return recall, ndcg, count


def _look(
    model: Scorer, genuine: csr_array, users: Array, wanted: Array, k: int, can: Capabilities
) -> tuple[Array, Array]:
    """(u, t) ranks and (u, k) lists: in tiles for finite factors, else in blocks of whole rows."""
    if isinstance(model, FactorModel) and can.top_k is None and _finite(model.user_factors, model.item_factors):
        return ranks_and_lists(model.user_factors, model.item_factors, wanted, k, exclude=genuine, users=users)
    num_items, done = genuine.shape[1], 0
    ranks, lists = np.empty((len(users), len(wanted)), np.int64), np.empty((len(users), k), np.int32)
    for part, scores in score_blocks(model, users, num_items):
        place = slice(done, done + len(part))
        done += len(part)
        if can.top_k is not None:
            _check_lists(scores, part, genuine, can.top_k, type(model).__name__)
        mask_rows(scores, part, genuine.indptr, genuine.indices)
        ranks[place] = item_ranks(scores, wanted)
        ranks[place][np.isneginf(scores[:, wanted])] = num_items
        if k:
            lists[place] = topk_scores(scores, k)[0]
    return ranks, lists


def _finite(*parts: Array) -> bool:
    return all(bool(np.isfinite(part).all()) for part in parts)


def _check_lists(scores: Array, users: Array, genuine: csr_array, top_k: int, name: str) -> None:
    """Lists are as long as declared, and hold nothing that a user has: with it taken out they would be too short to count."""
    listed = scores > -np.inf
    longest = int(listed.sum(1).max(initial=0))
    if longest > top_k:
        raise ContractError(f"{name} declares top_k={top_k} and lists {longest} items.")
    for row, user in enumerate(users):
        own = genuine.indices[genuine.indptr[user] : genuine.indptr[user + 1]]
        known = own[listed[row, own]]
        if len(known):
            raise ContractError(
                f"{name} lists item {known[0]} for user {user}, who has it in training.",
                hint="Leave a user's training items out of the list, and fill it up to its length with others.",
            )

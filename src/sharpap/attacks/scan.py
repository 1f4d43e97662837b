"""What the attack losses need of a full ranking: each user's best rivals, who owns a target, how many are hit already."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from sharpap.errors import BudgetError
from sharpap.kernels import mask_rows, stored, topk, topk_scores
from sharpap.surrogates.base import Embeddings
from sharpap.threat import Goal


@dataclass(frozen=True, eq=False, kw_only=True)
class Scan:
    """What the attack losses need to know about the full ranking, so that it is made once an epoch.

    Attributes:
        users: (u,) int64 rows that were scanned.
        rivals: (u, c) int64 best items a target competes with: neither owned by the user nor targets, best first; the best
            again where there are fewer. c is at least k.
        eligible: (u, t) 1.0 where the user does not own the target and there is a rival, in the embeddings' type.
        targets: (t,) int64.
        k: list length.
        hit_ratio: H@k on the surrogate: mean over targets of the share of eligible users with the target in the top k,
            each target alone against the rivals.
        won: (u, t) whether the user has the target in the top k in that way.
        sign: +1 to promote, -1 to demote.
        clean: (u, t) target scores of a surrogate trained without fakes, for objectives that compare with it.
        communities: (u,) int64 communities of the users, for objectives that ask for them.
    """

    users: Tensor
    rivals: Tensor
    eligible: Tensor
    targets: Tensor
    k: int
    hit_ratio: float
    won: Tensor
    sign: float
    clean: Tensor | None = None
    communities: Tensor | None = None

    @property
    def weights(self) -> Tensor:
        """(u, t) weights that average over eligible users, then over targets; they sum to 1."""
        return self.eligible / self.eligible.sum(0).clamp_min(1) / self.eligible.shape[1]


def check_movable(train: csr_array, goal: Goal) -> None:
    """Raise `BudgetError` where no ranking could change: no user of the goal lacks a target and has another item to be shown.

    O(interactions) time.
    """
    wanted = np.zeros(train.shape[1], dtype=bool)
    wanted[list(goal.targets)] = True
    rows = np.repeat(np.arange(train.shape[0]), np.diff(train.indptr))
    held = np.bincount(rows[wanted[train.indices]], minlength=train.shape[0])
    others = np.diff(train.indptr) - held
    movable = (held < wanted.sum()) & (others < train.shape[1] - wanted.sum())
    if not (movable.any() if goal.users is None else movable[goal.audience(train)].any()):
        raise BudgetError(
            "No user lacks a target and has another item that it competes with, so there is no ranking to change.",
            hint="Choose other targets.",
        )


def scan(
    embeddings: Embeddings, genuine: csr_array, goal: Goal, *, k: int, rivals: int, users: np.ndarray | None = None
) -> Scan:
    """The best rivals of the given users by inner product; `topk` says what it costs.

    None: the goal's audience, all that have an interaction where it names none. The others are nobody an evaluation counts,
    and a model knows nothing of them: with factors near 0 all their margins are near 0, where the attack losses are steepest.
    """
    U, V, targets = embeddings.users, embeddings.items, np.array(goal.targets)
    chosen = goal.audience(genuine) if users is None else users
    wanted = (U[torch.from_numpy(chosen)] @ V[torch.from_numpy(targets)].T).numpy()
    kept = min(max(rivals, k), genuine.shape[1])
    items, values = topk(U, V, kept, exclude=genuine, users=chosen, without=targets)
    free = np.isfinite(wanted) & ~stored(genuine, targets)[chosen]
    return _scan(chosen, goal, k, items, values, wanted, free, V.dtype)


def scan_scores(
    blocks: Iterable[tuple[np.ndarray, np.ndarray]], chosen: np.ndarray, genuine: csr_array, goal: Goal,
    *, k: int, rivals: int, dtype: torch.dtype,
) -> Scan:  # fmt: skip
    """The scan of any model: `blocks` are runs of the `chosen` users with their scores of all items, which are overwritten."""
    targets = np.array(goal.targets)
    kept = min(max(rivals, k), genuine.shape[1])
    parts = []
    for part, scores in blocks:
        wanted = scores[:, targets].copy()
        mask_rows(scores, part, genuine.indptr, genuine.indices)
        free = np.isfinite(scores[:, targets])
        scores[:, targets] = -np.inf
        parts.append((*topk_scores(scores, kept), wanted, free))
    items, values, wanted, free = (np.concatenate(each) for each in zip(*parts, strict=True))
    return _scan(chosen, goal, k, items, values, wanted, free, dtype)


def _scan(
    chosen: np.ndarray, goal: Goal, k: int, items: np.ndarray, values: np.ndarray, wanted: np.ndarray, free: np.ndarray,
    dtype: torch.dtype,
) -> Scan:  # fmt: skip
    """From lists of rivals, their scores, and the targets' scores and whether a user may be shown them."""
    if items.shape[1] < k:  # a catalogue shorter than the list: everything fits
        more = ((0, 0), (0, k - items.shape[1]))
        items, values = np.pad(items, more, constant_values=-1), np.pad(values, more, constant_values=-np.inf)
    won = (wanted > values[:, [k - 1]]) & free
    return Scan(
        users=torch.from_numpy(chosen),
        rivals=torch.from_numpy(np.where(items < 0, np.maximum(items[:, :1], 0), items).astype(np.int64)),
        eligible=torch.from_numpy(free & (items[:, :1] >= 0)).to(dtype),
        targets=torch.from_numpy(np.array(goal.targets)),
        k=k,
        hit_ratio=float((won.sum(0) / np.maximum(free.sum(0), 1)).mean()),
        won=torch.from_numpy(won),
        sign=1.0 if goal.direction == "promote" else -1.0,
    )

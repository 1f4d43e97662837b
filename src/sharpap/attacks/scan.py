"""One pass over all scores of a surrogate: who is near a hit, who owns a target, how many are hit already."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from sharpap.errors import BudgetError
from sharpap.kernels import mask_rows, score_blocks, topk_scores
from sharpap.surrogates.base import Embeddings
from sharpap.threat import Goal


@dataclass(frozen=True, eq=False, kw_only=True)
class Scan:
    """What the attack losses need to know about the full ranking, so that only one pass makes all scores.

    Attributes:
        users: (u,) int64 rows that were scanned.
        rivals: (u, c) int64 best items a target competes with: neither owned by the user nor targets, best first; the best
            again where there are fewer. c is at least k.
        eligible: (u, t) 1.0 where the user does not own the target and there is a rival, in the embeddings' type.
        targets: (t,) int64.
        k: list length.
        hit_ratio: H@k on the surrogate: mean over targets of the share of eligible users with the target in the top k,
            each target alone against the rivals.
        sign: +1 to promote, -1 to demote.
        clean: (u, t) target scores of a surrogate trained without fakes, for objectives that compare with it.
    """

    users: Tensor
    rivals: Tensor
    eligible: Tensor
    targets: Tensor
    k: int
    hit_ratio: float
    sign: float
    clean: Tensor | None = None

    @property
    def weights(self) -> Tensor:
        """(u, t) weights that average over eligible users, then over targets; they sum to 1."""
        return self.eligible / self.eligible.sum(0).clamp_min(1) / self.eligible.shape[1]


def check_movable(train: csr_array, goal: Goal) -> None:
    """Raise `BudgetError` where no ranking could change: no user lacks a target and has another item to be shown.

    O(interactions) time.
    """
    wanted = np.zeros(train.shape[1], dtype=bool)
    wanted[list(goal.targets)] = True
    rows = np.repeat(np.arange(train.shape[0]), np.diff(train.indptr))
    held = np.bincount(rows[wanted[train.indices]], minlength=train.shape[0])
    others = np.diff(train.indptr) - held
    if not ((held < wanted.sum()) & (others < train.shape[1] - wanted.sum())).any():
        raise BudgetError(
            "No user lacks a target and has another item that it competes with, so there is no ranking to change.",
            hint="Choose other targets.",
        )


def scan(
    embeddings: Embeddings, genuine: csr_array, goal: Goal, *, k: int, rivals: int, users: np.ndarray | None = None
) -> Scan:
    """Rank every item for the given users (None: all) in blocks; O(users m d) time, O(block + users rivals) memory."""
    chosen = np.arange(genuine.shape[0]) if users is None else users
    blocks = score_blocks(embeddings.users, embeddings.items, chosen)
    return scan_scores(blocks, chosen, genuine, goal, k=k, rivals=rivals, dtype=embeddings.items.dtype)


def scan_scores(
    blocks: Iterable[tuple[np.ndarray, np.ndarray]], chosen: np.ndarray, genuine: csr_array, goal: Goal,
    *, k: int, rivals: int, dtype: torch.dtype,
) -> Scan:  # fmt: skip
    """The scan of any model: `blocks` are runs of the `chosen` users with their scores of all items, which are overwritten."""
    targets = np.array(goal.targets)
    kept = min(max(rivals, k), genuine.shape[1])
    best, hits, free_users = [], np.zeros(len(targets)), np.zeros(len(targets))
    eligible = np.ones((len(chosen), len(targets)), dtype=bool)
    done = 0
    for part, scores in blocks:
        wanted = scores[:, targets].copy()
        mask_rows(scores, part, genuine.indptr, genuine.indices)
        free = np.isfinite(scores[:, targets])
        scores[:, targets] = -np.inf
        items, values = topk_scores(scores, kept)
        if kept < k:  # a catalogue shorter than the list: everything fits
            items = np.pad(items, ((0, 0), (0, k - kept)), constant_values=-1)
            values = np.pad(values, ((0, 0), (0, k - kept)), constant_values=-np.inf)
        hits += ((wanted > values[:, [k - 1]]) & free).sum(0)
        free_users += free.sum(0)
        eligible[done : done + len(part)] = free & (items[:, :1] >= 0)
        done += len(part)
        best.append(np.where(items < 0, np.maximum(items[:, :1], 0), items))
    share = hits / np.maximum(free_users, 1)
    return Scan(
        users=torch.from_numpy(chosen),
        rivals=torch.from_numpy(np.concatenate(best).astype(np.int64)),
        eligible=torch.from_numpy(eligible).to(dtype),
        targets=torch.from_numpy(targets),
        k=k,
        hit_ratio=float(share.mean()),
        sign=1.0 if goal.direction == "promote" else -1.0,
    )

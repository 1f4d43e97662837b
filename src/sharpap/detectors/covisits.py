"""CoVisits: users who share a group of items that hardly anybody else combines."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from sharpap.detectors.base import Array
from sharpap.detectors.statistics import item_popularity
from sharpap.errors import ConfigError
from sharpap.kernels.pairs import best_pairs, leading
from sharpap.settings import Settings

BLOCK_ENTRIES = 4_000_000


@dataclass(frozen=True, kw_only=True)
class CoVisits(Settings):
    """Pairs of items that far more users share than chance explains, and who holds several of them.

    Fakes of one attack share its targets, whatever else they hold. Two items with d and e of U users are held together by
    d e / U of them by chance. What is surprising about n instead is the deviance 2 (n log(n U / d e) - n + d e / U), where n is
    more. A user's suspicion is the mean deviance of the best `pairs` pairs in the profile: ten pairs are five targets.

    Attributes:
        pairs: pairs of items that count for a user.
        partners: items of highest deviance that are kept for each item.
        common: items that more than this share of users has say nothing and are left out.

    Sources: Beutel, Xu, Guruswami et al. 2013, *CopyCatch: stopping group attacks by spotting lockstep behavior in social
    networks*, and Cao, Yang, Yu and Palow 2014, *Uncovering large groups of active malicious accounts in online social
    networks* (SynchroTrap): groups of users that do the same few things; Dunning 1993, *Accurate methods for the statistics
    of surprise and coincidence*, for the deviance. Deviations: both look for groups in time, which binary data need not
    have (`in_windows` for data that has it); a score for each user instead of groups; pairs of items instead of
    a search from seeds. Counts are made in blocks: O(nnz + items x partners + block) memory, time O(sum over users of the
    squared number of items that are not common). One target alone makes no pair: then only shared fillers are seen.
    """

    pairs: int = 10
    partners: int = 50
    common: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pairs < 1 or self.partners < 1 or not 0 < self.common <= 1:
            raise ConfigError(
                f"pairs={self.pairs} and partners={self.partners} must be 1 or more, common={self.common} in (0, 1]."
            )

    def suspicion(self, train: csr_array, *, seed: int) -> Array:
        """See `Detector`; nothing is random."""
        users = max(int((np.diff(train.indptr) > 0).sum()), 1)
        popularity = item_popularity(train)
        rare = np.flatnonzero((popularity > 1) & (popularity <= self.common * users))
        if len(rare) == 0:
            return np.zeros(train.shape[0])
        rows = csr_array(train[:, rare].astype(np.float64))
        columns = csr_array(rows.T)
        partners = np.full((len(rare), self.partners), -1)
        worth = np.zeros((len(rare), self.partners))
        known = popularity[rare]
        sizes = np.diff(rows.indptr)
        cost = np.concatenate([[0], np.cumsum(columns @ sizes.astype(np.float64))])  # bounds the entries of a block
        start = 0
        while start < len(rare):
            end = max(start + 1, int(np.searchsorted(cost, cost[start] + BLOCK_ENTRIES, side="right")) - 1)
            both = csr_array(columns[start:end] @ rows)
            expected = np.repeat(known[start:end], np.diff(both.indptr)) * known[both.indices] / users
            deviance = 2 * (both.data * np.log(both.data / expected) - both.data + expected)
            leading(both.indptr, both.indices, np.where(both.data > expected, deviance, 0.0), partners, worth, start)
            start = end
        return best_pairs(rows.indptr, rows.indices, partners, worth, self.pairs)


def in_windows(train: csr_array, times: Array, days: float, *, shifted: bool = False) -> csr_array:
    """The same users with a column for each item and window of time: what was done together was done at the same time.

    Any detector that looks for shared items then looks for bursts.

    Args:
        train: (num_users, num_items) CSR.
        times: (nnz,) seconds, aligned with `train.indices`.
        days: length of a window.
        shifted: windows begin half a window later, for bursts that lie on a border.

    Returns:
        (num_users, number of item and window pairs that occur) binary CSR.
    """
    if len(times) != train.nnz or not days > 0:
        raise ConfigError(f"{train.nnz} interactions came with {len(times)} times, and windows of {days} days.")
    span = days * 86_400.0
    window = np.floor((times - times.min(initial=np.inf)) / span + (0.5 if shifted else 0.0)).astype(np.int64)
    key = train.indices.astype(np.int64) * (int(window.max(initial=0)) + 1) + window
    columns = np.unique(key, return_inverse=True)[1]
    made = csr_array(
        (np.ones(train.nnz), columns, train.indptr), shape=(train.shape[0], int(columns.max(initial=-1)) + 1)
    )
    made.sort_indices()
    return made

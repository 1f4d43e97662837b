"""How good a detector's ranking of all users is, where it is known who is fake."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.stats import rankdata

Array = np.ndarray[Any, np.dtype[Any]]


def detection_auc(scores: Array, fake: Array) -> float:
    """Chance that a random fake user scores above a random genuine one, ties half: 0.5 is guessing; NaN without either.

    Args:
        scores: (num_users,) suspicion; -inf is not counted.
        fake: (num_users,) bool.
    """
    known = np.isfinite(scores)
    scores, fake = scores[known], fake[known]
    count = int(fake.sum())
    if count in (0, len(fake)):
        return float("nan")
    ranks = rankdata(scores)
    return float((ranks[fake].sum() - count * (count + 1) / 2) / (count * (len(fake) - count)))


def detection_average_precision(scores: Array, fake: Array) -> float:
    """Precision where each fake user is found, from the most suspicious down, as a mean over fakes; NaN without either.

    Users with one score are found together. Guessing gives about the share of fakes.

    Args:
        scores, fake: as in `detection_auc`.
    """
    known = np.isfinite(scores)
    scores, fake = scores[known], fake[known]
    if int(fake.sum()) in (0, len(fake)):
        return float("nan")
    order = np.argsort(-scores, kind="stable")
    scores, fake = scores[order], fake[order]
    last = np.append(scores[1:] != scores[:-1], True)  # of each score
    above, hits = np.flatnonzero(last) + 1, np.cumsum(fake)[last]
    return float(np.diff(hits, prepend=0) @ (hits / above) / hits[-1])


def detection_precision(scores: Array, fake: Array, n: int | None = None) -> float:
    """Share of fake users among the n most suspicious; users tied at the border count by their share of fakes.

    Args:
        scores, fake: as in `detection_auc`.
        n: None: as many as there are fakes. Guessing then gives their share of all users.
    """
    known = np.isfinite(scores)
    n = int(fake.sum()) if n is None else n
    scores, fake = scores[known], fake[known]
    n = min(n, len(scores))
    if n < 1:
        return float("nan")
    border = np.partition(scores, len(scores) - n)[len(scores) - n]
    above, tied = scores > border, scores == border
    return float((fake[above].sum() + (n - above.sum()) * fake[tied].mean()) / n)

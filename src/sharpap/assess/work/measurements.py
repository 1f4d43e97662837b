"""What is measured on one evaluation, as rows of the results."""

from __future__ import annotations

import numpy as np

from sharpap.assess.rows import ALL, Row
from sharpap.metrics import Evaluation, any_hit_ratio, hit_ratio, mean_rank, ndcg


def rows_of(
    found: Evaluation, clean: Evaluation | None, ks: tuple[int, ...], with_utility: bool, fakes: int = 0,
    segment: np.ndarray | None = None,
) -> list[Row]:  # fmt: skip
    """The measurements of one evaluation; `clean` gives the rank shift, `fakes` the number that bounds are for.

    `segment` are the rows of the evaluated users that the goal names, if it does. What the victim cannot tell is None.
    """
    rows: list[Row] = []
    can = found.capabilities

    def per_target(metric: str, k: int, values: np.ndarray | None) -> None:
        if values is None:
            rows.extend((metric, k, target, None) for target in (ALL, *map(int, found.targets)))
            return
        known = values[~np.isnan(values)]
        rows.append((metric, k, ALL, float(known.mean()) if len(known) else float("nan")))
        rows.extend((metric, k, int(t), float(v)) for t, v in zip(found.targets, values, strict=True))

    for k in ks:
        known = can.reaches(k)
        per_target("H", k, hit_ratio(found.ranks, k) if known else None)
        per_target("N", k, ndcg(found.ranks, k) if known else None)
        rows.append(("anyH", k, ALL, any_hit_ratio(found.ranks, k) if known else None))
        if segment is not None:
            per_target("segmentH", k, hit_ratio(found.ranks[segment], k) if known else None)
            per_target("segmentN", k, ndcg(found.ranks[segment], k) if known else None)
        if found.reach is not None and fakes <= found.reach.fakes[-1]:
            per_target("reach", k, found.reach.share(fakes, k))
    ranks = mean_rank(found.ranks) if can.top_k is None else None
    per_target("rank", 0, ranks)
    if clean is not None:
        both = ranks is not None and clean.capabilities.top_k is None
        per_target("rank_shift", 0, ranks - mean_rank(clean.ranks) if both else None)
    if found.kept is not None:
        rows += [(metric, k, ALL, value) for k in ks for metric, value in _kept(found, clean, k, fakes).items()]
    if with_utility:
        unknown = [k for k in ks if not can.reaches(k)] if found.num_test_users else []
        for metric, values in (("Recall", found.recall), ("NDCG", found.ndcg)):
            rows += [(metric, k, ALL, value) for k, value in values.items()]
            rows += [(metric, k, ALL, None) for k in unknown]
    return rows


def _kept(found: Evaluation, clean: Evaluation | None, k: int, fakes: int) -> dict[str, float]:
    """What is certified of a vote's lists with so many fakes; or what an attack with so many left of them."""
    kept, before = found.kept, clean and clean.kept
    if kept is None or not fakes:
        return {}
    if kept.fakes:
        return {"certified": kept.share(kept.certified(fakes, k), k)}
    if before is None:
        return {}
    stayed = before.stayed(kept, k)
    return {"stayed": before.share(stayed, k), "broken": float((stayed < before.certified(fakes, k)).sum())}

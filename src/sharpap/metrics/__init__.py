"""Numbers out: exposure of targets, accuracy for genuine users, intervals and paired tests."""

from sharpap.metrics.evaluate import Evaluation, evaluate
from sharpap.metrics.exposure import any_hit_ratio, hit_ratio, mean_rank, ndcg
from sharpap.metrics.reach import Reach, reach
from sharpap.metrics.visibility import detection_auc, detection_average_precision, detection_precision
from sharpap.significance import Interval, holm, interval, repetitions

__all__ = [
    "Evaluation", "Interval", "Reach", "any_hit_ratio", "detection_auc", "detection_average_precision", "detection_precision",
    "evaluate", "hit_ratio", "holm", "interval", "mean_rank", "ndcg", "reach", "repetitions",
]  # fmt: skip

"""Who looks like a fake user: detectors without labels, from the training data alone."""

from sharpap.detectors.base import Detector, RandomScores, most_suspicious, suspicion
from sharpap.detectors.fap import FAP
from sharpap.detectors.features import NAMES as FEATURE_NAMES
from sharpap.detectors.features import profile_features, user_embeddings
from sharpap.detectors.neighbours import DegSim
from sharpap.detectors.pca import PCAVarSelect
from sharpap.detectors.statistics import ProfilePopularity, ProfileSize, RarityDeviation, UnRAP

__all__ = [
    "FAP", "FEATURE_NAMES", "DegSim", "Detector", "PCAVarSelect", "ProfilePopularity", "ProfileSize", "RandomScores",
    "RarityDeviation", "UnRAP", "most_suspicious", "profile_features", "suspicion", "user_embeddings",
]  # fmt: skip

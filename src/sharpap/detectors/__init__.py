"""Who looks like a fake user, from the training data alone: detectors without labels, and some that simulate their own."""

from sharpap.detectors.base import Detector, RandomScores, most_suspicious, suspicion
from sharpap.detectors.codetector import CoDetector
from sharpap.detectors.fap import FAP
from sharpap.detectors.features import NAMES as FEATURE_NAMES
from sharpap.detectors.features import profile_features, user_embeddings
from sharpap.detectors.neighbours import DegSim
from sharpap.detectors.pca import PCAVarSelect
from sharpap.detectors.simulated import Simulating, Supervised
from sharpap.detectors.statistics import ProfilePopularity, ProfileSize, RarityDeviation, UnRAP
from sharpap.detectors.trained import DegreeSAD, ProfileClassifier, SemiSAD

__all__ = [
    "FAP", "FEATURE_NAMES", "CoDetector", "DegSim", "DegreeSAD", "Detector", "PCAVarSelect", "ProfileClassifier",
    "ProfilePopularity", "ProfileSize", "RandomScores", "RarityDeviation", "SemiSAD", "Simulating", "Supervised",
    "UnRAP", "most_suspicious", "profile_features", "suspicion", "user_embeddings",
]  # fmt: skip

"""Who looks like a fake user, from the training data alone: detectors without labels, and some that simulate their own."""

from sharpap.detectors.autoencoder import Autoencoder
from sharpap.detectors.base import Detector, RandomScores, most_suspicious, suspicion
from sharpap.detectors.codetector import CoDetector
from sharpap.detectors.covisits import CoVisits, in_windows
from sharpap.detectors.dense_block import DenseBlock
from sharpap.detectors.fap import FAP
from sharpap.detectors.features import NAMES as FEATURE_NAMES
from sharpap.detectors.features import profile_features, user_embeddings
from sharpap.detectors.neighbours import DegSim
from sharpap.detectors.outliers import IsolationForest, LocalOutlierFactor
from sharpap.detectors.pca import PCAVarSelect
from sharpap.detectors.simulated import Simulating, Supervised
from sharpap.detectors.statistics import ProfilePopularity, ProfileSize, RarityDeviation, UnRAP
from sharpap.detectors.trained import DegreeSAD, ProfileClassifier, SemiSAD

__all__ = [
    "FAP", "FEATURE_NAMES", "Autoencoder", "CoDetector", "CoVisits", "DegSim", "DegreeSAD", "DenseBlock", "Detector",
    "IsolationForest", "LocalOutlierFactor", "PCAVarSelect", "ProfileClassifier", "ProfilePopularity", "ProfileSize",
    "RandomScores", "RarityDeviation", "SemiSAD", "Simulating", "Supervised", "UnRAP", "in_windows", "most_suspicious",
    "profile_features", "suspicion", "user_embeddings",
]  # fmt: skip

"""Who looks like a fake user: detectors without labels, from the training data alone."""

from sharpap.detectors.base import Detector, suspicion
from sharpap.detectors.neighbours import DegSim
from sharpap.detectors.pca import PCAVarSelect
from sharpap.detectors.statistics import ProfilePopularity, ProfileSize, RarityDeviation, UnRAP

__all__ = [
    "DegSim", "Detector", "PCAVarSelect", "ProfilePopularity", "ProfileSize", "RarityDeviation", "UnRAP", "suspicion",
]  # fmt: skip

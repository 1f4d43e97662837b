"""Surrogates: models an attacker trains and differentiates, as pure functions of parameters and data."""

from sharpap.surrogates.als import ALSSurrogate
from sharpap.surrogates.base import Embeddings, Surrogate
from sharpap.surrogates.masked import MaskedWRMFSurrogate
from sharpap.surrogates.pairwise import PairwiseSurrogate
from sharpap.surrogates.passing import GradientPassing
from sharpap.surrogates.wrmf import WRMFSurrogate

__all__ = [
    "ALSSurrogate", "Embeddings", "GradientPassing", "MaskedWRMFSurrogate", "PairwiseSurrogate", "Surrogate", "WRMFSurrogate",
]  # fmt: skip

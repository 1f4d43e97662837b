"""Victims: recommenders trained from scratch on (poisoned) interactions."""

from sharpap.recommenders.base import FactorModel, Recommender, Scorer
from sharpap.recommenders.bpr import BPRMF, LightGCN
from sharpap.recommenders.popularity import Popularity
from sharpap.recommenders.wrmf import WRMF

__all__ = ["BPRMF", "WRMF", "FactorModel", "LightGCN", "Popularity", "Recommender", "Scorer"]

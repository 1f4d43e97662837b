"""Victims: recommenders trained from scratch on (poisoned) interactions."""

from sharpap.recommenders.base import FactorModel, Recommender, Scorer
from sharpap.recommenders.bpr import BPRMF
from sharpap.recommenders.capabilities import Capabilities, capabilities_of
from sharpap.recommenders.contrastive import SGL, SimGCL, XSimGCL
from sharpap.recommenders.graph import LightGCN
from sharpap.recommenders.gru4rec import GRU4Rec
from sharpap.recommenders.multvae import MultVAE
from sharpap.recommenders.neighbours import EASE, ItemKNN
from sharpap.recommenders.ngcf import NGCF
from sharpap.recommenders.pointwise import BiasedMF, NeuMF
from sharpap.recommenders.popularity import Popularity
from sharpap.recommenders.sasrec import SASRec
from sharpap.recommenders.vgcl import VGCL
from sharpap.recommenders.wrmf import WRMF

__all__ = [
    "BPRMF", "EASE", "NGCF", "SGL", "VGCL", "WRMF", "BiasedMF", "Capabilities", "FactorModel", "GRU4Rec", "ItemKNN",
    "LightGCN", "MultVAE", "NeuMF", "Popularity", "Recommender", "SASRec", "Scorer", "SimGCL", "XSimGCL", "capabilities_of",
]  # fmt: skip

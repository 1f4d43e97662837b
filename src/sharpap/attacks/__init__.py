"""Attacks: from training data, a goal and a budget to fake profiles."""

from sharpap.attacks.base import Attack, check_poison
from sharpap.attacks.clear import CLeaR
from sharpap.attacks.coattack import CoAttack
from sharpap.attacks.difficulty import DifficultyDiversity, EasyCommunities
from sharpap.attacks.dpa2dl import DPA2DL
from sharpap.attacks.feo import FEO
from sharpap.attacks.generators import AUSH, GOAT, GSAGAN, LegUP
from sharpap.attacks.genuine import CopyAttack, Probe
from sharpap.attacks.gsp import GSPAttack
from sharpap.attacks.heuristics import AverageAttack, Bandwagon, LoveHate, RandomAttack, ReverseBandwagon, Segment
from sharpap.attacks.objective import (
    CrossEntropy,
    Hinge,
    MeanScore,
    SmoothHits,
    WilcoxonMannWhitney,
)
from sharpap.attacks.poison import Poison
from sharpap.attacks.portfolio import Portfolio
from sharpap.attacks.power import PowerItem, PowerUser
from sharpap.attacks.rapu import RAPUR
from sharpap.attacks.revadv import RevAdv
from sharpap.attacks.step import MomentumStep, SwapStep
from sharpap.attacks.uba import UBA
from sharpap.attacks.worst_case import Identity, RandomDirection, SharpnessAware

__all__ = [
    "AUSH", "DPA2DL", "FEO", "GOAT", "GSAGAN", "RAPUR", "UBA", "Attack", "AverageAttack", "Bandwagon", "CLeaR", "CoAttack",
    "CopyAttack", "CrossEntropy", "DifficultyDiversity", "EasyCommunities", "GSPAttack", "Hinge", "Identity", "LegUP",
    "LoveHate", "MeanScore", "MomentumStep", "Poison", "Portfolio", "PowerItem", "PowerUser", "Probe", "RandomAttack",
    "RandomDirection", "RevAdv", "ReverseBandwagon", "Segment", "SharpnessAware", "SmoothHits", "SwapStep",
    "WilcoxonMannWhitney", "check_poison",
]  # fmt: skip

"""SharpAP: stress-test recommender systems against poisoning attacks, offline, on your own interaction data."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sharpap.adapters.command import CommandRecommender
    from sharpap.adapters.isolated import RecBoleRecommender, RecToolsRecommender
    from sharpap.adapters.remote import RemoteRecommender
    from sharpap.assess import Experiment, Results, run, stress_test
    from sharpap.assess.tune import tune
    from sharpap.attacks import DPA2DL, RAPUR, Bandwagon, Poison, RandomAttack, RandomDirection, RevAdv, SharpnessAware
    from sharpap.attacks.poison_io import load_poison, save_poison
    from sharpap.data import Dataset, Interactions, TargetPool, load, read_interactions, split, synthetic
    from sharpap.recommenders import (
        BPRMF,
        EASE,
        NGCF,
        SGL,
        VGCL,
        WRMF,
        BiasedMF,
        Capabilities,
        GRU4Rec,
        ItemKNN,
        LightGCN,
        MultVAE,
        NeuMF,
        Popularity,
        SASRec,
        SimGCL,
        XSimGCL,
    )
    from sharpap.surrogates import ALSSurrogate, MaskedWRMFSurrogate, PairwiseSurrogate, WRMFSurrogate
    from sharpap.threat import Budget, Goal
    from sharpap.tracking import track

__version__ = "0.1.0"
# Where each public name lives; imported on first use, so that `import sharpap` costs nothing.
_HOME = {
    "adapters.command": ("CommandRecommender",),
    "adapters.isolated": ("RecBoleRecommender", "RecToolsRecommender"),
    "adapters.remote": ("RemoteRecommender",),
    "assess": ("Experiment", "Results", "run", "stress_test"),
    "assess.tune": ("tune",),
    "attacks": ("DPA2DL", "RAPUR", "Bandwagon", "Poison", "RandomAttack", "RandomDirection", "RevAdv", "SharpnessAware"),
    "attacks.poison_io": ("load_poison", "save_poison"),
    "data": ("Dataset", "Interactions", "TargetPool", "load", "read_interactions", "split", "synthetic"),
    "recommenders": (
        "BPRMF", "EASE", "NGCF", "SGL", "VGCL", "WRMF", "BiasedMF", "Capabilities", "GRU4Rec", "ItemKNN", "LightGCN",
        "MultVAE", "NeuMF", "Popularity", "SASRec", "SimGCL", "XSimGCL",
    ),
    "surrogates": ("ALSSurrogate", "MaskedWRMFSurrogate", "PairwiseSurrogate", "WRMFSurrogate"),
    "threat": ("Budget", "Goal"),
    "tracking": ("track",),
}  # fmt: skip
_MODULE = {name: module for module, names in _HOME.items() for name in names}

__all__ = [
    "BPRMF", "DPA2DL", "EASE", "NGCF", "RAPUR", "SGL", "VGCL", "WRMF", "ALSSurrogate", "Bandwagon", "BiasedMF", "Budget",
    "Capabilities", "CommandRecommender", "Dataset", "Experiment", "GRU4Rec", "Goal", "Interactions", "ItemKNN", "LightGCN",
    "MaskedWRMFSurrogate", "MultVAE", "NeuMF", "PairwiseSurrogate", "Poison", "Popularity", "RandomAttack", "RandomDirection",
    "RecBoleRecommender", "RecToolsRecommender", "RemoteRecommender", "Results", "RevAdv", "SASRec", "SharpnessAware", "SimGCL",
    "TargetPool", "WRMFSurrogate", "XSimGCL", "load", "load_poison", "read_interactions", "run", "save_poison", "split",
    "stress_test", "synthetic", "track", "tune",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _MODULE:
        raise AttributeError(f"module 'sharpap' has no attribute {name!r}")
    return getattr(importlib.import_module(f"sharpap.{_MODULE[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

"""Names: what a recipe or `--set` may say, and which class it stands for."""

from __future__ import annotations

from typing import Any

from sharpap import attacks, recommenders
from sharpap.adapters.command import CommandRecommender
from sharpap.adapters.isolated import RecBoleRecommender, RecToolsRecommender
from sharpap.adapters.remote import RemoteRecommender
from sharpap.attacks import (
    AUSH,
    DPA2DL,
    FEO,
    GOAT,
    GSAGAN,
    RAPUR,
    UBA,
    AverageAttack,
    Bandwagon,
    CLeaR,
    CoAttack,
    CopyAttack,
    CrossEntropy,
    DifficultyDiversity,
    EasyCommunities,
    GSPAttack,
    Hinge,
    Identity,
    LegUP,
    LoveHate,
    MeanScore,
    MomentumStep,
    Portfolio,
    PowerItem,
    PowerUser,
    Probe,
    RandomAttack,
    RandomDirection,
    RevAdv,
    ReverseBandwagon,
    Segment,
    SharpnessAware,
    SmoothHits,
    SwapStep,
    WilcoxonMannWhitney,
)
from sharpap.attacks.objective import Objective
from sharpap.attacks.step import Step
from sharpap.attacks.worst_case import WorstCase
from sharpap.config import plugins
from sharpap.data import Columns, LeaveOneOut, RandomSplit, Split, TemporalSplit
from sharpap.defenses import (
    APR,
    APT,
    ASAM,
    AWP,
    RCE,
    SAM,
    TCE,
    VAT,
    Bagging,
    CertifiedBagging,
    Defended,
    Defense,
    Regularised,
    RemoveSuspicious,
)
from sharpap.detectors import (
    FAP,
    Autoencoder,
    CoDetector,
    CoVisits,
    DegreeSAD,
    DegSim,
    DenseBlock,
    Detector,
    IsolationForest,
    LocalOutlierFactor,
    PCAVarSelect,
    ProfileClassifier,
    ProfilePopularity,
    ProfileSize,
    RandomScores,
    RarityDeviation,
    SemiSAD,
    UnRAP,
)
from sharpap.recommenders import (
    BPRMF,
    EASE,
    NGCF,
    SGL,
    VGCL,
    WRMF,
    BiasedMF,
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
from sharpap.surrogates import (
    ALSSurrogate,
    GradientPassing,
    MaskedWRMFSurrogate,
    PairwiseSurrogate,
    Surrogate,
    WRMFSurrogate,
)

Names = dict[str, tuple[type, dict[str, Any]]]
# The surrogate of RevAdv's source, and this project's loss as it was before it counted long lists: what paper/ measures.
PAPER: dict[str, Any] = {
    "surrogate": {"name": "wrmf", "positive_weight": 20.0, "reg": 20.0},
    "objective": {"name": "smooth-hits"},
    "epochs": 60,
    "rivals": 50,
}
# The radius that everything with the papers' surrogate was measured with.
WIDE: dict[str, Any] = {"worst_case": {"name": "sharpness-aware", "rho": 0.05}}
RAPU_G: dict[str, Any] = PAPER | {"objective": {"name": "wilcoxon-mann-whitney"}, "known_share": 0.9}
DADA: dict[str, Any] = {"objective": {"name": "easy-communities"}}
DADA_ORIGINAL: dict[str, Any] = PAPER | {"objective": {"name": "difficulty-diversity"}}
PGA: dict[str, Any] = PAPER | {"objective": {"name": "mean-score"}, "surrogate": {"name": "als"}}
# Their own losses and steps, and one surrogate seed.
FIRST: dict[str, Any] = {"step": {"name": "momentum"}, "epochs": 30, "reseed": False}
ORIGINAL: dict[str, Any] = PAPER | {"objective": {"name": "cross-entropy"}} | FIRST
RAPU_G_ORIGINAL: dict[str, Any] = RAPU_G | FIRST | {
    "step": {"name": "momentum", "popularity_weight": 1.0}, "surrogate": {"name": "wrmf-masked", "unrolled_epochs": 20},
}  # fmt: skip
# With users held fixed, as its source has it, the mean score says nothing about fillers; a later port has cross-entropy.
PGA_ORIGINAL: dict[str, Any] = ORIGINAL | {"surrogate": {"name": "als", "gradient": "items"}}
FEO_ORIGINAL: dict[str, Any] = {"filler_limit": 1, "batch_size": 16_384}
PAIRWISE: dict[str, Any] = PAPER | {"objective": {"name": "smooth-hits", "bandwidth": 0.5}}
# For lists of fifty: fakes that share fillers, and a plain sum of counts, which lists of fifty decide.
ALIKE: dict[str, Any] = {
    "step": {"name": "swap", "group_size": 16},
    "chosen_by": "loss",
    "objective": {
        "name": "smooth-hits", "bandwidth": 0.15, "relative": True,
        "longer": 50, "longer_bandwidth": 0.6, "longer_share": 0.3,
    },
}  # fmt: skip
GRAPH: dict[str, Any] = {
    "name": "lightgcn", "layers": 3, "reg": 1e-4, "epochs": 60, "learning_rate": 0.05, "unrolled_epochs": 30,
}  # fmt: skip
ENSEMBLE: dict[str, Any] = PAPER | {
    "others": [GRAPH], "objective": {"name": "smooth-hits", "bandwidth": 0.45, "relative": True}, "epochs": 40,
}  # fmt: skip
# Each name is a class and the options it fixes; the first name of a class is the one `describe` writes.
REGISTRY: dict[str, Names] = {
    "attack": {
        "random": (RandomAttack, {}),
        "average": (AverageAttack, {}),
        "bandwagon": (Bandwagon, {}),
        "segment": (Segment, {}),
        "reverse-bandwagon": (ReverseBandwagon, {}),
        "love-hate": (LoveHate, {}),
        "power-user": (PowerUser, {}),
        "power-item": (PowerItem, {}),
        "copy": (CopyAttack, {}),
        "probe": (Probe, {}),
        "revadv": (RevAdv, {}),
        "sharpap": (RevAdv, {"worst_case": {"name": "sharpness-aware"}}),
        "revadv-alike": (RevAdv, ALIKE),
        "sharpap-alike": (RevAdv, ALIKE | {"worst_case": {"name": "sharpness-aware"}}),
        "revadv-ensemble": (RevAdv, ENSEMBLE),
        "sharpap-ensemble": (RevAdv, ENSEMBLE | WIDE),
        "portfolio": (Portfolio, {}),
        "revadv-paper": (RevAdv, PAPER),
        "sharpap-paper": (RevAdv, PAPER | WIDE),
        "revadv-als": (RevAdv, PAPER | {"surrogate": {"name": "als"}}),
        "sharpap-als": (RevAdv, PAPER | {"surrogate": {"name": "als"}, **WIDE}),
        "revadv-bpr": (RevAdv, PAIRWISE | {"surrogate": {"name": "bpr-mf"}}),
        "sharpap-bpr": (RevAdv, PAIRWISE | {"surrogate": {"name": "bpr-mf"}, **WIDE}),
        "revadv-lightgcn": (RevAdv, PAIRWISE | {"surrogate": {"name": "lightgcn"}}),
        "sharpap-lightgcn": (RevAdv, PAIRWISE | {"surrogate": {"name": "lightgcn"}, **WIDE}),
        "rapu-g": (RevAdv, RAPU_G),
        "rapu-g-sharpap": (RevAdv, RAPU_G | WIDE),
        "rapu-r": (RAPUR, {}),
        "dada": (RevAdv, DADA),
        "dada-sharpap": (RevAdv, DADA | {"worst_case": {"name": "sharpness-aware"}}),
        "dada-original": (RevAdv, DADA_ORIGINAL),
        "dada-original-sharpap": (RevAdv, DADA_ORIGINAL | WIDE),
        "pga": (RevAdv, PGA),
        "pga-sharpap": (RevAdv, PGA | WIDE),
        "coattack": (CoAttack, {}),
        "coattack-sharpap": (CoAttack, {"worst_case": {"name": "sharpness-aware"}}),
        "gradient-passing": (CoAttack, {"passing": {}}),
        "gradient-passing-sharpap": (CoAttack, {"passing": {}, "worst_case": {"name": "sharpness-aware"}}),
        "dpa2dl": (DPA2DL, {}),
        "dpa2dl-sharpap": (DPA2DL, WIDE),
        "feo": (FEO, {}),
        "feo-sharpap": (FEO, WIDE),
        "uba": (UBA, {}),
        "uba-sharpap": (UBA, {"attack": {"name": "sharpap"}}),
        "uba-retraining": (UBA, {"uplift": "retraining"}),
        "uba-retraining-sharpap": (UBA, {"uplift": "retraining", "attack": {"name": "sharpap"}}),
        "feo-original": (FEO, FEO_ORIGINAL),
        "feo-original-sharpap": (FEO, FEO_ORIGINAL | WIDE),
        "clear": (CLeaR, {}),
        "clear-sharpap": (CLeaR, WIDE),
        "gspattack": (GSPAttack, {}),
        "gspattack-sharpap": (GSPAttack, WIDE),
        "revadv-original": (RevAdv, ORIGINAL),
        "sharpap-original": (RevAdv, ORIGINAL | WIDE),
        "rapu-g-original": (RevAdv, RAPU_G_ORIGINAL),
        "rapu-g-original-sharpap": (RevAdv, RAPU_G_ORIGINAL | WIDE),
        "pga-original": (RevAdv, PGA_ORIGINAL),
        "pga-original-sharpap": (RevAdv, PGA_ORIGINAL | WIDE),
        "aush": (AUSH, {}),
        "goat": (GOAT, {}),
        "leg-up": (LegUP, {}),
        "leg-up-sharpap": (LegUP, {"worst_case": {"name": "sharpness-aware"}}),
        "leg-up-original": (LegUP, {"objective": {"name": "cross-entropy"}}),
        "leg-up-original-sharpap": (LegUP, {"objective": {"name": "cross-entropy"}, "worst_case": {"name": "sharpness-aware"}}),
        "gsa-gan": (GSAGAN, {}),
        "gsa-gan-sharpap": (GSAGAN, {"worst_case": {"name": "sharpness-aware"}}),
        "gsa-gan-original": (GSAGAN, {"objective": {"name": "mean-score"}}),
        "gsa-gan-original-sharpap": (GSAGAN, {"objective": {"name": "mean-score"}, "worst_case": {"name": "sharpness-aware"}}),
    },
    "victim": {
        "popularity": (Popularity, {}),
        "wrmf": (WRMF, {}),
        "wrmf-paper": (WRMF, {"embedding_size": 64, "positive_weight": 20.0, "reg": 20.0}),
        "bpr-mf": (BPRMF, {}),
        "lightgcn": (LightGCN, {}),
        "ngcf": (NGCF, {}),
        "sgl": (SGL, {}),
        "simgcl": (SimGCL, {}),
        "xsimgcl": (XSimGCL, {}),
        "vgcl": (VGCL, {}),
        "biased-mf": (BiasedMF, {}),
        "neumf": (NeuMF, {}),
        "mult-vae": (MultVAE, {}),
        "ease": (EASE, {}),
        "item-knn": (ItemKNN, {}),
        "item-knn-learnt": (ItemKNN, {"item_weights": "learnt"}),
        "sasrec": (SASRec, {}),
        "gru4rec": (GRU4Rec, {}),
        "recbole": (RecBoleRecommender, {}),
        "rectools": (RecToolsRecommender, {}),
        "command": (CommandRecommender, {}),
        "remote": (RemoteRecommender, {}),
        "defended": (Defended, {}),
    },
    "defense": {
        "remove": (RemoveSuspicious, {}),
        "bagging": (Bagging, {}),
        "certified-bagging": (CertifiedBagging, {}),
        "apt": (APT, {}),
        "t-ce": (TCE, {}),
        "r-ce": (RCE, {}),
        "regularised": (Regularised, {}),
        "apr": (APR, {}),
        "vat": (VAT, {}),
        "sam": (SAM, {}),
        "asam": (ASAM, {}),
        "awp": (AWP, {}),
    },
    "detector": {
        "random": (RandomScores, {}),
        "pca-varselect": (PCAVarSelect, {}),
        "deg-sim": (DegSim, {}),
        "fap": (FAP, {}),
        "degree-sad": (DegreeSAD, {}),
        "profile-classifier": (ProfileClassifier, {}),
        "semi-sad": (SemiSAD, {}),
        "codetector": (CoDetector, {}),
        "unrap": (UnRAP, {}),
        "rdma": (RarityDeviation, {}),
        "wdma": (RarityDeviation, {"kind": "wdma"}),
        "wda": (RarityDeviation, {"kind": "wda"}),
        "profile-popularity": (ProfilePopularity, {}),
        "profile-size": (ProfileSize, {}),
        "dense-block": (DenseBlock, {}),
        "co-visits": (CoVisits, {}),
        "autoencoder": (Autoencoder, {}),
        "isolation-forest": (IsolationForest, {}),
        "isolation-forest-embeddings": (IsolationForest, {"on": "embeddings"}),
        "local-outlier-factor": (LocalOutlierFactor, {}),
        "local-outlier-factor-embeddings": (LocalOutlierFactor, {"on": "embeddings"}),
    },
    "surrogate": {"wrmf": (WRMFSurrogate, {}), "wrmf-masked": (MaskedWRMFSurrogate, {}), "als": (ALSSurrogate, {}),
        "bpr-mf": (PairwiseSurrogate, {}),
        "lightgcn": (PairwiseSurrogate, {"layers": 3, "reg": 1e-4}),
    },
    "objective": {
        "smooth-hits": (SmoothHits, {}),
        "cross-entropy": (CrossEntropy, {}),
        "wilcoxon-mann-whitney": (WilcoxonMannWhitney, {}),
        "difficulty-diversity": (DifficultyDiversity, {}),
        "easy-communities": (EasyCommunities, {}),
        "hinge": (Hinge, {}),
        "mean-score": (MeanScore, {}),
    },
    "step": {"swap": (SwapStep, {}), "momentum": (MomentumStep, {})},
    "worst_case": {
        "identity": (Identity, {}),
        "sharpness-aware": (SharpnessAware, {}),
        "random-direction": (RandomDirection, {}),
    },
    "split": {"random": (RandomSplit, {}), "leave-one-out": (LeaveOneOut, {}), "temporal": (TemporalSplit, {})},
}  # fmt: skip
# A field annotated with one of these is built from a nested table or a name.
PROTOCOLS: dict[Any, str] = {
    attacks.Attack: "attack", recommenders.Recommender: "victim", Surrogate: "surrogate",
    Objective: "objective", Step: "step", WorstCase: "worst_case", Split: "split", Defense: "defense", Detector: "detector",
}  # fmt: skip
# These run what the recipe says, or send data where it says: built from a table only with permission (`objects.allowing`).
GUARDED: tuple[type, ...] = (CommandRecommender, RemoteRecommender)
# A field annotated with one of these is built from a nested table of its fields.
TABLES: tuple[type, ...] = (Columns, GradientPassing)


def lookup(kind: str, name: object, where: str) -> tuple[Any, dict[str, Any]]:
    """The class of a name and its fixed options; an unknown name is an error that suggests the nearest.

    Names of installed plugins count; their package is imported only for its own names.
    """
    names = REGISTRY[kind]
    known = plugins.known(kind, name, names, where)
    return names[known] if known in names else (plugins.load(kind, known), {})


def name_of(kind: str, made: object) -> str | None:
    """The first registered name of an object's class without fixed options, or None for a class of the user's own."""
    own = next((name for name, (cls, _) in REGISTRY[kind].items() if type(made) is cls), None)
    return own or plugins.name_of(kind, made)

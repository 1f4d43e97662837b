"""Interactions in: readers, splits, target pools, the dataset catalogue and a synthetic generator."""

from sharpap.data.catalogue.datasets import Options
from sharpap.data.catalogue.loading import entries, load
from sharpap.data.dataset import Dataset
from sharpap.data.form.column_names import Columns
from sharpap.data.groups import item_groups
from sharpap.data.inspection.profile import Profile, profile
from sharpap.data.interactions import Interactions
from sharpap.data.reading.read import core, read_interactions
from sharpap.data.split import LeaveOneOut, RandomSplit, Split, TemporalSplit, given, split
from sharpap.data.synthetic import synthetic
from sharpap.data.targets import TargetPool
from sharpap.data.writing.write import write_interactions

__all__ = [
    "Columns", "Dataset", "Interactions", "LeaveOneOut", "Options", "Profile", "RandomSplit", "Split", "TargetPool",
    "TemporalSplit", "core", "entries", "given", "item_groups", "load", "profile", "read_interactions", "split", "synthetic",
    "write_interactions",
]  # fmt: skip

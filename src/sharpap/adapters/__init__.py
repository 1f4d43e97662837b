"""Other people's recommenders as victims: objects, functions, torch modules, implicit, LensKit, Cornac.

Leaves: nothing in SharpAP needs this room, and each library is imported when its adapter trains.
"""

from sharpap.adapters.cornac import CornacModel
from sharpap.adapters.implicit import ImplicitModel
from sharpap.adapters.lenskit import LensKitModel
from sharpap.adapters.scorers import as_scorer
from sharpap.adapters.torch_module import TorchModel
from sharpap.adapters.wrap import FunctionRecommender, ObjectRecommender, adapt

__all__ = [
    "CornacModel", "FunctionRecommender", "ImplicitModel", "LensKitModel", "ObjectRecommender", "TorchModel", "adapt",
    "as_scorer",
]  # fmt: skip

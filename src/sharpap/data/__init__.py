"""Interactions in: readers, splits, target pools, the dataset catalogue and a synthetic generator.

The names stand in `__init__.pyi`. Each is imported on first use, so that looking at a file is quick.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

"""The grid of attacks and victims: plan, run, results.

The names stand in `__init__.pyi`. Each is imported on first use, so that reading results needs no model.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

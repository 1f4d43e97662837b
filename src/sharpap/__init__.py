"""SharpAP: stress-test recommender systems against poisoning attacks, offline, on your own interaction data.

The public names stand in `__init__.pyi`. Each is imported on first use, so that `import sharpap` costs nothing.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__version__ = "0.1.0"

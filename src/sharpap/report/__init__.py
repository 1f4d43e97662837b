"""Results to read: terminal tables and one self-contained HTML page.

The names stand in `__init__.pyi`. Each is imported on first use, so that a table on the terminal is quick.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

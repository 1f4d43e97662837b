"""What can be written down of objects that are not SharpAP's: enough to tell two of them apart."""

from __future__ import annotations

import functools
import hashlib
import inspect
import sys
from pathlib import Path
from typing import Any

PLAIN = (bool, int, float, str)


def facts(made: Any) -> dict[str, Any]:
    """Class or function by its full name, a hash of its source file, and its settings that are plain values."""
    if isinstance(made, functools.partial):
        return facts(made.func) | {str(key): value for key, value in made.keywords.items() if isinstance(value, PLAIN)}
    named = made if inspect.isroutine(made) or inspect.isclass(made) else type(made)
    module = getattr(named, "__module__", None) or ""
    settings = {} if named is made else getattr(made, "__dict__", {})
    plain = {key: value for key, value in settings.items() if not key.startswith("_") and isinstance(value, PLAIN)}
    source = _source(module)
    home = "__main__" if module == "__mp_main__" else module  # what a worker process calls the user's script
    return {"class": f"{home}:{named.__qualname__}"} | ({"source": source} if source else {}) | plain


@functools.cache
def _source(module: str) -> str:
    """Hash of a module's file, so that finished cells of an edited model are not taken for the new one's."""
    path = getattr(sys.modules.get(module), "__file__", None)
    if path is None or not Path(path).is_file():
        return ""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:16]

"""The boundary where strings become objects: registry, TOML, `--set`. What builds objects is imported on first use."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from sharpap.config.toml import override, read_toml

if TYPE_CHECKING:
    from sharpap.config.objects import allowing, build, construct, describe
    from sharpap.config.registry import REGISTRY

__all__ = ["REGISTRY", "allowing", "build", "construct", "describe", "override", "read_toml"]


def __getattr__(name: str) -> Any:
    if name in {"allowing", "build", "construct", "describe"}:
        return getattr(importlib.import_module("sharpap.config.objects"), name)
    if name == "REGISTRY":
        return importlib.import_module("sharpap.config.registry").REGISTRY
    raise AttributeError(f"module 'sharpap.config' has no attribute {name!r}")

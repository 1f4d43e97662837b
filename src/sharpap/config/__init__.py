"""The boundary where strings become objects: registry, TOML, `--set`."""

from sharpap.config.build import allowing, build, construct, describe, override, read_toml
from sharpap.config.registry import REGISTRY

__all__ = ["REGISTRY", "allowing", "build", "construct", "describe", "override", "read_toml"]

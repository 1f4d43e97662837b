"""The recipes that ship with SharpAP, and those in files, as tables."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

from sharpap.config.toml import read_toml
from sharpap.errors import ConfigError, suggest


def names() -> list[str]:
    """The recipes that ship with SharpAP."""
    folder = resources.files("sharpap") / "recipes"
    return sorted(
        f"{prefix}{entry.name.removesuffix('.toml')}"
        for prefix, inside in [
            ("", folder),
            *((f"{group.name}/", group) for group in folder.iterdir() if group.is_dir()),
        ]
        for entry in inside.iterdir()
        if entry.name.endswith(".toml")
    )


def read_recipe(source: str | Path) -> dict[str, Any]:
    """A recipe by name or path."""
    path = Path(source)
    if str(source) in names() and not path.is_file():
        with resources.as_file(resources.files("sharpap") / "recipes" / f"{source}.toml") as inside:
            return read_toml(inside)
    if not path.exists():
        raise ConfigError(f"There is no recipe and no file {str(source)!r}.", hint=suggest(str(source), names()))
    return read_toml(path)

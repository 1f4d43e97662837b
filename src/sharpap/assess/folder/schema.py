"""What provenance.json and config.toml of a results folder must hold where tables, pages or a later run ask for it.

Keys that are not named here may hold anything: nothing reads them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from sharpap.assess.tables.cliff import Cliffs
from sharpap.assess.tables.promises import Promises

MOST = 1e15  # what is measured stays far below
_Whole = Annotated[int, Field(strict=True, ge=0, le=2**53)]
_Number = Annotated[float, Field(strict=True, ge=-MOST, le=MOST)]
_Bool = Annotated[bool, Field(strict=True)]
_ABSENT: Any = None  # where a key may be missing, but not null; defaults are not checked
_Tables = dict[str, dict[str, Any]]


@dataclass
class _Dataset:
    name: str
    fingerprint: str
    users: _Whole
    items: _Whole
    train: _Whole
    source: dict[str, Any]


@dataclass
class _Machine:
    python: str
    platform: str
    processor: str
    cpus: _Whole | None
    versions: dict[str, str | None]
    git_revision: str | None
    gpu: str | None = None


@dataclass
class _Capabilities:
    top_k: _Whole | None
    deterministic: _Bool


@dataclass
class _Genuine:
    popularity: Annotated[list[_Whole], Field(min_length=20, max_length=20)]
    size_percentiles: Annotated[list[_Number], Field(min_length=101, max_length=101)]


@dataclass
class _Crafted:
    popularity: Annotated[list[Annotated[list[_Whole], Field(min_length=20, max_length=20)]], Field(min_length=1)]
    sizes: list[_Whole]
    history: list[list[dict[str, Any]]]
    seconds: list[_Number] = field(default_factory=list)


@dataclass
class _Target:
    label: str
    interactions: _Whole


@dataclass
class _Figures:
    genuine: _Genuine | None
    attacks: dict[str, _Crafted]
    targets: dict[str, _Target]


@dataclass
class _Provenance:
    """What tables and pages show of provenance.json; other keys may hold anything."""

    started: str = "2026-01-01"
    wall_seconds: _Number = _ABSENT
    peak_memory_mib: _Whole | None = None
    interrupted: _Bool = False
    dataset: _Dataset = _ABSENT
    machine: _Machine = _ABSENT
    capabilities: dict[str, _Capabilities] = field(default_factory=dict)
    figures: _Figures = _ABSENT
    reach: Cliffs = _ABSENT
    promises: Promises = _ABSENT


@dataclass
class _Targets:
    draws: _Whole = 1


@dataclass
class _Config:
    """What tables and pages, and a run that goes on, ask of config.toml."""

    title: str = ""
    attacks: _Tables = field(default_factory=dict)
    victims: _Tables = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    budget: dict[str, Any] = field(default_factory=dict)
    targets: _Targets = field(default_factory=_Targets)
    reported: list[dict[str, Any]] = field(default_factory=list)
    direction: str = "promote"
    seed: Annotated[int, Field(strict=True)] = 0
    seeds: _Whole = 1
    ks: list[_Whole] = field(default_factory=list)


_PROVENANCES, _CONFIGS = TypeAdapter(_Provenance), TypeAdapter(_Config)


def check_config(found: Any) -> None:
    """Raise `ValueError`, with the place, for a config.toml that is not one."""
    _fits(_CONFIGS, found)
    for name, table in found.get("victims", {}).items():
        if not isinstance(table.get("recommender", {}), dict):
            raise ValueError(f"victims.{name}.recommender is no table")


def cliffs_in(provenance: dict[str, Any]) -> Cliffs | None:
    """The bounds by number of fakes; None where a run of an older version did not keep them, or none is known."""
    return _PROVENANCES.validate_python({"reach": provenance["reach"]}).reach if "reach" in provenance else None


def promises_in(provenance: dict[str, Any]) -> Promises | None:
    """What votes promise by number of fakes; None where no victim does."""
    known = {"promises": provenance["promises"]} if "promises" in provenance else {}
    return _PROVENANCES.validate_python(known).promises if known else None


def check_provenance(found: Any) -> None:
    """Raise `ValueError`, with the place, for a provenance.json that is not one."""
    _fits(_PROVENANCES, found)
    if "wall_seconds" in found and "machine" not in found:
        raise ValueError("it names a time, but no machine")
    try:
        datetime.fromisoformat(found.get("started", "2026-01-01"))
    except ValueError:
        raise ValueError("started is no time") from None


def first(error: Exception) -> str:
    """Where a record does not have the form it should, and why, in a line."""
    if not isinstance(error, ValidationError):
        return str(error).splitlines()[0][:300] if str(error) else type(error).__name__
    found = error.errors(include_url=False, include_context=False, include_input=False)[0]
    place = ".".join(map(str, found["loc"])) or "the whole"
    return f"{place[:100]}: {found['msg'][:1].lower()}{found['msg'][1:200]}"


def _fits(form: TypeAdapter[Any], value: Any) -> None:
    try:
        form.validate_python(value)
    except ValidationError as error:
        raise ValueError(first(error)) from None

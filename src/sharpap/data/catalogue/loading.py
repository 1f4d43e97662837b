"""`load`: a dataset by the name it has in the catalogue, whose files are found or fetched, or from a file of the user's."""

from __future__ import annotations

import difflib
import inspect
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import platformdirs

from sharpap import progress
from sharpap.data.catalogue import cache
from sharpap.data.catalogue.datasets import ENTRIES, Entry, Options, split_as_asked
from sharpap.data.dataset import Dataset
from sharpap.data.generated import synthetic
from sharpap.data.reading.read import read_interactions
from sharpap.data.splitting import given
from sharpap.errors import ConfigError, DownloadError, SharpAPError, StorageError
from sharpap.folders import check, claim

_SHAPE = frozenset(name for name in inspect.signature(synthetic).parameters if name != "seed")


def load(source: str | Path | Any, **options: Any) -> Dataset:
    """A dataset by catalogue name, by path, or from a frame or matrix.

    Args:
        source: a name of `entries()`, a path, or anything `read_interactions` takes.
        **options: fields of `Options`; for "synthetic" also the arguments of `synthetic`.

    Raises:
        ConfigError: an unknown name. DownloadError: the files could not be had. DataError: they cannot be read.
    """
    shape = {key: options.pop(key) for key in list(options) if key in _SHAPE and source == "synthetic"}
    try:
        chosen = Options(**options)
    except TypeError:
        unknown = sorted(set(options) - set(Options.__dataclass_fields__))
        raise ConfigError(
            f"Unknown data option {', '.join(unknown)}.",
            hint=f"Options: {', '.join([*(_SHAPE if source == 'synthetic' else ()), *Options.__dataclass_fields__])}.",
        ) from None
    if isinstance(source, str) and source in ENTRIES:
        entry = ENTRIES[source]
        if chosen.where is not None or chosen.missing is not None:
            raise ConfigError(
                f"where and missing choose rows of a file of your own, not of {source}.", hint="Leave them out."
            )
        if entry.prepare is None:
            if chosen.threshold is not None or chosen.k_core:
                raise ConfigError("Generated data has no ratings and no core.", hint="Leave out threshold and k_core.")
            return split_as_asked(synthetic(seed=chosen.seed, **shape), chosen, "synthetic")
        return entry.prepare(locate(entry), chosen)
    if isinstance(source, str) and not Path(source).exists() and not any(mark in source for mark in "/\\."):
        near = difflib.get_close_matches(source, ENTRIES, n=1)
        raise ConfigError(
            f"There is no dataset and no file {source!r}.",
            hint=f"Did you mean {near[0]}?" if near else f"Known datasets: {', '.join(ENTRIES)}; or give a path.",
        )
    return _own(source, chosen)


def entries() -> tuple[Entry, ...]:
    """All datasets of the catalogue."""
    return tuple(ENTRIES.values())


def cache_home() -> Path:
    """The user's cache of downloaded datasets."""
    return Path(platformdirs.user_cache_dir("sharpap")) / "data"


def locate(entry: Entry) -> Path:
    """The folder with an entry's files: SHARPAP_DATA_HOME, the user cache, then its downloads in order.

    What lies in the cache is checked against the checksums of its download; a damaged file is put aside and fetched again.
    A folder in its place that SharpAP did not make is read, and left alone.
    """
    tried = []
    home, folder = os.environ.get("SHARPAP_DATA_HOME"), cache_home() / entry.name
    if home and entry.found_in(Path(home) / entry.name):
        return Path(home) / entry.name
    broken = cache.damaged(folder) if (folder / cache.SUMS).is_file() or entry.found_in(folder) else []
    if entry.found_in(folder) and not broken:
        return folder
    tried += [str(Path(home) / entry.name)] if home else []
    try:
        if broken or entry.sources:
            check(folder, "dataset", broken)
    except SharpAPError as error:
        damage = f"{', '.join(broken)} in {folder} is no longer what was downloaded. " if broken else ""
        raise DownloadError(
            f"{damage}{error.message}", hint=f"Move {folder} away: {entry.name} is then fetched anew."
        ) from None
    if broken:
        cache.put_aside(folder, broken)
        damage = f"{', '.join(broken)} in {folder} is no longer what was downloaded"
        progress.event("warning", message=f"{damage}; it was put aside (*{cache.ASIDE}) and is fetched again.")
        tried.append(damage)
    else:
        tried.append(str(folder))
    foreign = cache.foreign(folder, [name for names in entry.files for name in names])
    for source in entry.sources:
        try:
            claim(folder, "dataset")
            source(folder)
        except (DownloadError, StorageError, OSError) as error:
            tried.append(error.message if isinstance(error, SharpAPError) else str(error))
        else:
            cache.seal(folder, foreign)
            return folder
    raise DownloadError(
        f"The files of {entry.name} are not at hand. Tried: " + "; ".join(tried) + ".",
        hint=f"Put {' and '.join(entry.files[0])} into $SHARPAP_DATA_HOME/{entry.name}, name a file of your own, "
        "or use --data synthetic.",
    )


def _own(source: Any, options: Options) -> Dataset:
    """The user's own data: one file to split, or train and test files."""
    name = Path(source).stem if isinstance(source, (str, Path)) else "data"
    shared = ("columns", "threshold", "format", "header", "separator", "duplicates", "bad_rows", "where", "missing")
    how = {name: getattr(options, name) for name in shared}
    if isinstance(source, (str, Path)) and Path(source).is_dir():
        source, options = Path(source) / "train.txt", replace(options, test=Path(source) / "test.txt")
    if options.test is not None:
        train, test = read_interactions(source, **how), read_interactions(options.test, **how)
        return given(train, test, seed=options.seed, name=name)
    return split_as_asked(read_interactions(source, **how), options, name)

"""The datasets of the catalogue: where the files of each are had, and how it is prepared and split; a new one goes here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from sharpap.data.catalogue.download import MARK, download, extract, wheel
from sharpap.data.dataset import Dataset
from sharpap.data.form.column_names import Columns
from sharpap.data.form.layout import Format
from sharpap.data.interactions import Interactions
from sharpap.data.reading.read import core, read_interactions
from sharpap.data.reading.sequences import read_sequences
from sharpap.data.reading.table import BadRows, Duplicates
from sharpap.data.splitting import LeaveOneOut, Split, given, split
from sharpap.errors import ConfigError
from sharpap.scratch import Scratch

ML100K_ZIP = ("https://files.grouplens.org/datasets/movielens/ml-100k.zip", "md5:0e33842e24a9c977be4e0107933c0723")
ML1M_ZIP = ("https://files.grouplens.org/datasets/movielens/ml-1m.zip", "md5:c4d9eecfca2ab87c1945afe126590906")
U_DATA = "sha256:06416e597f82b7342361e41163890c81036900f418ad91315590814211dca490"
INTER = "sha256:4edb74e2a81178c2ba9ff381495f754f996c4aea351b1272ca36b43da0935eff"
ITEM = "sha256:51d7cdf777ce5c0f5b32c1d947a4a81fe07d75e78abbe761e0cd4d0756064532"
LIGHTGCN = "https://raw.githubusercontent.com/gusye1234/LightGCN-PyTorch/947ca2b/data"
KGAT = "https://raw.githubusercontent.com/xiangwang1223/knowledge_graph_attention_network/c03737b/Data"
S3REC = "https://raw.githubusercontent.com/RUCAIBox/CIKM2020-S3Rec/2a81540/data"
MOVIELENS = "Harper and Konstan 2015, The MovieLens Datasets; research use, no redistribution without permission"


@dataclass(frozen=True, kw_only=True)
class Options:
    """How to read and split; what is None is the dataset's own default.

    Attributes:
        threshold, k_core: as in `read_interactions`.
        columns, format, header, separator, duplicates, bad_rows, where, missing: as there, for files of the user.
        split: a `Split`; None: 80/10/10 at random for each user, or the published or usual split where there is one.
        seed: of the split.
        test: a second file with the test part of the user's own data.
    """

    threshold: float | None = None
    k_core: int = 0
    columns: Columns | None = None
    format: Format | None = None
    header: bool | None = None
    separator: str | None = None
    duplicates: Duplicates = "merge"
    bad_rows: BadRows = "refuse"
    where: dict[str, Any] | None = None
    missing: float | list[float] | None = None
    split: Split | None = None
    seed: int = 0
    test: str | Path | None = None

    def __post_init__(self) -> None:
        if self.k_core < 0:
            raise ConfigError(f"k_core={self.k_core} must be 0 or positive.")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One dataset of the catalogue.

    Attributes:
        name, summary, terms: for `sharpap list`.
        files: any one of these sets of file names is enough.
        prepare: folder and options to `Dataset`; None: generated, not read.
        sources: ways to get the files into a folder, in order; each takes the folder.
    """

    name: str
    summary: str
    terms: str
    files: tuple[tuple[str, ...], ...] = ()
    prepare: Callable[[Path, Options], Dataset] | None = None
    sources: tuple[Callable[[Path], None], ...] = field(default=())

    def found_in(self, folder: Path) -> bool:
        """Whether the files are there."""
        return any(all((folder / name).is_file() for name in names) for names in self.files)


def from_grouplens(folder: Path, *, archive: tuple[str, str] = ML100K_ZIP, members: Any = None) -> None:
    """The official MovieLens archive."""
    url, checksum = archive
    kept = download(url, folder.parent / f"{MARK}{url.rsplit('/', 1)[-1]}", checksum)
    extract(kept, members or {"ml-100k/u.data": ("u.data", U_DATA), "ml-100k/u.item": ("u.item", "")}, folder)
    kept.unlink()


def from_recbole_wheel(folder: Path, *, pip_options: tuple[str, ...] = ()) -> None:
    """MovieLens-100K as it ships inside the recbole wheel: for where only a package registry is reachable."""
    inside = "recbole/dataset_example/ml-100k/ml-100k"
    with Scratch() as scratch:
        found = wheel("recbole==1.2.1", scratch, options=pip_options)
        members = {f"{inside}.inter": ("ml-100k.inter", INTER), f"{inside}.item": ("ml-100k.item", ITEM)}
        extract(found, members, folder)


def _ml1m_from_grouplens(folder: Path) -> None:
    from_grouplens(folder, archive=ML1M_ZIP, members={"ml-1m/ratings.dat": ("ratings.dat", "")})


def _from_repository(root: str, files: dict[str, str]) -> Callable[[Path], None]:
    def fetch(folder: Path) -> None:
        for file, checksum in files.items():
            download(f"{root}/{file}", folder / file, f"sha256:{checksum}")

    return fetch


def _ml100k(folder: Path, options: Options) -> Dataset:
    raw = folder / "u.data"
    made = read_interactions(
        raw if raw.is_file() else folder / "ml-100k.inter",
        threshold=4.0 if options.threshold is None else options.threshold,
    )
    made = replace(made, item_titles=_titles(folder, made), notes=made.notes)
    return split_as_asked(made, options, "ml-100k")


def _titles(folder: Path, made: Interactions) -> tuple[str, ...] | None:
    """Titles with years, from RecBole's or GroupLens's item file."""
    if (folder / "ml-100k.item").is_file():
        table = pl.read_csv(folder / "ml-100k.item", separator="\t", infer_schema=False, quote_char=None)
        known = {row[0]: f"{row[1]} ({row[2]})" if row[2] else row[1] for row in table.iter_rows()}
    elif (folder / "u.item").is_file():
        lines = (folder / "u.item").read_text("latin-1").splitlines()
        known = {fields[0]: fields[1] for fields in (line.split("|") for line in lines) if len(fields) > 1}
    else:
        return None
    return tuple(str(known.get(str(item), item)) for item in made.item_ids.tolist())


def _ml1m(folder: Path, options: Options) -> Dataset:
    if not (folder / "positives.parquet").is_file():
        made = read_interactions(folder / "ratings.dat", threshold=options.threshold or 4.0)
        return split_as_asked(made, options, "ml-1m")
    if options.threshold not in (None, 4.0):
        raise ConfigError(
            f"ml-1m with threshold={options.threshold:g}: the file at hand holds no ratings, only the pairs of 4 and 5.",
            hint=f"Put MovieLens-1M's ratings.dat into {folder}, without positives.parquet, or leave threshold out.",
        )
    frame = pl.read_parquet(folder / "positives.parquet")
    n, m = (1 + int(frame[side].to_numpy().max()) for side in ("user", "item"))
    parts = {
        str(key[0]): Interactions.from_pairs(
            part["user"].to_numpy(), part["item"].to_numpy(), user_ids=np.arange(n),
            item_ids=np.arange(m), notes={"rows": part.height, "threshold": 4.0},
        )[0]
        for key, part in frame.partition_by("split", as_dict=True).items()
    }  # fmt: skip
    return _given(parts["train"], parts["test"], parts["valid"], options, "ml-1m")


def _pair(name: str, train: str, test: str, **how: Any) -> Callable[[Path, Options], Dataset]:
    def prepare(folder: Path, options: Options) -> Dataset:
        parts = [read_interactions(folder / file, threshold=options.threshold, **how) for file in (train, test)]
        return _given(parts[0], parts[1], None, options, name)

    return prepare


def _given(train: Interactions, test: Interactions, valid: Interactions | None, options: Options, name: str) -> Dataset:
    """The published split, or a new one of everything where the user asks for it."""
    made = given(train, test, valid, cold_users="drop", seed=options.seed, name=name)
    if options.split is None and options.k_core < 2:
        return made
    matrix = made.train.matrix + made.valid.matrix + made.test.matrix
    ids = {"user_ids": made.train.user_ids, "item_ids": made.train.item_ids}
    return split_as_asked(Interactions.from_csr(matrix, notes=train.notes, **ids), options, name)


def _holdout(folder: Path, options: Options) -> Dataset:
    return split_as_asked(read_interactions(folder / "test.txt"), options, "amazon-book-holdout")


def _beauty(folder: Path, options: Options) -> Dataset:
    if options.threshold is not None:
        raise ConfigError("beauty has no ratings for a threshold.", hint="Leave it out.")
    file = next(folder / name for name in ("sequences.txt", "Beauty.txt") if (folder / name).is_file())
    return split_as_asked(read_sequences(file), replace(options, split=options.split or LeaveOneOut()), "beauty")


def split_as_asked(made: Interactions, options: Options, name: str) -> Dataset:
    """The core and the split that the options ask for."""
    if options.k_core > 1:
        made = core(made, options.k_core)
    return split(made, options.split, seed=options.seed, name=name)


_GOWALLA = {
    "train.txt": "0f086326b28a56c2e6dcb81d86ee72d4ccb7eed3a8d26788392356d8f51111cc",
    "test.txt": "099a2a73924e4b754dc6efd730d764f492321b53c38eb93298850c83acf57be3",
}
_AMAZON_BOOK = {
    "train.txt": "4d10106bb06a77e11df660429903c0067aeb85b86431807836b0d8b7edc30c38",
    "test.txt": "f47eff9d35fb95c07d74251a991478a84095ce6c5969b0dafcb4afe99fc716ec",
}
_BEAUTY = {"Beauty.txt": "226cce9c3105299ca0db9615d7d3fb32b3175e90da43100ae352599f0f0107b8"}
ENTRIES: dict[str, Entry] = {
    entry.name: entry
    for entry in (
        Entry(
            name="ml-100k",
            summary="MovieLens-100K, ratings of 4 and 5 as positives, 80/10/10 at random for each user",
            terms=MOVIELENS,
            files=(("u.data",), ("ml-100k.inter",)),
            prepare=_ml100k,
            sources=(from_grouplens, from_recbole_wheel),
        ),
        Entry(
            name="ml-1m",
            summary="MovieLens-1M, ratings of 4 and 5 as positives, the split of the file or 80/10/10",
            terms=MOVIELENS,
            files=(("positives.parquet",), ("ratings.dat",)),
            prepare=_ml1m,
            sources=(_ml1m_from_grouplens,),
        ),
        Entry(
            name="gowalla",
            summary="Gowalla check-ins, 10-core, the split of NGCF and LightGCN; a tenth of train as validation",
            terms="none stated by the repository of LightGCN-PyTorch",
            files=(("train.txt", "test.txt"),),
            prepare=_pair("gowalla", "train.txt", "test.txt"),
            sources=(_from_repository(f"{LIGHTGCN}/gowalla", _GOWALLA),),
        ),
        Entry(
            name="amazon-book",
            summary="Amazon-Book, 10-core, as KGAT filtered and split it; a tenth of train as validation",
            terms="none stated by the repository of KGAT (Wang et al. 2019)",
            files=(("train.txt", "test.txt"),),
            prepare=_pair("amazon-book", "train.txt", "test.txt"),
            sources=(_from_repository(f"{KGAT}/amazon-book", _AMAZON_BOOK),),
        ),
        Entry(
            name="amazon-book-holdout",
            summary="the test part of LightGCN's Amazon-Book alone, 80/10/10 at random for each user",
            terms="none stated by the repository of LightGCN-PyTorch",
            files=(("test.txt",),),
            prepare=_holdout,
        ),
        Entry(
            name="amazon-books-small",
            summary="Amazon Books, at least 5 interactions a user; pairs in both parts are removed from test",
            terms="none stated by the repository of revisit_adv_rec",
            files=(("train.csv", "test.csv"),),
            prepare=_pair("amazon-books-small", "train.csv", "test.csv"),
        ),
        Entry(
            name="beauty",
            summary="Amazon Beauty, 5-core, in time order; each user's last item for test, the one before for validation",
            terms="none stated by the repository of CIKM2020-S3Rec",
            files=(("sequences.txt",), ("Beauty.txt",)),
            prepare=_beauty,
            sources=(_from_repository(S3REC, _BEAUTY),),
        ),
        Entry(
            name="lastfm",
            summary="Last.fm listening counts, every count a positive; a tenth of train as validation",
            terms="none stated by the repository of LightGCN-PyTorch",
            files=(("data1.txt", "test1.txt"),),
            prepare=_pair("lastfm", "data1.txt", "test1.txt", format="tsv", header=False),
        ),
        Entry(
            name="synthetic",
            summary="generated: taste clusters, power-law items and users; any size",
            terms="none",
        ),
    )
}

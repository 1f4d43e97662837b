"""`sharpap results`: ask results folders, put two side by side, and take tables elsewhere."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from rich.table import Table
from rich.text import Text

from sharpap.assess import Results
from sharpap.assess.tables import summary
from sharpap.assess.tables.summary import CLEAN
from sharpap.cli.console import finite, loaded, stdout
from sharpap.errors import ConfigError, suggest
from sharpap.files import explained, replacing
from sharpap.report.latex import latex, shown
from sharpap.report.width import print_whole
from sharpap.significance import interval, repetitions
from sharpap.text import printable

SUFFIXES = (".csv", ".parquet", ".tex")
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")  # what spreadsheets take for the beginning of a formula


@dataclass(frozen=True, kw_only=True)
class Query:
    """Which measurements; an empty tuple stands for all.

    Attributes:
        attacks, victims, metrics: by name; the clean run is the attack "none".
        ks: list lengths; metrics without one (rank, rank_shift) are never left out.
    """

    attacks: tuple[str, ...] = ()
    victims: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    ks: tuple[int, ...] = ()

    def of(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The rows asked for; raises `ConfigError` for a name that is not there, with the nearest one."""
        for column, wanted in (("attack", self.attacks), ("victim", self.victims), ("metric", self.metrics)):
            known = frame[column].unique(maintain_order=True).to_list()
            for name in wanted:
                if name not in known:
                    raise ConfigError(f"There is no {column} {name!r} in these results.", hint=suggest(name, known))
            frame = frame.filter(pl.col(column).is_in(wanted)) if wanted else frame
        if self.ks:
            known = sorted(set(frame["k"]) - {0})
            if missing := set(self.ks) - set(known):
                raise ConfigError(f"These results have no K = {min(missing)}.", hint=f"They have {known}.")
            frame = frame.filter(pl.col("k").is_in([0, *self.ks]))
        return frame


def show_results(
    folders: list[Path], query: Query, *, shape: str, out: Path | None, overwrite: bool, as_json: bool
) -> None:
    """Print a table of results, or write it.

    Args:
        folders: results folders.
        query: which measurements.
        shape: "means" over target draws, "rows" as measured, "pivot" (a column a victim), "compare" (two folders), or "bound".
        out: .csv, .parquet or .tex; None: print.
        overwrite: replace `out`.
        as_json: print rows as JSON.
    """
    if out is not None and out.suffix not in SUFFIXES:
        raise ConfigError(f"--out {out} has no known suffix.", hint=f"Choose one of {', '.join(SUFFIXES)}.")
    if out is not None and out.exists() and not overwrite:
        raise ConfigError(f"{out} exists.", hint="Name another file, or pass --overwrite.")
    runs = _loaded(folders)
    if shape == "compare":
        table = compare(runs, query)
    elif shape == "bound":
        table = bounds(runs, query)
    elif shape == "rows":
        table = query.of(rows(runs))
    else:
        table = means(runs, query)
        table = pivot(table) if shape == "pivot" else table
    if out is not None:
        export(table, out)
        if as_json:
            print(json.dumps({"out": str(out), "rows": table.height}))
        else:
            stdout().print(f"{table.height} rows written to {out}", markup=False, highlight=False)
    elif as_json:
        print(json.dumps([finite(row) for row in table.iter_rows(named=True)]))
    else:
        numbers = next((place for place, kind in enumerate(table.dtypes) if kind.is_float()), table.width - 1)
        print_whole(stdout(), _terminal(table), labels=max(1, numbers))


def rows(runs: dict[str, Results]) -> pl.DataFrame:
    """All measurements of several runs: `Results.frame` with the run in front."""
    return pl.concat([made.frame.select(pl.lit(name).alias("run"), pl.all()) for name, made in runs.items()])


def means(runs: dict[str, Results], query: Query) -> pl.DataFrame:
    """Mean and 95 % interval over target draws (`summary.table`), and how many trainings failed."""
    asked = query.of(rows(runs))
    parts = []
    for name, made in runs.items():
        part = asked.filter(pl.col("run") == name)
        failed = made.cell_frame.group_by("attack", "victim").agg((pl.col("error") != "").sum().alias("failed"))
        attacks = [each for each in made.attacks if not query.attacks or each in query.attacks]
        victims = [each for each in made.victims if not query.victims or each in query.victims]
        for metric, k in part.select("metric", "k").unique(maintain_order=True).iter_rows():
            found = summary.table(part, attacks, victims, metric=metric, k=k)
            found = found if not query.attacks or CLEAN in query.attacks else found.filter(pl.col("attack") != CLEAN)
            found = found.join(failed, on=["attack", "victim"], how="left", maintain_order="left")
            head = [pl.lit(name).alias("run"), "attack", "victim", pl.lit(metric).alias("metric"), pl.lit(k).alias("k")]
            parts.append(found.select(*head, "mean", "low", "high", "n", "failed"))
    if not parts:
        raise ConfigError("These results hold no measurement.", hint="`sharpap report` says what failed.")
    return pl.concat(parts)


def bounds(runs: dict[str, Results], query: Query) -> pl.DataFrame:
    """Hits beside the bound on any attack (`cliff.beside_bound`); raises `ConfigError` where no bound is known."""
    found = pl.concat([made.beside_bound.select(pl.lit(name).alias("run"), pl.all()) for name, made in runs.items()])
    if not found.height:
        hint = "docs/reach.md says which recommenders have one. To measure it for an older run, give its command again."
        raise ConfigError("These results hold no bound on any attack.", hint=hint)
    return query.of(found.with_columns(metric=pl.lit("H"))).drop("metric")


def pivot(table: pl.DataFrame) -> pl.DataFrame:
    """`means` with a column a victim."""
    return table.pivot("victim", index=["run", "metric", "k", "attack"], values="mean", maintain_order=True)


def compare(runs: dict[str, Results], query: Query) -> pl.DataFrame:
    """The second run minus the first on the same targets and victim seeds, mean over draws.

    Raises:
        ConfigError: not two runs, or runs whose draws are no pairs: other data, targets or seed.
    """
    if len(runs) != 2:
        raise ConfigError(f"{len(runs)} results cannot be compared.", hint="Name two folders: before and after.")
    before, after = runs.values()
    data = [made.provenance.get("dataset", {}).get("fingerprint") for made in (before, after)]
    plans = [
        [{k: v for k, v in made.config.get("targets", {}).items() if k != "draws"}, made.config.get("seed", 0)]
        for made in (before, after)
    ]
    if data[0] != data[1] or plans[0] != plans[1]:
        what = "data" if data[0] != data[1] else "targets or seed"
        raise ConfigError(
            f"The two runs have different {what}, so their draws cannot be paired.", hint="Leave --compare out."
        )
    key = ["attack", "victim", "metric", "k", "draw", "seed"]
    first, second = (
        query.of(made.frame).filter(pl.col("target") == -1).drop_nulls("value") for made in (before, after)
    )
    both = first.join(second, on=key, suffix="_after", maintain_order="left")
    by = "draw" if both["draw"].n_unique() > 1 else "seed"
    found = []
    for (attack, victim, metric, k), part in both.group_by(key[:4], maintain_order=True):
        part = part.with_columns(change=pl.col("value_after") - pl.col("value")).filter(pl.col("change").is_not_nan())
        part = part.sort("draw", "seed")
        if part.height:
            change = interval(repetitions(*(part[name].to_numpy() for name in ("draw", "seed", "change")), by=by))
            sides = [part[name].mean() for name in ("value", "value_after")]
            found.append((attack, victim, metric, k, *sides, change.mean, change.low, change.high, change.p, change.n))
    if not found:
        raise ConfigError("The two runs have no attack and victim in common.")
    names = [*key[:4], "before", "after", "change", "low", "high", "p", "n"]
    return pl.DataFrame(found, schema=names, orient="row")


def export(table: pl.DataFrame, path: Path) -> None:
    """Write a table by the suffix of `path`.

    In .csv, a text that a spreadsheet would take for a formula gets an apostrophe in front; .tex is a tabular for booktabs.
    In both, control and format characters of names are escapes. Parquet keeps names as they are.
    """
    with explained(path.parent), replacing(path) as temporary:
        if path.suffix == ".parquet":
            table.write_parquet(temporary)
        elif path.suffix == ".csv":
            safe = table.with_columns(pl.col(pl.String).map_elements(_cell, return_dtype=pl.String))
            with temporary.open("w", encoding="utf-8", newline="") as file:
                csv.writer(file, lineterminator="\n").writerow(map(_cell, table.columns))  # two may become one
                file.write(safe.write_csv(include_header=False))
        else:
            temporary.write_text(latex(table), "utf-8")


def _cell(text: str) -> str:
    return ("'" if text.startswith(FORMULA) else "") + printable(text)


def _loaded(folders: list[Path]) -> dict[str, Results]:
    """Runs by the name of their folder, or by its path where two are called the same."""
    names = [folder.resolve().name for folder in folders]
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise ConfigError("A results folder is named twice.")
    return {
        name if names.count(name) == 1 else str(folder): loaded(folder)
        for name, folder in zip(names, folders, strict=True)
    }


def _terminal(table: pl.DataFrame) -> Table:
    drawn = Table()
    for name, kind in table.schema.items():
        drawn.add_column(Text(printable(name)), justify="left" if kind == pl.String else "right")
    for row in table.iter_rows():
        drawn.add_row(*(Text(printable(shown(value, "–"))) for value in row))
    return drawn

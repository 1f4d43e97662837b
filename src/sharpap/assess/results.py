"""`Results`: the measured grid as one long table, with its poisons and provenance."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from sharpap.assess.folder.load import load
from sharpap.assess.folder.schema import cliffs_in, promises_in
from sharpap.assess.rows import CELL_SCHEMA, SCHEMA, Cell, Row
from sharpap.assess.tables import summary
from sharpap.assess.tables.cliff import Cliffs, beside_bound
from sharpap.assess.tables.landscape import Landscape, transfer_drops
from sharpap.assess.tables.promises import Promises
from sharpap.assess.tables.reported import Reported, compare
from sharpap.assess.tables.summary import CLEAN, leading_k
from sharpap.config import construct
from sharpap.errors import ConfigError
from sharpap.significance import holm

if TYPE_CHECKING:
    from sharpap.attacks import Poison
    from sharpap.data import Dataset


@dataclass(eq=False, kw_only=True, repr=False)
class Results:
    """What an assessment found.

    Attributes:
        dataset: the data, or None when loaded from a folder.
        config: the recipe that gave these results.
        rows: one tuple a measurement, in the order of `SCHEMA`.
        cells: every victim training.
        poisons: (attack, draw) to its profiles.
        sharpness: the loss landscape of each poison, where the experiment asks for it.
        provenance: versions, machine, data, time, and the figures of the data that the report draws.
    """

    dataset: Dataset | None
    config: dict[str, Any]
    rows: list[tuple[Any, ...]] = field(default_factory=list)
    cells: list[Cell] = field(default_factory=list)
    poisons: dict[tuple[str, int], Poison] = field(default_factory=dict)
    sharpness: list[Landscape] = field(default_factory=list)
    provenance: dict[str, Any] = field(default_factory=dict)
    _frame: pl.DataFrame | None = field(default=None, init=False, repr=False)

    @classmethod
    def empty(cls, dataset: Dataset, config: dict[str, Any]) -> Results:
        """Nothing measured yet."""
        return cls(dataset=dataset, config=config)

    def add(self, attack: str, victim: str, draw: int, seed: int, rows: list[Row]) -> None:
        """Record the measurements of one cell."""
        self.rows += [(attack, victim, draw, seed, *row) for row in rows]

    @property
    def frame(self) -> pl.DataFrame:
        """All measurements: attack ("none": clean), victim, draw, seed, metric, k, target (-1: mean over targets), value.

        Metrics: H, anyH, N (at k), rank and rank_shift (k = 0; 1-based, negative shift is upwards), where the goal names users
        segmentH and segmentN, H and N among them, and for genuine users Recall, NDCG (at k). The clean run's accuracy does not
        depend on the draw and stands under draw 0. Of a vote with a certificate, certified (of the clean run: share of a list
        that stays whatever so many fakes do), stayed (under attack: what did) and broken (users for whom less did). A null
        value is not available: the victim gives only lists, and shorter ones.
        """
        if self._frame is None or self._frame.height != len(self.rows):  # rows are only ever added
            self._frame = pl.DataFrame(self.rows, schema=SCHEMA, orient="row")
        return self._frame

    @property
    def cell_frame(self) -> pl.DataFrame:
        """All victim trainings with times and errors."""
        return pl.DataFrame([asdict(cell) for cell in self.cells], schema=CELL_SCHEMA)

    @property
    def costs(self) -> pl.DataFrame:
        """What the parts took where and when they were made, also in earlier calls: one row a victim, then one an attack.

        step ("training": with its evaluation; "crafting"), name, n, mean_seconds, total_seconds. Failed trainings are left
        out. Parts that ran side by side shared the machine, so that the sum is the time of one process, not of a clock.
        """
        parts = [
            ("training", cell.victim, cell.train_seconds + cell.evaluate_seconds)
            for cell in self.cells
            if not cell.error
        ]
        crafted = [(attack, poison.seconds) for (attack, _), poison in self.poisons.items()]
        if not crafted:  # read from a folder
            attacks = self.provenance.get("figures", {}).get("attacks", {})
            crafted = [(attack, each) for attack, facts in attacks.items() for each in facts.get("seconds", [])]
        parts += [("crafting", attack, seconds) for attack, seconds in crafted]
        schema = {"step": pl.String, "name": pl.String, "seconds": pl.Float64}
        return (
            pl.DataFrame(parts, schema=schema, orient="row")
            .group_by("step", "name", maintain_order=True)
            .agg(n=pl.len(), mean_seconds=pl.mean("seconds"), total_seconds=pl.sum("seconds"))
        )

    @property
    def attacks(self) -> list[str]:
        """Attacks in table order, without the clean run."""
        return [name for name in dict.fromkeys(cell.attack for cell in self.cells) if name != CLEAN]

    @property
    def victims(self) -> list[str]:
        """Victims in table order."""
        return list(dict.fromkeys(cell.victim for cell in self.cells))

    @property
    def ks(self) -> list[int]:
        """List lengths measured."""
        return sorted({row[5] for row in self.rows if row[5]})

    @property
    def main_k(self) -> int:
        """The list length that tables show where none is named: 10 where it was measured, else the shortest."""
        return leading_k(self.ks)

    def transfer_matrix(self, metric: str = "H", k: int | None = None) -> pl.DataFrame:
        """One row an (attack, victim): mean, low, high, n over target draws, at `k` or `main_k`; see `summary.table`."""
        return summary.table(self.frame, self.attacks, self.victims, metric=metric, k=self.main_k if k is None else k)

    def paired(
        self, attack: str = "sharpap", base: str = "revadv", metric: str = "H", k: int | None = None
    ) -> pl.DataFrame:
        """Paired difference of two attacks on every victim, at `k` or `main_k`; see `summary.paired`."""
        k = self.main_k if k is None else k
        for name in (attack, base):
            if name not in self.attacks and name != CLEAN:
                raise ConfigError(f"There is no attack {name!r} in these results.", hint=f"There are {self.attacks}.")
        return summary.paired(self.frame, self.victims, attack, base, metric=metric, k=k)

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Attacks with a worst case and their bases, by name: (sharpap, revadv), (X-sharpap, X), (sharpap-X, revadv-X)."""
        names = self.attacks
        bases = {
            name: name.removesuffix("-sharpap") if name.endswith("-sharpap") else name.replace("sharpap", "revadv", 1)
            for name in names
            if name.startswith("sharpap") or name.endswith("-sharpap")
        }
        return [(name, base) for name, base in bases.items() if base in names]

    @property
    def torn(self) -> set[tuple[str, str]]:
        """The (attack, victim) of which some training failed."""
        return {(cell.attack, cell.victim) for cell in self.cells if cell.error}

    @property
    def without_loss(self) -> list[str]:
        """Attacks that a worst case does not apply to, since they have no loss: by their settings, which name none."""
        tables = self.config.get("attacks", {})
        known = {name: tables[name] for name in self.attacks if "file" not in tables.get(name, {"file": ""})}
        return [name for name, table in known.items() if not _names(table, "worst_case")]

    def comparisons(self, metric: str = "H", k: int | None = None) -> pl.DataFrame:
        """`paired` for all `pairs`, with attack and base in front; Holm-corrected over all pairs and victims together."""
        k = self.main_k if k is None else k
        frame = self.frame.filter((pl.col("metric") == metric) & (pl.col("k") == k))
        parts = [
            summary.paired(frame, self.victims, attack, base, metric=metric, k=k).select(
                pl.lit(attack).alias("attack"), pl.lit(base).alias("base"), pl.all()
            )
            for attack, base in self.pairs
        ]
        if not parts:
            return pl.DataFrame()
        found = pl.concat(parts)
        return found.with_columns(p_holm=pl.Series(holm(found["p"].to_numpy())))

    @property
    def cliffs(self) -> Cliffs | None:
        """The most that any fakes could do to each victim, by their number; None where no bound is known."""
        return cliffs_in(self.provenance)

    @property
    def promises(self) -> Promises | None:
        """What votes of models promise against any fakes, by their number; None without a victim that does."""
        return promises_in(self.provenance)

    @property
    def beside_bound(self) -> pl.DataFrame:
        """Every attack's hits beside the bound on any attack; see `cliff.beside_bound`."""
        return beside_bound(self.frame)

    @property
    def sharpness_table(self) -> pl.DataFrame:
        """Sharpness beside the drop on victims of another kind than the surrogate's (WRMF); see `landscape.transfer_drops`.

        Demotion has no drop: there, few hits are the attack's success.
        """
        if self.config.get("direction") == "demote":
            return transfer_drops(self.sharpness, self.frame, [])
        kinds = self.config.get("victims", {})
        tables = {name: (kinds.get(name, {}), kinds.get(name, {}).get("recommender", {})) for name in self.victims}
        others = [name for name, of in tables.items() if "wrmf" not in (name, *(table.get("name") for table in of))]
        return transfer_drops(self.sharpness, self.frame, others)

    def reported(self) -> pl.DataFrame:
        """The figures of the recipe's paper beside the measured ones; see `reported.compare`."""
        figures = [construct(Reported, table, where="reported") for table in self.config.get("reported", [])]
        return compare(self, figures)

    def to_markdown(self, k: int | None = None, metric: str = "H") -> str:
        """All tables as Markdown, at `k` or `main_k`."""
        from sharpap.report.markdown import markdown

        return markdown(self, k, metric)

    def to_latex(self, k: int | None = None, metric: str = "H") -> str:
        """The transfer matrix as a tabular for a paper (booktabs): percent, with half the 95 % interval."""
        from sharpap.report.latex import transfer

        return transfer(self, self.main_k if k is None else k, metric)

    def plot(self, kind: str = "victims", k: int | None = None) -> Any:
        """A picture: "victims", every attack on each; "tradeoff", exposure against accuracy; "reach"; "sharpness".

        See `report.picture`.
        """
        from sharpap.report.picture import picture

        return picture(self, kind, k)  # pyright: ignore[reportArgumentType]

    def __repr__(self) -> str:
        draws = len({row[2] for row in self.rows})
        ks = ", ".join(map(str, self.ks)) or "no length yet"
        return (
            f"<Results: {len(self.attacks)} attacks on {len(self.victims)} victims, {draws} target draws, "
            f"{len(self.cells)} trainings, lists of {ks}>"
        )

    def _repr_html_(self) -> str:
        from sharpap.report.matrix import notebook

        return notebook(self, self.main_k)

    def save(self, folder: str | Path, *, overwrite: bool = False) -> Path:
        """Write the results folder with its page; see `report.folder.save`."""
        from sharpap.report.folder import save

        return save(self, Path(folder), overwrite=overwrite)

    @classmethod
    def load(cls, folder: str | Path) -> Results:
        """Read a results folder; see `folder.load`."""
        return cls(dataset=None, **load(Path(folder)))


def _names(table: Any, option: str) -> bool:
    """Whether a table of a recipe, or one within it, has an option."""
    if isinstance(table, dict):
        return option in table or any(_names(each, option) for each in table.values())
    return isinstance(table, list) and any(_names(each, option) for each in table)

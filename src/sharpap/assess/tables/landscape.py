"""The loss landscape around a surrogate trained on a poison: how sharp it is, and whether that explains transfer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from math import isfinite

import numpy as np
import polars as pl
import torch
from pydantic import TypeAdapter
from scipy.sparse import csr_array
from scipy.stats import spearmanr

from sharpap.attacks import Poison, SmoothHits
from sharpap.attacks.scan import scan
from sharpap.errors import TrainingError
from sharpap.kernels.wrmf import wrmf_gradient
from sharpap.metrics.sharpness import Loss, filter_normalised, keskar_sharpness, random_direction, surface
from sharpap.surrogates import Embeddings, WRMFSurrogate
from sharpap.surrogates.wrmf import TrainedWRMF

REACH = 0.2
ASCENT = 0.05  # the radius of sharpap-paper: the right edge of a plane is where that attack judges itself
RIVALS = 100
EXPLORED = WRMFSurrogate(positive_weight=20.0, reg=20.0)  # around which landscapes are measured: the papers' surrogate


@dataclass(frozen=True, kw_only=True)
class Landscape:
    """What was measured around one surrogate.

    Attributes:
        attack, draw: which poison.
        k: list length of the attack loss and of `hit_ratio`.
        hit_ratio: H@k of the targets on the surrogate.
        atk_sharpness, rec_sharpness: Keskar's measure of the attack loss (`SmoothHits`) and of the recommendation loss,
            percent of 1 + |loss|.
        shares: steps along the random direction, as shares of each embedding's length.
        atk_line, rec_line: both losses there.
        plane_rows, plane_columns: steps of the plane along the random direction and along the attack loss's gradient with rows
            of the same lengths; empty where it was not measured.
        plane: attack loss there.
    """

    attack: str = ""
    draw: int = 0
    k: int
    hit_ratio: float
    atk_sharpness: float
    rec_sharpness: float
    shares: tuple[float, ...]
    atk_line: tuple[float, ...]
    rec_line: tuple[float, ...]
    plane_rows: tuple[float, ...] = ()
    plane_columns: tuple[float, ...] = ()
    plane: tuple[tuple[float, ...], ...] = ()

    @property
    def hits_lost(self) -> float:
        """The rise behind `atk_sharpness` as a share of |L_atk| at the centre: of the smooth hits, how many the box can cost.

        Promotion's L_atk lies between -1 and 0 and cannot rise by more than |L_atk|, so that `atk_sharpness` grows with the
        hits themselves; this share does not.
        """
        centre = abs(self.atk_line[len(self.atk_line) // 2])
        return self.atk_sharpness / 100 * (1 + centre) / centre if centre else float("nan")


LANDSCAPES = TypeAdapter(list[Landscape])


def landscapes_from(raw: bytes) -> list[Landscape]:
    """Landscapes out of JSON; raises `ValueError` where it is none of theirs."""
    found = LANDSCAPES.validate_json(raw)
    for each in found:
        size, plane = len(each.shares), (len(each.plane_rows), len(each.plane_columns))
        numbers = (each.hit_ratio, each.atk_sharpness, each.rec_sharpness, *each.shares, *each.atk_line, *each.rec_line,
                   *each.plane_rows, *each.plane_columns, *(value for row in each.plane for value in row))  # fmt: skip
        fits = size == len(each.atk_line) == len(each.rec_line) and plane[0] == plane[1] == len(each.plane)
        if not (size and fits and all(len(row) == plane[1] for row in each.plane)):
            raise ValueError("the lines and the plane of a landscape do not fit together")
        if not (0 < each.k < 2**31 and -1 <= each.draw < 2**31 - 1 and all(abs(number) <= 1e15 for number in numbers)):
            raise ValueError("a landscape holds a number that no measurement gives")
    return found


def measure(
    train: csr_array,
    poison: Poison,
    *,
    seed: int,
    k: int = 10,
    surrogate: WRMFSurrogate | None = None,
    with_plane: bool = False,
    points: int = 21,
    plane_points: int = 11,
) -> Landscape:
    """Train a surrogate on genuine and fake rows and look around it.

    Args:
        train: (num_users, num_items) genuine rows.
        poison: fake rows and their targets.
        seed: of the training and of the random direction; one that no attack has used. The same seed gives the same noise
            for every poison with equally many users and items.
        k: list length.
        surrogate: None: `EXPLORED`.
        with_plane: measure the plane too, plane_points^2 more evaluations of the attack loss.
        points, plane_points: along each direction; odd, so that the centre is one of them.

    Raises:
        TrainingError: the surrogate diverged, or a loss around it is not finite.
    """
    settings = replace(surrogate or EXPLORED, unrolled_epochs=0)  # nothing is differentiated through training
    trained = settings.train(train, poison.profiles, seed=seed)
    centre = trained.embeddings
    k = min(k, train.shape[1])
    found = scan(centre, train, poison.goal, k=k, rivals=RIVALS)
    attack_loss: Loss = partial(SmoothHits().value_and_grad, scan=found)
    random = random_direction(centre, seed=seed)

    def attack_value(at: Embeddings) -> float:
        return attack_loss(at)[0]

    shares, atk_line = surface(centre, attack_value, random, reach=REACH, points=points)
    rec_line = surface(centre, trained.training_loss, random, reach=REACH, points=points)[1]
    rows, plane = np.empty(0), np.empty((0, 0))
    if with_plane:
        uphill = filter_normalised(attack_loss(centre)[1], centre).times(ASCENT / REACH)
        rows, plane = surface(centre, attack_value, random, uphill, reach=REACH, points=plane_points)
    atk_sharpness = keskar_sharpness(centre, attack_loss)
    rec_sharpness = keskar_sharpness(centre, recommendation_loss(trained))
    if not all(map(isfinite, (atk_sharpness, rec_sharpness, *atk_line, *rec_line, *plane.ravel()))):
        raise TrainingError("A loss around the surrogate is not finite.")
    return Landscape(
        k=k, hit_ratio=found.hit_ratio, atk_sharpness=atk_sharpness, rec_sharpness=rec_sharpness,
        shares=tuple(shares.tolist()), atk_line=tuple(atk_line.tolist()), rec_line=tuple(rec_line.tolist()),
        plane_rows=tuple(rows.tolist()), plane_columns=tuple((rows * (ASCENT / REACH)).tolist()),
        plane=tuple(tuple(row) for row in plane.tolist()),
    )  # fmt: skip


def recommendation_loss(trained: TrainedWRMF) -> Loss:
    """The loss a WRMF surrogate was trained on, with its gradient; fake rows stay as trained."""
    settings = trained.settings

    def loss(at: Embeddings) -> tuple[float, Embeddings]:
        device = trained.fake_users.device
        users = torch.cat([at.users.to(device), trained.fake_users])
        of_users, of_items = wrmf_gradient(trained.pattern, users, at.items.to(device), **settings.weights)
        return trained.training_loss(at), Embeddings(of_users[: len(at.users)].cpu(), of_items.cpu())

    return loss


def transfer_drops(landscapes: list[Landscape], frame: pl.DataFrame, others: list[str]) -> pl.DataFrame:
    """Sharpness beside transfer, one row a poison.

    Args:
        landscapes: of each poison.
        frame: `Results.frame`.
        others: victims that are not the surrogate's kind.

    Returns:
        attack, draw, surrogate (H@k there), others (mean H@k over them and their seeds), drop (1 - others / surrogate; nan
        where a poison has no hit on the surrogate or no such victim was measured), sharp_atk, lost
        (`Landscape.hits_lost`), sharp_rec.
    """
    hits = frame.filter((pl.col("metric") == "H") & (pl.col("target") == -1) & pl.col("victim").is_in(others))
    hits = hits.drop_nulls("value")  # of victims that give only shorter lists
    rows = []
    for found in landscapes:
        cell = hits.filter(
            (pl.col("attack") == found.attack) & (pl.col("draw") == found.draw) & (pl.col("k") == found.k)
        )
        values = cell["value"].to_numpy()
        mean = float(values.mean()) if len(values) else float("nan")
        drop = 1 - mean / found.hit_ratio if found.hit_ratio else float("nan")
        rows.append(
            (found.attack, found.draw, found.hit_ratio, mean, drop, found.atk_sharpness, found.hits_lost, found.rec_sharpness)
        )  # fmt: skip
    schema = {"attack": pl.String, "draw": pl.Int32} | dict.fromkeys(
        ("surrogate", "others", "drop", "sharp_atk", "lost", "sharp_rec"), pl.Float64
    )
    return pl.DataFrame(rows, schema=schema, orient="row")


@dataclass(frozen=True, kw_only=True)
class Correlation:
    """Spearman's rank correlation (nan where it is not defined), its p-value, and the number of poisons."""

    rho: float
    p: float
    n: int


def correlation(table: pl.DataFrame, sharpness: str = "sharp_atk") -> Correlation:
    """Of a column of `transfer_drops` with the drop, over the poisons whose drop is known."""
    known = table.filter(pl.col("drop").is_not_nan())
    first, second = known[sharpness].to_numpy(), known["drop"].to_numpy()
    if known.height < 3 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return Correlation(rho=float("nan"), p=float("nan"), n=known.height)
    found = spearmanr(first, second)
    return Correlation(rho=float(found.statistic), p=float(found.pvalue), n=known.height)

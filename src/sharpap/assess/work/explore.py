"""Measure the loss landscape around a surrogate trained on a poison."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from math import isfinite

import numpy as np
import torch
from scipy.sparse import csr_array

from sharpap.assess.tables.landscape import Landscape
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

"""Surrogates, outer epochs and whole attacks."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np
import torch
from benchmarks.speed.dense import DenseRevAdv, project
from scipy.sparse import csr_array

from sharpap.attacks import CrossEntropy, RevAdv, SharpnessAware
from sharpap.attacks.profiles import copied_profiles, to_csr
from sharpap.attacks.scan import scan
from sharpap.attacks.step import MomentumStep
from sharpap.attacks.worst_case import Identity
from sharpap.data import Interactions, TargetPool, load, synthetic
from sharpap.kernels import Pattern, sddmm
from sharpap.kernels.wrmf import wrmf_gradient
from sharpap.seeds import rng
from sharpap.surrogates import WRMFSurrogate
from sharpap.surrogates.unroll import Adam, Moments
from sharpap.threat import Budget, Goal

Work = Callable[[], dict[str, Any]]
SHAPES = {
    "ml-1m": (6040, 3706, 575_000),
    "book": (13_149, 14_007, 300_000),
    "gowalla": (29_858, 40_981, 810_000),
    "amazon-book": (52_643, 91_599, 2_984_108),
    "25m": (162_541, 59_047, 25_000_000),
}
SHARPAP = RevAdv(worst_case=SharpnessAware())
WEIGHTS = {"positive_weight": 20.0, "negative_weight": 1.0, "reg": 20.0}


@cache
def data(name: str) -> Interactions:
    """Synthetic interactions of a known shape, or a dataset of the catalogue: "real:gowalla"."""
    if name.startswith("real:"):
        return load(name.removeprefix("real:")).train
    if "x" in name:
        users, items, interactions = map(int, name.split("x"))
    else:
        users, items, interactions = SHAPES[name]
    return synthetic(users, items, interactions, min_items=min(10, interactions // users))


def _goal(made: Interactions) -> Goal:
    return Goal(targets=TargetPool().draw(made, 0, seed=0))


def _facts(train: csr_array, **more: Any) -> dict[str, Any]:
    return {"users": train.shape[0], "items": train.shape[1], "interactions": int(train.nnz)} | more


def _original(steps: int, unrolled: int, d: int) -> WRMFSurrogate:
    return WRMFSurrogate(**WEIGHTS, embedding_size=d, epochs=steps, unrolled_epochs=unrolled)


def outer_sparse(shape: str, steps: int = 50, unrolled: int = 10, d: int = 64) -> Work:
    """RevAdv with its original loss and step, one outer epoch: train, look, gradient of every profile entry, project."""
    train = data(shape).matrix
    goal = _goal(data(shape))
    allowance = Budget().resolve(train, goal)
    items = copied_profiles(train, goal, allowance, rng(0, "initial"))
    fake = to_csr(items, train.shape[1])
    surrogate = _original(steps, unrolled, d)
    fillers = torch.from_numpy(np.stack(items))
    forbidden, popularity = torch.tensor(goal.targets), np.bincount(train.indices, minlength=train.shape[1])

    def work() -> dict[str, Any]:
        trained = surrogate.train(train, fake, seed=0)
        found = scan(trained.embeddings, train, goal, k=10, rivals=50)
        value, grad = CrossEntropy().value_and_grad(trained.embeddings, found)
        mover = MomentumStep().begin(len(items), train.shape[1], forbidden, popularity)
        mover.move(fillers, trained.profile_gradient(grad), done=0.0, generator=rng(0, "moves"))
        return _facts(train, steps=steps, unrolled=unrolled, d=d, attack_loss=round(value, 5))

    return work


def outer_dense(shape: str, steps: int = 50, unrolled: int = 10, d: int = 64) -> Work:
    """The same by the dense reference."""
    train = data(shape).matrix
    goal = _goal(data(shape))
    allowance = Budget().resolve(train, goal)
    items = copied_profiles(train, goal, allowance, rng(0, "initial"))
    attacker = DenseRevAdv(train, np.array(goal.targets), _original(steps, unrolled, d))
    fake = torch.from_numpy(to_csr(items, train.shape[1]).toarray()).float()

    def work() -> dict[str, Any]:
        value, gradient = attacker.epoch(fake, 0)
        project(fake, gradient, len(items[0]))
        return _facts(train, steps=steps, unrolled=unrolled, d=d, attack_loss=round(value, 5))

    return work


def training_epoch(shape: str, how: str) -> Work:
    """Ten full-batch Adam steps of WRMF: fused kernels, autograd over the sparse kernels, or the dense loss."""
    pattern = Pattern.from_csr(data(shape).matrix)
    start = [
        torch.from_numpy(rng(0, str(rows)).standard_normal((rows, 64), dtype=np.float32) * 0.1)
        for rows in pattern.shape
    ]
    dense = DenseRevAdv(data(shape).matrix, np.array([0]), WRMFSurrogate(**WEIGHTS)) if how == "dense" else None
    nobody = torch.zeros(0, pattern.shape[1])

    def gradient(P: torch.Tensor, Q: torch.Tensor) -> tuple[torch.Tensor, ...]:
        if how == "fused":
            return wrmf_gradient(pattern, P, Q, **WEIGHTS)
        p, q = P.clone().requires_grad_(), Q.clone().requires_grad_()
        if dense is not None:
            return torch.autograd.grad(dense.loss(p, q, nobody), (p, q))
        s = sddmm(pattern, p, q)
        loss = (
            ((p.T @ p) * (q.T @ q)).sum()
            + (20 * (1 - s) ** 2 - s**2).sum()
            + 20 * (p.square().sum() + q.square().sum())
        )
        return torch.autograd.grad(loss, (p, q))

    def work() -> dict[str, Any]:
        theta = [part.clone() for part in start]
        moments = [Moments.zeros(part) for part in theta]
        for t in range(1, 11):
            for part, moment, grad in zip(theta, moments, gradient(*theta), strict=True):
                Adam().step(part, moment, grad, t)
        return {"steps": 10, "norm": round(float(theta[0].norm()), 3)}

    return work


def attack(shape: str, epochs: int, sharp: bool = True) -> Work:
    """A whole attack with the default settings, finalists and all."""
    train = data(shape).matrix
    goal = _goal(data(shape))
    settings = RevAdv(epochs=epochs, worst_case=SharpnessAware() if sharp else Identity())
    small = synthetic(300, 400, 6000)
    RevAdv(epochs=2, finalists=1, final_seeds=1).poison(small.matrix, _goal(small), Budget(), seed=0)  # compile

    def work() -> dict[str, Any]:
        made = settings.poison(train, goal, Budget(), seed=0)
        return _facts(train, epochs=epochs, fakes=made.num_fake, surrogate_hit_ratio=made.notes["surrogate_hit_ratio"])

    return work


def outer_default(shape: str) -> Work:
    """One outer step with the default settings on data of a known shape."""
    return outer_step(data(shape))


def outer_step(made: Interactions, settings: RevAdv = SHARPAP) -> Work:
    """One outer step of SharpAP: train, scan, worst case, back through training, move."""
    train, goal = made.matrix, _goal(made)
    allowance = Budget().resolve(train, goal)
    items = copied_profiles(train, goal, allowance, rng(0, "initial"))
    fake, fillers = to_csr(items, train.shape[1]), torch.from_numpy(np.stack(items))
    most = min(train.shape[0], settings.users_per_epoch or train.shape[0])
    users = np.sort(rng(0, "users").choice(train.shape[0], most, replace=False))
    forbidden, popularity = torch.tensor(goal.targets), np.bincount(train.indices, minlength=train.shape[1])

    def work() -> dict[str, Any]:
        trained = settings.surrogate.train(train, fake, seed=0)
        found = scan(trained.embeddings, train, goal, k=settings.k, rivals=settings.rivals, users=users)
        loss = partial(settings.objective.value_and_grad, scan=found)
        _, grad = loss(settings.worst_case(trained.embeddings, loss, seed=0))
        mover = settings.step.begin(len(items), train.shape[1], forbidden, popularity)
        mover.move(fillers, trained.profile_gradient(grad), done=0.0, generator=rng(0, "moves"))
        return _facts(train, fakes=len(items))

    return work

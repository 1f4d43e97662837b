"""`adapt`: a recommender out of nearly anything that can be trained."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, is_dataclass
from typing import Any

from scipy.sparse import csr_array
from torch import nn

from sharpap.adapters.cornac import CornacModel
from sharpap.adapters.implicit import ImplicitModel
from sharpap.adapters.lenskit import LensKitModel
from sharpap.adapters.scorers import FORMS, as_scorer
from sharpap.adapters.seeding import global_seed, small_seed
from sharpap.errors import ContractError
from sharpap.recommenders.base import FloatArray, Recommender, Scorer

WANTED = f"A recommender has fit(train, *, seed) and score(users), or is a function train, seed -> {FORMS}."
SEEDS = ("seed", "random_state", "random_seed")


@dataclass(frozen=True, kw_only=True)
class FunctionRecommender:
    """A training function as a recommender.

    Attributes:
        function: called with the CSR matrix and, where it takes a `seed`, `random_state` or `random_seed`, the seed; returns
            what `as_scorer` takes.
        options: further keyword arguments.
    """

    function: Callable[..., Any]
    options: Mapping[str, Any] = field(default_factory=dict)

    def fit(self, train: csr_array, *, seed: int) -> Scorer:
        """See `Recommender`."""
        return as_scorer(_seeded(self.function, train, seed, dict(self.options)), train.shape, _name(self.function))


@dataclass(frozen=True, kw_only=True)
class ObjectRecommender:
    """An object whose `fit` takes no seed, or returns nothing, or that scores by another name.

    Attributes:
        model: with `fit(train)`; it is copied before each training. Without a seed argument, its `seed` or `random_state`
            attribute is set, and the global generators are seeded.
    """

    model: Any

    @property
    def reads_order(self) -> bool:
        """Whether the object's `fit` names `times`."""
        return "times" in _parameters(self.model.fit)

    def fit(
        self, train: csr_array, *, seed: int, valid: csr_array | None = None, times: FloatArray | None = None
    ) -> Scorer:
        """See `Recommender`; `valid` and `times` go on to a `fit` that names them."""
        model = copy.deepcopy(self.model)
        for name in SEEDS:
            if name in getattr(model, "__dict__", {}):
                setattr(model, name, small_seed(seed))
        named, given = _parameters(model.fit), {"valid": valid, "times": times}
        made = _seeded(model.fit, train, seed, {name: each for name, each in given.items() if name in named})
        return as_scorer(model if made is None else made, train.shape, _name(self.model))


def adapt(made: Any, **options: Any) -> Recommender:
    """A recommender of an object, a model of implicit, LensKit or Cornac, or a training function.

    Args:
        made: an object with `fit(train, *, seed)` and `score(users)` (returned as it is); with `fit(train)`; an instance of
            one of the libraries' models; or ``f(train, seed) -> scorer, factors (U, V), score matrix or callable``.
        **options: keyword arguments of a function.

    Raises:
        ContractError: nothing that can be trained; says what is missing.
    """
    if isinstance(made, type):
        raise ContractError(f"{made.__name__} is a class.", hint=f"Give an instance, {made.__name__}(...).")
    library = {parent.__module__.partition(".")[0] for parent in type(made).__mro__}
    for name, adapter in (("implicit", ImplicitModel), ("cornac", CornacModel), ("lenskit", LensKitModel)):
        if name in library:
            return adapter(model=made)
    if callable(getattr(made, "fit", None)):
        return made if _conforms(made) else ObjectRecommender(model=made)
    if isinstance(made, nn.Module):
        raise ContractError(
            f"{type(made).__name__} is a torch module without a fit method, so nothing says how it is trained.",
            hint="Use sharpap.adapters.TorchModel(make=..., train=...), or give it fit(train, *, seed) and score(users).",
        )
    if callable(made):
        if not _parameters(made):
            raise ContractError(f"{_name(made)} takes no training matrix.", hint=WANTED)
        return FunctionRecommender(function=made, options=options)
    missing = "no fit method" if hasattr(made, "score") else "neither fit nor score"
    raise ContractError(f"{_name(made)} has {missing}.", hint=WANTED)


def _conforms(made: Any) -> bool:
    """Whether `fit` takes a seed by name, and a score method is there or will be on what `fit` returns (a dataclass of
    settings keeps no state, so it returns its model).
    """
    parameters = _parameters(made.fit)
    takes_seed = "seed" in parameters or any(each.kind is each.VAR_KEYWORD for each in parameters.values())
    return takes_seed and (is_dataclass(made) or callable(getattr(made, "score", None)))


def _seeded(function: Callable[..., Any], train: csr_array, seed: int, options: dict[str, Any]) -> Any:
    """Call with the matrix, and the seed where it takes one by name; the global generators are seeded anyway."""
    parameters = _parameters(function)
    for name in SEEDS:
        if name in parameters and name not in options:
            options[name] = seed if name == "seed" else small_seed(seed)
    try:
        inspect.Signature(list(parameters.values())).bind(train, **options)
    except TypeError as problem:
        raise ContractError(
            f"{_name(function)}({', '.join(parameters)}) cannot be called with a training matrix"
            f"{' and a seed' if set(SEEDS) & set(options) else ''}: {problem}.",
            hint=f"Give the other arguments defaults; the seed is passed as {' or '.join(SEEDS)}.",
        ) from None
    with global_seed(seed):
        return function(train, **options)


def _parameters(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError):  # code without a signature, e.g. compiled: call it by the protocol
        names = ("train", "seed")
        return {name: inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in names}


def _name(made: Any) -> str:
    return getattr(made, "__qualname__", None) or type(made).__name__

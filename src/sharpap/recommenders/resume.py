"""What a training goes on from after it was killed: parameters, optimiser, generator (`sharpap.checkpoints`)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from sharpap import checkpoints
from sharpap.checkpoints import State

Model = TypeVar("Model", bound=Any)


class Stateful(Protocol):
    """Something with a state of its own, such as an encoder that groups nodes."""

    def state(self) -> State:
        """All that later epochs depend on, as `sharpap.checkpoints.save` takes it."""
        ...

    def restore(self, kept: State) -> None:
        """Go on from `state`."""
        ...


class Adam(torch.optim.Adam):
    """torch's Adam, in its fused form; its rate falls to zero along half a cosine over `decay_over` steps, if given."""

    def __init__(self, parts: list[Tensor], learning_rate: float, *, decay_over: int | None = None) -> None:
        super().__init__(parts, lr=learning_rate, fused=True)
        self.schedule: Any = None
        if decay_over:
            schedule = self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self, decay_over)
            self.register_step_post_hook(lambda *_: schedule.step())

    def moments(self) -> State:
        """Step counts and moments of every parameter, and the rate."""
        (group,) = self.param_groups
        found: State = {"rate": group["lr"], "steps": self.schedule.last_epoch if self.schedule else 0}
        for place, part in enumerate(group["params"]):
            for name, value in self.state[part].items() if part in self.state else ():
                found[f"{place} {name}"] = value.cpu().numpy()
        return found

    def restore(self, kept: State) -> None:
        """Go on from `moments`."""
        (group,) = self.param_groups
        group["lr"] = kept["rate"]
        if self.schedule:
            self.schedule.last_epoch = kept["steps"]
            self.schedule._step_count = kept["steps"] + 1
        for name, value in kept.items():
            place, _, moment = name.partition(" ")
            if moment:
                part = group["params"][int(place)]
                if value.shape != (() if moment == "step" else tuple(part.shape)):  # fused kernels do not look
                    raise ValueError(f"The state of the optimiser is of another shape than parameter {place}.")
                self.state[part][moment] = torch.from_numpy(value).to(part.device, copy=True)


@dataclass(frozen=True, eq=False, kw_only=True)
class Moving:
    """All that a training changes from epoch to epoch, in place; everything else is made anew from settings, data and seed.

    Attributes:
        settings, seed: with the data, what tells it from other trainings in the same piece of work.
        parts: parameters.
        optimizer: of the parts, if there is one.
        draw: the generator of its random numbers, if there is one.
        more: whatever else has a state.
        read: the data in the order in which they are read, where that is more than the training data say.
    """

    settings: Any
    seed: int
    parts: list[Tensor]
    optimizer: Adam | None = None
    draw: np.random.Generator | None = None
    more: Stateful | None = None
    read: csr_array | None = None

    def name(self, *data: csr_array | None) -> str:
        """Where its states are kept, O(nnz); "" where nobody keeps any."""
        if not checkpoints.kept():
            return ""
        parts = hashlib.sha256(f"{type(self.settings).__qualname__} {self.settings!r} {self.seed}".encode())
        for matrix in (*data, *([] if self.read is None else [self.read])):
            parts.update(repr(None if matrix is None else matrix.shape).encode())
            for array in () if matrix is None else (matrix.indptr, matrix.indices):
                parts.update(np.ascontiguousarray(array).astype(np.int64).tobytes())
        return f"training {parts.hexdigest()[:32]}"

    def state(self) -> State:
        """See `Stateful`."""
        found: State = {f"part {place}": part.detach().cpu().numpy() for place, part in enumerate(self.parts)}
        if self.optimizer is not None:
            found |= under("adam", self.optimizer.moments())
        if self.draw is not None:
            found["draw"] = self.draw.bit_generator.state
        if self.more is not None:
            found |= under("more", self.more.state())
        return found

    def restore(self, kept: State) -> None:
        """See `Stateful`."""
        with torch.no_grad():
            for place, part in enumerate(self.parts):
                part.copy_(torch.from_numpy(kept[f"part {place}"]))
        if self.optimizer is not None:
            self.optimizer.restore(of("adam", kept))
        if self.draw is not None:
            self.draw.bit_generator.state = kept["draw"]
        if self.more is not None:
            self.more.restore(of("more", kept))


def arrays_of(model: Any) -> State:
    """The arrays and tensors of a trained model, a dataclass; none of no model."""
    return {name: value.numpy() if isinstance(value, Tensor) else value for name, value in _arrays(model)}


def with_arrays(model: Model, kept: State) -> Model:
    """A copy of `model` with the arrays of another of its kind, from `arrays_of`."""
    found: dict[str, Any] = {}
    for name, value in _arrays(model):
        new = torch.from_numpy(kept[name].copy()) if isinstance(value, Tensor) else kept[name]
        own, _, place = name.partition(" ")
        if place:
            found.setdefault(own, []).append(new)
        else:
            found[own] = new
    return replace(model, **found)


def _arrays(model: Any) -> Iterator[tuple[str, Any]]:
    for each in fields(model) if model is not None else ():
        value = getattr(model, each.name)
        if isinstance(value, (np.ndarray, Tensor)):
            yield each.name, value
        elif isinstance(value, list):
            yield from ((f"{each.name} {place}", part) for place, part in enumerate(value))


def under(name: str, state: State) -> State:
    """A state as a part of another."""
    return {f"{name}: {key}": value for key, value in state.items()}


def of(name: str, state: State) -> State:
    """The part of a state that `under` made."""
    return {key.removeprefix(f"{name}: "): value for key, value in state.items() if key.startswith(f"{name}: ")}

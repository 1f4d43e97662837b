"""What an attack takes from a trained surrogate: its loss's gradient at the worst case, to be pulled back to the profiles."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from sharpap.attacks.objective import Objective
from sharpap.attacks.scan import Scan
from sharpap.attacks.worst_case import WorstCase, mixed
from sharpap.seeds import derive_seed
from sharpap.surrogates.base import Embeddings, ProfileGradient, TrainedSurrogate


@dataclass(frozen=True, eq=False)
class Seen:
    """One trained surrogate as an attack sees it.

    Attributes:
        trained: the surrogate.
        grad: of the attack loss at the worst case around the trained embeddings.
        earlier: the same at earlier states, by steps before the end; each of all states has the same share.
        value: the attack loss there, the mean over states.
        hit_ratio: H@k on the surrogate itself.
    """

    trained: TrainedSurrogate
    grad: Embeddings
    earlier: dict[int, Embeddings]
    value: float
    hit_ratio: float

    def profile_gradient(self) -> ProfileGradient:
        """Pulled back through training; once at most."""
        return self.trained.profile_gradient(self.grad, self.earlier)


def see(
    trained: TrainedSurrogate, found: Scan, objective: Objective, worst_case: WorstCase, *, seed: int, epoch: int
) -> Seen:
    """The attack loss's gradient at the worst case of a surrogate, or at the worst cases of its states."""
    loss = partial(objective.value_and_grad, scan=found)
    states = trained.states(worst_case.every_step)
    values, grads = [], {}
    for back, state in states.items():
        stream = derive_seed(seed, "worst-case", epoch, *([back] if back else []))
        worst = worst_case(state, loss, seed=stream, fit=trained.training_loss)
        value, grad = mixed(loss, state, worst, worst_case.clean_share)
        values.append(value)
        grads[back] = grad if len(states) == 1 else grad.times(1 / len(states))
    return Seen(trained, grads.pop(0), grads, float(np.mean(values)), found.hit_ratio)

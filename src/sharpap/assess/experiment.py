"""`Experiment`: everything an assessment depends on, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sharpap.assess.fake_order import Array, FakeOrder, check_order, reading_times
from sharpap.assess.tables.summary import CLEAN
from sharpap.attacks import Attack, Poison
from sharpap.config import describe
from sharpap.data import Dataset, TargetPool
from sharpap.errors import ConfigError
from sharpap.recommenders import Recommender
from sharpap.recommenders.calls import reads_order
from sharpap.seeds import derive_seed
from sharpap.threat import Budget, Direction, Goal


@dataclass(frozen=True, eq=False, kw_only=True)
class Experiment:
    """The grid of an assessment: attacks x target draws, each against victims x seeds.

    Attributes:
        dataset: what everything is trained and measured on.
        attacks: name in tables to attack, or to a finished `Poison` (then there is one draw: its own targets).
        victims: name in tables to recommender.
        targets: which items are attacked.
        budget: what each attack may spend.
        direction: promote or demote.
        seeds: trainings of each victim on each poison.
        ks: list lengths.
        seed: the root of all randomness.
        sharpness: measure the loss landscape around a fresh surrogate of each poison (`work.explore`).
        fake_order: the order of fakes' items for victims that read order (`fake_order.reading_times`).
    """

    dataset: Dataset
    attacks: Mapping[str, Attack | Poison]
    victims: Mapping[str, Recommender]
    targets: TargetPool = field(default_factory=TargetPool)
    budget: Budget = field(default_factory=Budget)
    direction: Direction = "promote"
    seeds: int = 1
    ks: tuple[int, ...] = (10, 20, 50)
    seed: int = 0
    sharpness: bool = False
    fake_order: FakeOrder = "shuffled"

    def __post_init__(self) -> None:
        if not self.victims:
            raise ConfigError("There is no victim.", hint="Name at least one recommender to train.")
        if self.seeds < 1 or not self.ks or min(self.ks) < 1:
            raise ConfigError(f"seeds={self.seeds} and ks={self.ks} must be 1 or more.")
        if self.seed < 0:
            raise ConfigError(f"seed={self.seed} must be 0 or positive.")
        if self.direction not in ("promote", "demote"):
            raise ConfigError(f"direction={self.direction!r} is neither promote nor demote.")
        check_order(self.fake_order, self.dataset.train, self.readers())
        if CLEAN in self.attacks:
            raise ConfigError(f"An attack cannot be called {CLEAN!r}: that is the clean run.")
        object.__setattr__(self, "ks", tuple(sorted({min(k, self.dataset.num_items) for k in self.ks})))
        if finished := self._finished():  # made in one direction, whatever is asked for
            object.__setattr__(self, "direction", finished[0].direction)

    def goals(self) -> list[Goal]:
        """The goal of each target draw."""
        if finished := self._finished():
            if len(finished) > 1 or not all(isinstance(attack, Poison) for attack in self.attacks.values()):
                raise ConfigError(
                    "Finished profiles can only be assessed together when they all have the same targets and direction.",
                    hint="Assess them one by one.",
                )
            return finished
        return [self.goal(draw) for draw in range(self.targets.num_draws)]

    def goal(self, draw: int) -> Goal:
        """The goal of one draw of `targets`."""
        train, targets = self.dataset.train, self.targets
        drawn, users = targets.draw(train, draw, seed=self.seed), targets.audience(train)
        return Goal(targets=drawn, direction=self.direction, users=users)

    def _finished(self) -> list[Goal]:
        """The different goals of finished profiles among the attacks."""
        return list(dict.fromkeys(attack.goal for attack in self.attacks.values() if isinstance(attack, Poison)))

    def attack_seed(self, draw: int) -> int:
        """The seed of every attack on one draw: all attacks start from the same profiles."""
        return derive_seed(self.seed, "attack", draw)

    def victim_seed(self, seed: int) -> int:
        """The seed of every victim in one repetition: the same with and without poison, and never an attack's."""
        return derive_seed(self.seed, "victim", seed)

    def sharpness_seed(self, draw: int) -> int:
        """The seed of the surrogates that sharpness is measured around: the same for all attacks of a draw, and no attack's."""
        return derive_seed(self.seed, "sharpness", draw)

    def readers(self) -> list[str]:
        """The victims that read the order of interactions."""
        return [name for name, victim in self.victims.items() if reads_order(victim)]

    def times(self, victim: str, poison: Poison | None, draw: int) -> Array | None:
        """What a victim that reads order is told of the training data with a poison; None for others."""
        if not reads_order(self.victims[victim]):
            return None
        seed = 0 if poison is None else derive_seed(self.seed, "fake-order", draw)
        return reading_times(self.dataset.train, poison, self.fake_order, seed)

    @property
    def num_cells(self) -> int:
        """Victim trainings."""
        draws = len(self.goals())
        return len(self.victims) * self.seeds * (1 + len(self.attacks) * draws)

    def fakes(self, goal: Goal) -> int:
        """How many fakes the budget allows; those of finished profiles on their own goal."""
        finished = [attack.num_fake for attack in self.attacks.values() if isinstance(attack, Poison)]
        return max(finished) if finished else self.budget.resolve(self.dataset.train.matrix, goal).num_fake

    def facts(self) -> dict[str, Any]:
        """JSON-ready settings other than attacks and victims."""
        return {
            "seeds": self.seeds, "ks": list(self.ks), "seed": self.seed, "direction": self.direction,
            "sharpness": self.sharpness,
        } | ({"fake_order": self.fake_order} if self.readers() else {})  # fmt: skip

    def recipe(self) -> dict[str, Any]:
        """The recipe, where the experiment was put together in Python."""
        return {
            "data": {"source": self.dataset.name},
            **self.facts(),
            "targets": describe(self.targets),
            "budget": describe(self.budget),
            "attacks": {
                name: {"file": attack.attack} if isinstance(attack, Poison) else describe(attack, "attack")
                for name, attack in self.attacks.items()
            },
            "victims": {name: describe(victim, "victim") for name, victim in self.victims.items()},
        }

"""An attack that is stopped after any outer epoch and goes on ends with the very profiles of one that was left alone."""

from __future__ import annotations

import io

import numpy as np
import pytest

from sharpap import checkpoints, progress
from sharpap.assess import Experiment, run
from sharpap.assess.work import cells as cells_module
from sharpap.attacks import DPA2DL, FEO, MomentumStep, Portfolio, RandomAttack, RevAdv, SharpnessAware
from sharpap.attacks.profiles import kept_rows
from sharpap.data import TargetPool, split, synthetic
from sharpap.recommenders import WRMF, Popularity
from sharpap.surrogates import WRMFSurrogate
from sharpap.threat import Budget, Goal

SURROGATE = WRMFSurrogate(embedding_size=4, epochs=4, unrolled_epochs=2)
SMALL = {"surrogate": SURROGATE, "epochs": 5, "finalists": 2, "final_seeds": 1, "users_per_epoch": 30}
ATTACKS = {
    "sharpap": RevAdv(**SMALL, worst_case=SharpnessAware()),
    "momentum": RevAdv(**SMALL, step=MomentumStep(latent=True)),
    "dpa2dl": DPA2DL(embedding_size=4, hidden=(8, 4), epochs=2, poison_steps=4, group_size=1, batch_size=100),
    "feo": FEO(embedding_size=4, epochs=2, batch_size=100, step_user=1, k=3),
    "portfolio": Portfolio(
        attacks=(RevAdv(**SMALL),), restarts=3, judges=(WRMF(embedding_size=4, epochs=2),), judge_seeds=1, k=5
    ),
}


class StopsAfter(progress._Silent):
    """Ctrl-C at the nth step of any bar."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def advance(self, steps: int = 1, *, note: str | None = None) -> None:
        if note is not None:
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt


def text(poison) -> bytes:
    """All of a poison but its time."""
    buffer = io.BytesIO()
    np.savez(buffer, indices=poison.profiles.indices, indptr=poison.profiles.indptr)
    return buffer.getvalue() + repr([poison.history, poison.notes, poison.settings]).encode()


@pytest.mark.parametrize("name", ATTACKS)
def test_stopped_after_every_second_epoch_it_ends_as_if_left_alone(name, blocks, keeper):
    attack = ATTACKS[name]
    goal, budget = Goal(targets=(19, 39)), Budget(fake_users=5)
    whole = attack.poison(blocks, goal, budget, seed=3)

    def some_epochs():
        with progress.reporting(StopsAfter(3)):
            return attack.poison(blocks, goal, budget, seed=3)

    found, stops = keeper.until_done(some_epochs, KeyboardInterrupt)
    assert stops >= 2
    assert text(found) == text(whole)
    with checkpoints.keeping(keeper):
        assert text(attack.poison(blocks, goal, budget, seed=4)) == text(attack.poison(blocks, goal, budget, seed=4))
    assert text(attack.poison(blocks, goal, budget, seed=4)) != text(whole)


def test_without_a_keeper_nothing_is_kept(blocks):
    assert not checkpoints.due()
    checkpoints.save("x", {"a": 1})
    assert checkpoints.load("x") is None


def test_a_run_keeps_states_until_the_profiles_are_stored(tmp_path, monkeypatch):
    monkeypatch.setattr(cells_module.Checkpoints, "due", lambda self: True)
    experiment = Experiment(
        dataset=split(synthetic(60, 80, 900, seed=2), seed=0, name="made"),
        attacks={"random": RandomAttack(), "sharpap": ATTACKS["sharpap"]}, victims={"floor": Popularity()},
        targets=TargetPool(draws=1, size=2), budget=Budget(fake_users=3), ks=(5,),
    )  # fmt: skip
    whole = run(experiment)
    epochs: list[int] = []
    look = RevAdv._look

    def counted(self, surrogate, clean, train, fake, goal, users, seed, epoch):
        epochs.append(epoch)
        if len(epochs) == 4:
            raise KeyboardInterrupt
        return look(self, surrogate, clean, train, fake, goal, users, seed, epoch)

    monkeypatch.setattr(RevAdv, "_look", counted)
    assert run(experiment, cells=tmp_path).provenance["interrupted"]
    (state,) = tmp_path.glob("state-*.record")
    damaged = state.read_bytes()[:-1]
    found = run(experiment, cells=tmp_path)
    assert epochs == [0, 1, 2, 3, 3, 4]
    assert not list(tmp_path.glob("state-*"))
    assert found.frame.equals(whole.frame)
    assert text(found.poisons["sharpap", 0]) == text(whole.poisons["sharpap", 0])
    for path in tmp_path.glob("poison-*.record"):
        path.unlink()
    state.write_bytes(damaged)  # a damaged state is one that is not there
    epochs[:] = [9] * 10
    assert run(experiment, cells=tmp_path).frame.equals(whole.frame)
    assert epochs[10:] == [0, 1, 2, 3, 4]


def test_a_state_with_items_that_are_none_is_no_state():
    """Native code would read where nothing is."""
    rows = np.array([[0, 3], [8, 2]])
    assert kept_rows(rows, (2,), 9) is rows
    for odd in (rows + 1, rows - 1, rows.astype(float), rows[:, :1], np.array(3)):
        with pytest.raises(ValueError, match="profiles of other data"):
            kept_rows(odd, (2,), 9)

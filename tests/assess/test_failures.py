"""What fails is a failed cell with its whole traceback; it is tried a bounded number of times, and the rest goes on."""

from __future__ import annotations

import polars as pl
import pytest

from sharpap.assess import Experiment, Results, run
from sharpap.attacks import RandomAttack
from sharpap.data import TargetPool, split, synthetic
from sharpap.errors import AttackError, ConfigError, TrainingError
from sharpap.recommenders import Popularity
from sharpap.threat import Budget


class Breaks:
    """An attack that fails on its second draw, the first `times` times."""

    def __init__(self, times: int) -> None:
        self.times, self.calls = times, []

    def poison(self, train, goal, budget, *, seed):
        self.calls.append(goal.targets)
        if len(set(self.calls)) == 2 and self.calls.count(goal.targets) <= self.times:
            raise ZeroDivisionError("no slope")
        return RandomAttack().poison(train, goal, budget, seed=seed)


class Moody:
    """A victim that fails the first `times` times it is trained, whoever trains it."""

    calls = 0

    def __init__(self, times: int, error: type[Exception] = RuntimeError) -> None:
        self.times, self.error = times, error
        Moody.calls = 0

    def fit(self, train, *, seed):
        Moody.calls += 1
        if Moody.calls <= self.times:
            raise self.error("out of cheese")
        return Popularity().fit(train, seed=seed)


def experiment(attacks=None, victims=None):
    return Experiment(
        dataset=split(synthetic(60, 80, 900, seed=2), seed=0, name="made"),
        attacks={"random": RandomAttack()} if attacks is None else attacks, victims=victims or {"floor": Popularity()},
        targets=TargetPool(draws=2, size=2), budget=Budget(fake_users=3), ks=(5,), seeds=2,
    )  # fmt: skip


def test_an_attack_that_fails_costs_its_own_draw(tmp_path):
    grid = experiment({"breaks": Breaks(9), "random": RandomAttack()})
    found = run(grid)
    failed = [cell for cell in found.cells if cell.error]
    assert len(found.cells) == grid.num_cells
    assert {(cell.attack, cell.draw) for cell in failed} == {("breaks", 1)}
    assert len(failed) == 2
    assert failed[0].error == "The attack failed: ZeroDivisionError: no slope"
    assert 'raise ZeroDivisionError("no slope")' in failed[0].traceback
    assert set(found.poisons) == {("breaks", 0), ("random", 0), ("random", 1)}
    others = found.frame.filter(pl.col("attack") != "breaks")
    assert others.equals(run(experiment()).frame)
    back = Results.load(found.save(tmp_path / "out"))
    assert back.cells == found.cells
    assert "2 of 10 trainings failed" in (tmp_path / "out" / "report.html").read_text()


def test_an_attack_is_tried_again(tmp_path):
    attack = Breaks(1)
    assert not any(cell.error for cell in run(experiment({"breaks": attack}), cells=tmp_path).cells)
    assert len(attack.calls) == 3
    attack = Breaks(1)
    assert any(cell.error for cell in run(experiment({"breaks": attack}), retries=0).cells)
    assert len(attack.calls) == 2


def test_every_attack_failing_is_an_error():
    class Never:
        def poison(self, train, goal, budget, *, seed):
            raise OSError("nothing there")

    with pytest.raises(AttackError, match=r"Every attack failed; the first: OSError: nothing there"):
        run(experiment({"never": Never()}))


@pytest.mark.parametrize(("times", "retries", "calls"), [(1, 1, 7), (2, 1, 7), (2, 2, 8), (1, 0, 6)])
def test_a_victim_is_tried_again_a_bounded_number_of_times(times, retries, calls):
    """Six trainings; those after the failures go well."""
    found = run(experiment(victims={"moody": Moody(times)}), retries=retries)
    assert Moody.calls == calls
    first = found.cells[0]
    assert first.attempts == min(times, retries) + 1
    assert bool(first.error) == (times > retries)
    assert not any(cell.error for cell in found.cells[1:])
    if first.error:
        assert first.error == "RuntimeError: out of cheese"
        assert 'self.error("out of cheese")' in first.traceback
        assert not found.transfer_matrix("H", 5)["mean"].is_nan().any()  # the other seed was measured


def test_what_sharpap_finds_wrong_is_not_tried_again():
    found = run(experiment(victims={"moody": Moody(1, TrainingError)}), retries=5)
    assert Moody.calls == 6
    assert found.cells[0].attempts == 1


def test_a_failure_is_not_kept_the_next_run_tries_again(tmp_path):
    first = run(experiment(victims={"moody": Moody(2)}), cells=tmp_path)
    assert sum(bool(cell.error) for cell in first.cells) == 1
    trained = Moody.calls
    again = run(experiment(victims={"moody": Moody(0)}), cells=tmp_path)
    assert not any(cell.error for cell in again.cells)
    assert (trained, Moody.calls) == (7, 6)  # another setting (`times`), another victim: all six are new
    Moody.calls = 0
    run(experiment(victims={"moody": Moody(0)}), cells=tmp_path)
    assert Moody.calls == 0


def test_retries_below_zero_are_refused():
    with pytest.raises(ConfigError, match="retries=-1"):
        run(experiment(), retries=-1)

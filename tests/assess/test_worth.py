"""What a defence is worth: by hand, from a grid, and on every page that shows it."""

from __future__ import annotations

import numpy as np
import pytest

from sharpap import split, stress_test, synthetic
from sharpap.assess import Results
from sharpap.assess.tables.worth import rows, undefended, worth
from sharpap.attacks import Bandwagon, RandomAttack
from sharpap.data import TargetPool
from sharpap.defenses import Bagging, Defended, RemoveSuspicious
from sharpap.detectors import CoVisits
from sharpap.recommenders import WRMF, Popularity
from sharpap.report.page import html
from sharpap.threat import Budget

VICTIM = WRMF(embedding_size=8, epochs=3)


@pytest.mark.parametrize(
    ("before", "plain", "defended", "verdict", "taken"),
    [
        ([0, 0], [0.02, 0.04], [0.01, 0.02], "helps", 0.5),
        ([0, 0], [0.02, 0.04], [0.015, 0.0], "may help", 0.75),
        ([0, 0], [0.02, 0.04], [0.01, 0.03], "does not help", 1 / 3),
        ([0, 0], [0.02, 0.0], [0.0, 0.0], "helps", 1.0),  # a draw without exposure says nothing
        ([0, 0], [0.02, 0.04], [0.05, 0.06], "does not help", -5 / 6),
        ([0.01, 0.01], [0.01, 0.0], [0.0, 0.0], "nothing to take", 0.0),
    ],
)
def test_a_defence_helps_where_it_takes_half_in_every_draw(before, plain, defended, verdict, taken):
    found = worth(before, plain, defended, accurate=[0.2, 0.4], after=[0.1, 0.4])
    assert (found.verdict, found.taken) == (verdict, pytest.approx(taken))
    assert found.price is not None
    assert found.price.mean == pytest.approx(-0.25)
    assert found.change.mean == pytest.approx(np.mean(defended) - np.mean(plain))
    assert worth(before, plain, defended).price is None


@pytest.fixture(scope="module")
def grid() -> Results:
    removal = RemoveSuspicious(detector=CoVisits(), users=12)
    victims = {
        "wrmf": VICTIM,
        "cleaned": Defended(recommender=VICTIM, defense=removal),
        "vote": Defended(recommender=VICTIM, defense=Bagging(models=2)),
        "alone": Defended(recommender=Popularity(), defense=removal),
    }
    return stress_test(
        split(synthetic(120, 80, 2400, seed=2), seed=0, name="made"), victims=victims, ks=(5, 20),
        attacks={"random": RandomAttack(), "bandwagon": Bandwagon()}, targets=TargetPool(draws=2, size=3),
        budget=Budget(fake_users=0.1),
    )  # fmt: skip


def test_a_grid_is_judged_as_by_hand(grid):
    found = {row.victim: row for row in rows(grid, 20)}
    assert list(found) == ["cleaned", "vote"]  # the plain form of the third is not in the grid
    assert {row.base for row in found.values()} == {"wrmf"}
    assert undefended(grid.config["victims"], "wrmf") is None

    def hits(attack: str, victim: str) -> list[float]:
        table = grid.frame.filter(attack=attack, victim=victim, metric="H", k=20, target=-1).sort("draw")
        return table["value"].to_list()

    for victim, row in found.items():
        assert row.strongest == max(grid.attacks, key=lambda attack: np.mean(hits(attack, "wrmf")))
        for attack, each in row.worths.items():
            assert each.plain.mean == pytest.approx(np.mean(hits(attack, "wrmf")))
            assert each.change.mean == pytest.approx(np.mean(np.subtract(hits(attack, victim), hits(attack, "wrmf"))))
            accuracy = [
                grid.frame.filter(attack="none", victim=name, metric="NDCG", k=20, draw=0)["value"][0]
                for name in (victim, "wrmf")
            ]
            assert row.accuracy == pytest.approx(accuracy[0])
            assert each.price is not None
            assert each.price.mean == pytest.approx(accuracy[0] / accuracy[1] - 1)


def test_every_page_says_what_a_defence_is_worth(grid, capsys, tmp_path):
    from rich.console import Console

    from sharpap.report.terminal import show

    row = next(each for each in rows(grid, 5) if each.victim == "cleaned")
    judged = row.worths[row.strongest]
    price = f"{100 * (judged.price.mean if judged.price else 0):+.1f} %"
    show(grid, Console(width=200), k=5)
    for page in (grid.to_markdown(5), html(grid), capsys.readouterr().out):
        line = next(each for each in page.splitlines() if "cleaned" in each and price in each)
        assert judged.verdict in line
        assert row.strongest in line
    bare = Results(dataset=None, config={}, rows=grid.rows, cells=grid.cells)
    assert "does it help" not in bare.to_markdown(5)

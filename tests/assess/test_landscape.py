"""Sharpness as a part of a run: measured once, kept, reloaded and reported as measured."""

from __future__ import annotations

import importlib
import re
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch
from scipy.sparse import csr_array, vstack
from scipy.stats import rankdata

from sharpap.assess import Experiment, Results, run
from sharpap.assess.recipe import experiment_from
from sharpap.assess.tables.landscape import Landscape, correlation, transfer_drops
from sharpap.assess.work import explore
from sharpap.assess.work.cells import CellStore
from sharpap.assess.work.explore import recommendation_loss
from sharpap.attacks import Bandwagon, RandomAttack
from sharpap.attacks.poison_io import load_poison
from sharpap.checksums import note_again
from sharpap.data import TargetPool, split, synthetic
from sharpap.errors import DataError, TrainingError
from sharpap.metrics.sharpness import filter_normalised
from sharpap.recommenders import WRMF, Popularity
from sharpap.report import html
from sharpap.report.markdown import markdown
from sharpap.surrogates import Embeddings, WRMFSurrogate
from sharpap.threat import Budget

RUNNER = importlib.import_module("sharpap.assess.work.pieces")  # `sharpap.assess.run` is the function of that name
SMALL = WRMFSurrogate(positive_weight=20.0, reg=20.0, embedding_size=8, epochs=20, precision="float64")


@pytest.fixture(scope="module")
def experiment():
    return Experiment(
        dataset=split(synthetic(60, 80, 1200, seed=2), seed=0, name="made"),
        attacks={"revadv": RandomAttack(), "sharpap": Bandwagon(), "other": Bandwagon(selected_share=0.9, popular_share=0.4)},
        victims={"popularity": Popularity(), "mine": WRMF(embedding_size=4, epochs=2)},
        targets=TargetPool(kind="head", size=2, draws=2), budget=Budget(fake_users=0.1), ks=(5, 10), sharpness=True,
    )  # fmt: skip


@pytest.fixture(scope="module")
def results(experiment):
    return run(experiment)


def test_what_a_run_stores_is_reloaded_and_reported(results, tmp_path):
    folder = results.save(tmp_path / "out")
    back = Results.load(folder)
    assert len(back.sharpness) == 3 * 2
    assert back.sharpness == results.sharpness
    assert back.sharpness_table.equals(results.sharpness_table)
    page, text = (folder / "report.html").read_text(), markdown(back)
    assert html(back) == page
    means = {name: [each for each in results.sharpness if each.attack == name] for name in results.attacks}
    for name, found in means.items():
        for value in (
            100 * np.mean([each.hit_ratio for each in found]),
            np.mean([each.atk_sharpness for each in found]),
            np.mean([each.rec_sharpness for each in found]),
        ):
            assert (
                f"{value:.3f}" in next(re.finditer(rf"\| {name} \|[^\n]*\d\.\d{{3}} \|$", text, re.MULTILINE)).group()
            )
            assert f"<td>{value:.3f}</td>" in page
    assert f"rho {correlation(results.sharpness_table).rho:+.2f}" in text
    assert page.count("<rect") == 2 * (121 + 8)  # the planes of the base attack and its partner
    (folder / "sharpness.json").write_text('[{"attack": 1}]')
    note_again(folder, "sharpness.json")
    with pytest.raises(DataError, match=r"sharpness\.json: The file is damaged"):
        Results.load(folder)
    demoted = replace(results, config=results.config | {"direction": "demote"})
    assert demoted.sharpness_table["drop"].is_nan().all()
    assert "too few to say anything" in html(demoted)
    replace(results, sharpness=[]).save(folder, overwrite=True)  # an older run: no such file, no such section
    older = Results.load(folder)
    assert older.sharpness == []
    assert "explain transfer" not in html(older) + markdown(older)


def test_a_landscape_is_that_of_the_poison_and_seed_it_names(results, experiment, tmp_path):
    folder = results.save(tmp_path / "out")
    train = experiment.dataset.train
    poison = load_poison(folder / "poison" / "sharpap-draw1.npz", train)
    seed = experiment.sharpness_seed(1)
    found = explore.measure(train.matrix, poison, seed=seed)
    (stored,) = [each for each in results.sharpness if (each.attack, each.draw) == ("sharpap", 1)]
    assert replace(found, attack="sharpap", draw=1) == stored
    assert seed not in {experiment.attack_seed(1), experiment.victim_seed(0), experiment.victim_seed(1)}

    trained = WRMFSurrogate(positive_weight=20.0, reg=20.0).train(train.matrix, poison.profiles, seed=seed)
    scores = (trained.embeddings.users @ trained.embeddings.items.T).numpy()
    owned = train.matrix.toarray() > 0
    shares = []
    for target in poison.goal.targets:
        rivals = np.where(owned, -np.inf, scores)
        rivals[:, list(poison.goal.targets)] = -np.inf
        hit = (rivals > scores[:, [target]]).sum(1) < 10
        shares.append(hit[~owned[:, target]].mean())
    assert stored.hit_ratio == pytest.approx(np.mean(shares))
    assert stored.rec_line[10] == pytest.approx(trained.training_loss(trained.embeddings), rel=1e-6)
    assert stored.shares[10] == pytest.approx(0)


def test_the_plane_crosses_the_line_and_rises_along_the_gradient(results):
    planes = [each for each in results.sharpness if each.plane]
    assert {each.draw for each in planes} == {0}
    for found in planes:
        values = np.array(found.plane)
        assert values.shape == (11, 11)
        np.testing.assert_allclose(values[:, 5], found.atk_line[::2], rtol=1e-5, atol=1e-7)
        assert values[5, 6] > values[5, 5] > values[5, 4]


def test_a_resumed_run_measures_nothing_twice(experiment, tmp_path, monkeypatch):
    calls = []

    def counting(*args, **options):
        if len(calls) == 4:
            raise KeyboardInterrupt
        calls.append(options["seed"])
        return explore.measure(*args, **options)

    monkeypatch.setattr(RUNNER, "measure", counting)
    first = run(experiment, cells=tmp_path / "cells")
    assert first.provenance["interrupted"]
    assert len(first.sharpness) == 4
    monkeypatch.setattr(
        RUNNER, "measure", lambda *args, **options: calls.append(0) or explore.measure(*args, **options)
    )
    whole = run(experiment, cells=tmp_path / "cells")
    assert len(calls) == 6
    assert [(each.attack, each.draw) for each in whole.sharpness] == [
        (name, draw) for draw in range(2) for name in ("revadv", "sharpap", "other")
    ]
    assert run(experiment, cells=tmp_path / "cells").sharpness == whole.sharpness
    assert len(calls) == 6
    CellStore(tmp_path / "cells").clear()
    assert not (tmp_path / "cells").exists()


def test_a_surrogate_that_diverges_costs_its_landscape_only(experiment, monkeypatch):
    def diverges(*args, **options):
        raise TrainingError("The WRMF surrogate diverged.")

    monkeypatch.setattr(RUNNER, "measure", diverges)
    found = run(replace(experiment, targets=TargetPool(draws=1)))
    assert found.sharpness == []
    assert len(found.cells) == 2 * 4


def test_the_recipes_option():
    recipe = {"data": {"source": "synthetic", "users": 40, "items": 50, "interactions": 400}, "victims": ["popularity"]}
    assert experiment_from(recipe)[0].sharpness is False
    made, config = experiment_from(recipe | {"sharpness": True})
    assert made.sharpness is True
    assert experiment_from(config)[0].sharpness is True


def test_the_recommendation_losss_gradient_by_finite_differences():
    generator = np.random.default_rng(0)
    rows = [csr_array((generator.random((n, 12)) < 0.3).astype(np.float32)) for n in (15, 3)]
    trained = SMALL.train(rows[0], rows[1], seed=0)
    loss = recommendation_loss(trained)
    at = trained.embeddings
    way = [torch.from_numpy(generator.standard_normal(part.shape)) for part in (at.users, at.items)]
    value, grad = loss(at)
    dense = vstack(rows).toarray()
    users = torch.cat([at.users, trained.fake_users]).numpy()
    scores = users @ at.items.numpy().T
    by_hand = (np.where(dense > 0, 20 * (1 - scores) ** 2, scores**2)).sum() + 20 * (users**2).sum()
    assert value == pytest.approx(by_hand + 20 * float(at.items.square().sum()))
    step = 1e-5
    ends = [loss(Embeddings(at.users + s * step * way[0], at.items + s * step * way[1]))[0] for s in (1, -1)]
    slope = float((grad.users * way[0]).sum() + (grad.items * way[1]).sum())
    assert slope == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-5)


def test_rows_of_a_direction_are_as_long_as_the_parameters():
    at = Embeddings(torch.tensor([[3.0, 4.0], [1.0, 0.0]]), torch.tensor([[0.0, 2.0]]))
    way = Embeddings(torch.tensor([[0.0, 7.0], [0.0, 0.0]]), torch.tensor([[-1e-9, 0.0]]))
    found = filter_normalised(way, at)
    torch.testing.assert_close(found.users, torch.tensor([[0.0, 5.0], [0.0, 0.0]]))
    torch.testing.assert_close(found.items, torch.tensor([[-2.0, 0.0]]))


def test_drops_and_their_rank_correlation():
    facts = {"k": 10, "rec_sharpness": 1.0, "shares": (0.0,), "atk_line": (-0.25,), "rec_line": (1.0,)}
    hits = {("a", 0): (0.02, 0.04), ("b", 0): (0.01, 0.01), ("c", 0): (0.05, 0.07), ("d", 0): (0.0, 0.0)}
    sharp = {"a": (16.0, 0.1), "b": (19.0, 0.1), "c": (2.0, 0.1), "d": (4.0, 0.0)}
    found = [Landscape(attack=n, atk_sharpness=s, hit_ratio=h, **facts) for n, (s, h) in sharp.items()]
    rows = [
        (name, victim, draw, 0, "H", 10, -1, value)
        for (name, draw), values in hits.items()
        for victim, value in zip(("bpr-mf", "lightgcn", "wrmf"), (*values, 0.9), strict=True)
    ]
    names = ["attack", "victim", "draw", "seed", "metric", "k", "target", "value"]
    table = transfer_drops(found, pl.DataFrame(rows, schema=names, orient="row"), ["bpr-mf", "lightgcn"])
    assert table["lost"][0] == pytest.approx(0.8)
    np.testing.assert_allclose(table["drop"][:3].to_numpy(), [0.7, 0.9, 0.4])
    assert np.isnan(table["drop"][3])
    known = table[:3]
    ranks = [rankdata(known[name].to_numpy()) for name in ("sharp_atk", "drop")]
    outcome = correlation(table)
    assert outcome.n == 3
    assert outcome.rho == pytest.approx(np.corrcoef(*ranks)[0, 1])
    assert np.isnan(correlation(table[:2]).rho)

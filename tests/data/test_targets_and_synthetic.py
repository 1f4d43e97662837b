"""Target pools and the generator."""

from __future__ import annotations

from importlib import import_module

import numpy as np
import pytest

from sharpap.data import TargetPool, read_interactions, split, synthetic
from sharpap.data.targets import KINDS
from sharpap.errors import ConfigError, DataError
from sharpap.metrics import evaluate
from sharpap.recommenders import WRMF, Popularity


@pytest.fixture(scope="module")
def made():
    return synthetic(800, 1000, 30_000, seed=1)


def test_pools_follow_popularity(made):
    counts = made.item_counts
    means = {kind: counts[TargetPool(kind=kind).pool(made)].mean() for kind in KINDS}
    assert means["head"] > means["upper_torso"] > means["lower_torso"] > means["tail"] > means["unpopular"] > 0
    pools = [set(TargetPool(kind=kind).pool(made).tolist()) for kind in ("head", "upper_torso", "lower_torso", "tail")]
    assert sum(map(len, pools)) == len(set.union(*pools)) == (counts > 0).sum()


def test_draws_are_seeded_and_share_no_item(made):
    pool = TargetPool(kind="tail", size=7, draws=4)
    draws = [pool.draw(made, draw, seed=5) for draw in range(4)]
    assert len(set().union(*map(set, draws))) == 28
    assert draws[2] == pool.draw(made, 2, seed=5)
    assert draws[0] != pool.draw(made, 0, seed=6)


def test_named_targets_and_misuse(made, tmp_path):
    (tmp_path / "x.csv").write_text("user,item\nu,apple\nu,pear\nv,fig\n")
    read = read_interactions(tmp_path / "x.csv")
    assert TargetPool(items=("pear", "apple")).draw(read, 0, seed=0) == (0, 2)
    with pytest.raises(DataError, match=r"not in the data: plum.*apple"):
        TargetPool(items=("plum",)).draw(read, 0, seed=0)
    with pytest.raises(DataError, match="5 targets do not fit"):
        TargetPool(kind="head").draw(read, 0, seed=0)
    with pytest.raises(ConfigError, match="no target pool"):
        TargetPool(kind="famous")  # pyright: ignore[reportArgumentType]


def test_synthetic_is_seeded_sized_and_skewed():
    first, again, other = (synthetic(700, 900, 25_000, seed=seed) for seed in (3, 3, 4))
    assert first.fingerprint == again.fingerprint != other.fingerprint
    assert first.nnz == pytest.approx(25_000, rel=0.02)
    assert first.user_counts.min() >= 5
    assert np.sort(first.item_counts)[-90:].sum() > 3 * 0.1 * first.nnz
    assert first.user_counts.max() > 4 * np.median(first.user_counts)


@pytest.mark.parametrize(
    ("shape", "seed", "fingerprint"),
    [
        ((1000, 1500, 50_000), 0, "215d300e7d28bb0fb433fc5257fb8c6d"),
        ((150, 100, 3000), 0, "f73b6a2d3ac98a1fb4ceccf46ce8c58e"),
    ],
)
def test_a_seed_gives_the_bytes_that_it_gave_before(shape, seed, fingerprint):
    assert synthetic(*shape, seed=seed).fingerprint == fingerprint


def test_millions_of_interactions_are_made_by_sorting_alone(monkeypatch):
    """NumPy's hash table is what took minutes; and a long generation says how far it is."""
    module = import_module("sharpap.data.generated")
    events = []
    monkeypatch.setattr(np, "unique", lambda *_args, **_options: pytest.fail("np.unique"))
    monkeypatch.setattr(module, "TOLD", 10_000)
    monkeypatch.setattr(module.progress, "event", lambda kind, **fields: events.append((kind, fields["wanted"])))
    made = synthetic(3000, 2000, 60_000, seed=2)
    assert made.nnz == pytest.approx(60_000, rel=0.02)
    assert events
    assert events[0][0] == "generating"


def test_synthetic_can_be_learned(made):
    parts = split(made, seed=0)

    def ndcg(model):
        return evaluate(model, parts.train.matrix, targets=(), held_out=parts.test.matrix, ks=(10,)).ndcg[10]

    factors = WRMF(embedding_size=16, reg=5).fit(parts.train.matrix, seed=0)
    assert ndcg(factors) > 1.5 * ndcg(Popularity().fit(parts.train.matrix, seed=0))


def test_synthetic_refuses_what_cannot_be():
    with pytest.raises(ConfigError, match="more than half"):
        synthetic(10, 10, 90)

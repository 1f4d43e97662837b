"""GOAT: pools around templates, ratings smoothed over the item graph."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array
from small_generators import BUDGET, GOAL, SMALL

from sharpap.attacks import GOAT
from sharpap.attacks.generators.gan import Templates
from sharpap.attacks.generators.goat import Pools, Smoother
from sharpap.errors import ConfigError
from sharpap.recommenders import ItemKNN


@pytest.fixture
def pools(blocks):
    graph = csr_array(ItemKNN(neighbours=8).fit(blocks, seed=0).weights)
    return Pools.over(Templates.of(blocks, 8, np.array([5, 33])), graph, 3, 2.0)


def test_a_pool_is_a_template_and_as_many_popular_items_and_neighbours(pools, blocks):
    assert pools.counts == (3, 3, 5, 5)
    batch = pools.draw(30, np.random.default_rng(0))
    popularity = np.asarray(blocks.sum(0)).ravel()
    selected, popular, fillers, near = (part.numpy() for part in pools.parts(batch.items))
    assert all(len(set(items)) == 16 for items in batch.items.tolist())
    assert not np.isin(batch.items.numpy(), [5, 33]).any()
    assert (popularity[selected].min(1) >= popularity[fillers].max(1)).all()
    assert popularity[popular].mean() > popularity[near].mean()
    linked = pools.graph.toarray() > 0
    share = np.mean([linked[row][:, items].any(0).mean() for row, items in zip(selected, near, strict=True)])
    assert share > 0.9


def test_profiles_hold_as_many_of_both_kinds_as_the_template(pools):
    generator = Smoother(GOAT(**SMALL, embedding_size=4), pools, np.random.default_rng(0))
    batch = pools.draw(20, np.random.default_rng(1), noise=generator.noise)
    rows, pool = generator.fake(batch).detach(), batch.items
    assert rows.sum(1).tolist() == [8.0] * 20
    assert rows.gather(1, pool[:, :6]).sum(1).tolist() == [3.0] * 20
    assert rows.gather(1, pool[:, 6:]).sum(1).tolist() == [5.0] * 20
    real = generator.real(batch)
    assert real.sum(1).tolist() == [8.0] * 20
    assert real.gather(1, torch.cat([pool[:, :3], pool[:, 6:11]], 1)).all()


def test_ratings_are_smoothed_over_links(pools):
    """Links go both ways, and ratings differ less with them than without."""
    generator = Smoother(GOAT(**SMALL, embedding_size=4), pools, np.random.default_rng(0))
    batch = pools.draw(20, np.random.default_rng(1), noise=generator.noise)
    links = generator.links(batch)
    torch.testing.assert_close(links.sum(2), torch.ones(20, 16))
    assert ((links > 0) == (links > 0).transpose(1, 2)).all()
    assert (torch.diagonal(links, dim1=1, dim2=2) > 0).all()
    smooth = generator.ratings(batch).std(1).mean()
    generator.links = lambda _: torch.eye(16).expand(20, -1, -1)  # pyright: ignore[reportAttributeAccessIssue]
    assert smooth < 0.8 * generator.ratings(batch).std(1).mean()


def test_a_trained_generator_rates_the_template_above_the_rest(blocks, played):
    GOAT(**SMALL, neighbours=8, generator_rate=0.01).poison(blocks, GOAL, BUDGET, seed=0)
    ((generator, _),) = played
    batch = generator.templates.draw(40, np.random.default_rng(5), noise=generator.noise)
    with torch.no_grad():
        selected, popular, fillers, near = generator.templates.parts(generator.ratings(batch))
    assert torch.cat([selected, fillers], 1).mean() > torch.cat([popular, near], 1).mean() + 0.3


@pytest.mark.parametrize("bad", [{"selected_share": -0.1}, {"pool": 0.5}, {"neighbours": 0}, {"rating_weight": -1.0}])
def test_refuses_nonsense(bad):
    with pytest.raises(ConfigError, match=next(iter(bad))):
        GOAT(**bad)

"""Grids that nobody trained: results of any size, with failures and victims that cannot tell everything."""

from __future__ import annotations

import numpy as np

from sharpap.assess.results import Results
from sharpap.assess.rows import Cell


def grid(attacks: int, victims: int, *, draws: int = 1, seeds: int = 1, ks=(10, 20, 50), targets: int = 2) -> Results:
    """`attacks` x `victims` matrix cells; every second attack is the partner of the one before it."""
    generator = np.random.default_rng(0)
    names = ["none", *(f"{'revadv' if i % 2 == 0 else 'sharpap'}-{i // 2}" for i in range(attacks))]
    made = Results(
        dataset=None, config={"title": "made up"},
        provenance={
            "dataset": {
                "name": "made up", "users": 1000, "items": 2000, "train": 50000, "fingerprint": "0", "source": {}
            },
        },
    )  # fmt: skip
    for a, attack in enumerate(names):
        for v in range(victims):
            victim = f"victim-{v:02d}"
            strength = 0.02 + 0.3 * generator.random() * (a > 0)
            for draw in range(draws):
                for seed in range(seeds):
                    rows = []
                    for k in ks:
                        values = np.clip(strength * k / 10 + 0.02 * generator.standard_normal(targets), 0, 1)
                        for metric, scale in (("H", 1.0), ("N", 0.4)):
                            rows += [(metric, k, target, float(scale * values[target])) for target in range(targets)]
                            rows.append((metric, k, -1, float(scale * values.mean())))
                        if a or draw == 0:
                            rows.append(("NDCG", k, -1, float(0.2 - 0.01 * generator.random())))
                    made.add(attack, victim, draw, seed, rows)
            runs = [(-1, seed) for seed in range(seeds)] if attack == "none" else np.ndindex(draws, seeds)
            made.cells += [Cell(attack=attack, victim=victim, draw=d, seed=s, train_seconds=1.0) for d, s in runs]
    return made

"""Can a cheap score choose the surrogate before the attack is run?

    sharpap run ablation/surrogate --out results/ablation-surrogate
    python benchmarks/surrogate_choice.py results/ablation-surrogate

For each single surrogate of that recipe, from clean data only (no profile is crafted): how far its lists agree with a
victim's (needs the victim), how far they agree with the other surrogates' (needs nothing), and how sharp the attack loss is
around it. Beside them, what the finished attack gave: H@10 on the surrogate itself, and on each victim. Then, over surrogates
and victims, how well each score orders the transfer (Spearman; a handful of surrogates decides little).
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
import torch
from scipy.sparse import csr_array
from scipy.stats import spearmanr

from sharpap.assess import Results
from sharpap.assess.folder.save import poison_files
from sharpap.assess.recipe import experiment_from
from sharpap.attacks import RevAdv, SmoothHits
from sharpap.attacks.poison_io import load_poison
from sharpap.attacks.profiles import to_csr
from sharpap.attacks.scan import scan
from sharpap.config.recipes import read_recipe
from sharpap.kernels import mask_rows, topk_scores
from sharpap.metrics.sharpness import keskar_sharpness
from sharpap.recommenders.calls import fit, score_blocks
from sharpap.surrogates.base import Embeddings

LENGTH = 50
SEED = 77


def main() -> None:
    """Print a row for each surrogate, and the rank correlations."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--recipe", default="ablation/surrogate")
    args = parser.parse_args()
    experiment, _ = experiment_from(read_recipe(args.recipe))
    train = experiment.dataset.train.matrix
    single = {
        name: attack for name, attack in experiment.attacks.items() if isinstance(attack, RevAdv) and not attack.others
    }
    lists, sharp = {}, {}
    for name, attack in single.items():
        trained = attack.surrogate.train(train, to_csr([], train.shape[1]), seed=SEED)
        lists[name] = best_of_embeddings(trained.embeddings, train)
        found = scan(trained.embeddings, train, experiment.goals()[0], k=10, rivals=50)
        loss = partial(SmoothHits(bandwidth=0.5, relative=True).value_and_grad, scan=found)
        sharp[name] = keskar_sharpness(trained.embeddings, loss)
    of_victim = {}
    for name, victim in experiment.victims.items():
        model = fit(victim, train, experiment.dataset.valid.matrix, seed=experiment.victim_seed(0))
        of_victim[name] = best_of_model(model, train)
    frame = Results.load(args.folder).frame.filter(
        (pl.col("metric") == "H") & (pl.col("k") == 10) & (pl.col("target") == -1)
    )
    hits = {
        (attack, victim): 100 * value
        for attack, victim, value in frame.group_by("attack", "victim").agg(pl.col("value").mean()).iter_rows()
    }
    victims = list(of_victim)
    columns = [
        *(f"{victim}: agreement, H@10 %" for victim in victims),
        "with other surrogates",
        "sharpness",
        "own H@10 %",
    ]
    print(f"| surrogate | {' | '.join(columns)} |\n|---|{'---:|' * len(columns)}")
    pairs, rows = [], []
    for name in single:
        agreement = {victim: overlap(lists[name], of_victim[victim]) for victim in victims}
        consensus = float(np.mean([overlap(lists[name], lists[other]) for other in single if other != name]))
        own = own_hits(args.folder, name, experiment.dataset.train)
        pairs += [(agreement[victim], hits[name, victim]) for victim in victims]
        rows.append(
            (np.mean(list(agreement.values())), consensus, sharp[name], own, np.mean([hits[name, v] for v in victims]))
        )
        cells = [f"{agreement[victim]:.2f}, {hits[name, victim]:.3f}" for victim in victims]
        print(f"| {name} | {' | '.join(cells)} | {consensus:.2f} | {sharp[name]:.2f} | {own:.3f} |")
    found = spearmanr(*np.array(pairs).T)
    print(
        f"\nAgreement with the victim, H@10 on it: Spearman {found.statistic:+.2f} (p {found.pvalue:.3f}, {len(pairs)} pairs)"
    )
    table = np.array(rows)
    for column, label in enumerate(
        ("agreement with victims", "agreement with other surrogates", "sharpness", "own H@10")
    ):
        found = spearmanr(table[:, column], table[:, -1])
        print(f"{label} and mean H@10: Spearman {found.statistic:+.2f} ({len(rows)} surrogates)")


def own_hits(folder: Path, attack: str, train) -> float:
    """Mean H@10 in percent that the attack saw on fresh copies of its own surrogate."""
    files = poison_files(folder, attack).values()
    return 100 * float(np.mean([load_poison(path, train).notes["surrogate_hit_ratio"] for path in files]))


def best_of_embeddings(embeddings: Embeddings, train: csr_array) -> np.ndarray:
    """(users, LENGTH) best items that each user does not own."""
    scores = (embeddings.users @ embeddings.items.T).numpy()
    return _best(scores, np.arange(train.shape[0]), train)


def best_of_model(model, train: csr_array) -> np.ndarray:
    """The same of a victim."""
    users = np.arange(train.shape[0])
    return np.concatenate([_best(scores, part, train) for part, scores in score_blocks(model, users, train.shape[1])])


def _best(scores: np.ndarray, users: np.ndarray, train: csr_array) -> np.ndarray:
    scores = np.array(scores)
    mask_rows(scores, users, train.indptr, train.indices)
    return topk_scores(scores, LENGTH)[0]


def overlap(first: np.ndarray, second: np.ndarray) -> float:
    """Mean share of the list that both have."""
    return float(np.mean([np.isin(a, b).mean() for a, b in zip(first, second, strict=True)]))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()

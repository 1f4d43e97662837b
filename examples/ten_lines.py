"""From a dataset to a transfer matrix in ten lines. Run: python examples/ten_lines.py"""

import sharpap as sp

results = sp.stress_test(
    "ml-100k",
    attacks={"random": sp.RandomAttack(), "sharpap": sp.RevAdv(worst_case=sp.SharpnessAware(rho=0.02))},
    victims={"wrmf": sp.WRMF(), "lightgcn": sp.LightGCN()},
    targets=sp.TargetPool(kind="unpopular", size=5, draws=2),
    out="results/ten-lines",
)
print(results.transfer_matrix("H", k=10))

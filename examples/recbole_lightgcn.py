"""RecBole's LightGCN as a victim, in an environment of its own. Run: python examples/recbole_lightgcn.py (about 2 minutes)

First, once: sharpap env create recbole
"""

import sys

import sharpap as sp
from sharpap.adapters.environment import Environment

if __name__ == "__main__":
    if Environment("recbole").state == "not made":
        print("RecBole's environment is not made. Run: sharpap env create recbole")
        sys.exit()
    lightgcn = sp.RecBoleRecommender(model="LightGCN", options={"epochs": 30, "learning_rate": 0.01})
    results = sp.stress_test(
        "ml-100k",
        attacks={"bandwagon": sp.Bandwagon(), "sharpap": sp.RevAdv(worst_case=sp.SharpnessAware())},
        victims={"RecBole's LightGCN": lightgcn, "wrmf": sp.WRMF()},
        targets=sp.TargetPool(draws=1),
    )
    print(results.transfer_matrix("H", k=10))

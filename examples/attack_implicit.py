"""How exposed is an `implicit` ALS model? Run: python examples/attack_implicit.py (needs `pip install sharpap[implicit]`)"""

from implicit.als import AlternatingLeastSquares

import sharpap as sp


def main(data="ml-100k", attack=None, **settings):
    """Attack it with SharpAP's default attack; `settings` are those of `sharpap.stress_test`."""
    model = AlternatingLeastSquares(factors=64, alpha=20, regularization=20, iterations=15)
    results = sp.stress_test(
        data,
        attacks={"random": sp.RandomAttack(), "sharpap": attack or sp.RevAdv(worst_case=sp.SharpnessAware())},
        victims={"implicit-als": sp.adapt(model), "wrmf": sp.WRMF()},
        targets=sp.TargetPool(draws=1),
        **settings,
    )
    print(results.transfer_matrix("H", k=10))
    return results


if __name__ == "__main__":
    main()

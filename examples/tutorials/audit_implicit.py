"""How exposed is an `implicit` model? Run: python audit_implicit.py, or: sharpap audit audit_implicit:model"""

from implicit.als import AlternatingLeastSquares

import sharpap as sp
from sharpap.report.audit import audit_page


def model(factors=64, regularization=10.0, alpha=5.0, iterations=15):
    """The model as you use it. The parameters are those that `--set victim.NAME=...` and `--vary NAME=...` change."""
    return AlternatingLeastSquares(factors=factors, regularization=regularization, alpha=alpha, iterations=iterations)


def main(data="ml-100k", settings=None):
    """The report as Markdown."""
    dataset = sp.load(data) if isinstance(data, str) else data
    settings = settings or sp.Audit(budgets=(0.01,), pools=("unpopular",), draws=2)
    return audit_page(sp.audit(dataset, sp.adapt(model()), settings, name="my ALS"))


if __name__ == "__main__":
    print(main())

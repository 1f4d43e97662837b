"""The pictures of README and docs: docs/pictures/*.svg, from the results folders of the commands that they stand beside.

make demo
python benchmarks/pictures.py results/demo      # or `make pictures`: both
"""

from __future__ import annotations

import argparse
from pathlib import Path

from sharpap.assess import Results

PICTURES = Path(__file__).parent.parent / "docs" / "pictures"


def main() -> None:
    """Draw the demo's longest lists, and the reach of its shortest: longer ones have no cliff."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("demo", type=Path, help="results folder of the recipe demo")
    results = Results.load(parser.parse_args().demo)
    for kind in ("victims", "tradeoff"):
        print(results.plot(kind, k=max(results.ks)).save(PICTURES / f"demo-{kind}.svg"))
    print(results.plot("reach", k=min(results.ks)).save(PICTURES / "demo-reach.svg"))


if __name__ == "__main__":
    main()

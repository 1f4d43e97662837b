"""Write each tutorial as a notebook beside its script.

python website/notebooks.py      # `make notebooks`: examples/tutorials/*.ipynb

A notebook is a page of docs/tutorials/: its text, and its blocks of Python as cells. It holds no output.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
PAGES = ROOT / "docs" / "tutorials"
NOTEBOOKS = ROOT / "examples" / "tutorials"
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)  # a block with a title is another file's: text


def main() -> None:
    """Write them all."""
    for page in sorted(PAGES.glob("*.md")):
        path = NOTEBOOKS / f"{page.stem.replace('-', '_')}.ipynb"
        path.write_text(notebook(page.read_text("utf-8")), "utf-8")
        print(path.relative_to(ROOT))


def notebook(page: str) -> str:
    """The file that Jupyter reads. Links of the page lead to the same places from the folder of the notebook."""
    cells = []
    for number, part in enumerate(BLOCK.split(page)):  # text and code take turns
        code = number % 2 == 1
        text = part if code else re.sub(r"\]\(\.\./(?!\.\./)", "](../../docs/", part)
        if text.strip():
            cells.append(_cell("code" if code else "markdown", text.strip("\n"), len(cells)))
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    whole = {
        "cells": cells, "metadata": {"kernelspec": kernel, "language_info": {"name": "python"}}, "nbformat": 4,
        "nbformat_minor": 5,
    }  # fmt: skip
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def _cell(kind: str, text: str, number: int) -> dict[str, Any]:
    cell: dict[str, Any] = {"cell_type": kind, "id": f"cell-{number}", "metadata": {}}
    if kind == "code":
        cell |= {"execution_count": None, "outputs": []}
    return cell | {"source": text.splitlines(keepends=True)}


if __name__ == "__main__":
    main()

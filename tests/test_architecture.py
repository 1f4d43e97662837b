"""The rules of docs/architecture.md that a machine can check."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import sharpap

PACKAGE = Path(sharpap.__file__).parent
ORDER = [
    "data", "kernels", "recommenders", "surrogates", "attacks", "metrics", "detectors", "defenses", "adapters", "config",
    "tuned", "assess", "report", "tracking", "testing", "cli",
]  # fmt: skip
FILES = sorted(PACKAGE.rglob("*.py"))


def imported(path: Path) -> set[str]:
    """Rooms that a file imports when it is imported itself (not inside functions, not for type checking)."""
    rooms = set()
    for node in ast.parse(path.read_text()).body:
        names = [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        rooms |= {name.split(".")[1] for name in names if name.startswith("sharpap.") and name.count(".")}
    return rooms & set(ORDER)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nothing_imports_from_its_right(path):
    room = path.relative_to(PACKAGE).parts[0]
    if room in ORDER:
        assert all(ORDER.index(other) <= ORDER.index(room) for other in imported(path)), imported(path)
    else:
        assert imported(path) <= {"cli"} if path.name == "__main__.py" else not imported(path)


def test_every_public_name_exists_and_importing_the_package_is_free():
    for name in sharpap.__all__:
        assert getattr(sharpap, name) is not None
    assert set(sharpap.__all__) == set(sharpap._MODULE)
    code = "import sys, sharpap; print({'torch', 'numba', 'polars', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_files_stay_short():
    assert max(len(path.read_text().splitlines()) for path in FILES) < 400

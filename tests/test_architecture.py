"""The rules of docs/architecture.md that a machine can check."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import sharpap
from sharpap.config import REGISTRY

PACKAGE = Path(sharpap.__file__).parent
ROOT = Path(__file__).parent.parent
ORDER = [
    "data", "kernels", "recommenders", "surrogates", "attacks", "metrics", "detectors", "defenses", "adapters", "config",
    "tuned", "assess", "report", "tracking", "testing", "cli",
]  # fmt: skip
FILES = sorted(PACKAGE.rglob("*.py"))


def imports(path: Path) -> set[str]:
    """Modules of the package that a file imports anywhere in it, within functions too, but for type checking."""
    found: set[str] = set()
    waiting: list[ast.AST] = [ast.parse(path.read_text())]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            waiting += node.orelse
            continue
        waiting += ast.iter_child_nodes(node)
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= inner if inner <= MODULES.keys() else inner | {str(node.module)}
    return found & MODULES.keys() - {module_of(path)}


def module_of(path: Path) -> str:
    """The name that a file is imported by."""
    return ".".join(("sharpap", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")


MODULES = {module_of(path): path for path in FILES}


def rooms(path: Path) -> set[str]:
    """Those that a file imports from."""
    return {name.split(".")[1] for name in imports(path) if name.count(".")} & set(ORDER)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nothing_imports_from_its_right(path):
    """But for the methods of `Results` that draw, which hand over to the report."""
    room = path.relative_to(PACKAGE).parts[0]
    allowed = (
        {"report"} if path == PACKAGE / "assess" / "results.py" else {"cli"} if path.name == "__main__.py" else set()
    )
    left = ORDER[: ORDER.index(room) + 1] if room in ORDER else []
    assert rooms(path) <= {*left, *allowed}


def test_no_module_imports_itself_through_others():
    """Those that import no other are taken away, again and again: what is left is a circle, or imports one."""
    left = {name: imports(path) for name, path in MODULES.items()}
    while free := {name for name, others in left.items() if not others}:
        left = {name: others - free for name, others in left.items() if name not in free}
    assert not left, f"in a circle, or above one: {sorted(left)}"


def test_every_public_name_exists_and_importing_the_package_is_free():
    for name in sharpap.__all__:
        assert getattr(sharpap, name) is not None
    named = {made.__name__ for names in REGISTRY.values() for made, _ in names.values()}
    assert named <= set(sharpap.__all__)
    code = "import sys, sharpap; print({'torch', 'numba', 'polars', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_files_stay_short():
    assert max(len(path.read_text().splitlines()) for path in FILES) < 400


def test_the_page_draws_every_room():
    page = (ROOT / "docs" / "architecture.md").read_text()
    inner = {init.parent.name for init in PACKAGE.rglob("__init__.py")} - {"sharpap"}
    assert {name for name in inner if f"── {name}/" not in page} == set()

"""Documents point at files that exist, and show code that runs."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("**/*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_paths_exist(page):
    text = page.read_text()
    for link in re.findall(r"\]\((?!https?://|(?:\.\./)*reference/)([^)#]+)", text):
        assert (page.parent / link).exists(), link
    for path in re.findall(r"\b(?:tests|benchmarks|examples|docs)/[\w/]+\.(?:py|md)\b", text):
        assert (ROOT / path).exists(), path


def test_the_readmes_example_is_the_one_in_examples():
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    (code,) = (block for block in blocks if "stress_test" in block)
    assert code in (ROOT / "examples" / "ten_lines.py").read_text()


def test_the_readme_is_a_screen_that_sells_and_one_that_starts():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 110


def test_locks_hold_the_pins_with_hashes():
    """What CI installs by `make locked`: every package of constraints.txt at its version, each with the hash of a file."""
    pins = dict(line.lower().split("==") for line in (ROOT / "constraints.txt").read_text().split())
    pins = {re.sub("[._]", "-", name): version for name, version in pins.items()}
    locked = {}
    for lock in ("packages", "torch-cpu", "torch-cuda"):
        text = (ROOT / "locks" / f"{lock}.txt").read_text()
        for entry in text.replace(" \\\n", " ").splitlines()[1:]:
            (name, version), hashes = (
                re.findall(r"^(\S+)==(\S+)", entry)[0],
                re.findall("--hash=sha256:[0-9a-f]{64}", entry),
            )
            assert hashes, entry
            assert version == pins.get(name, version), f"{name}: run `make lock`"
            locked[name] = version
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["dev"], *extras["audit"]]
    assert {requirement.partition(">=")[0].lower() for requirement in wanted} <= locked.keys(), "run `make lock`"


def test_the_readmes_own_model_is_the_one_in_examples():
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    (own,) = (block for block in blocks if "def fit(self" in block)
    assert own.split("\n\n\n", 1)[1].strip() in (ROOT / "examples" / "own_recommender.py").read_text()


def test_pins_satisfy_the_declared_bounds():
    """Every dependency of pyproject.toml is pinned in constraints.txt at or above its lower bound."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pins = dict(line.lower().split("==") for line in (ROOT / "constraints.txt").read_text().split())
    pins = {name.replace("_", "-"): version for name, version in pins.items()}
    extras = project["optional-dependencies"]
    for requirement in [*project["dependencies"], *extras["dev"], *extras["docs"]]:
        name, _, bound = requirement.partition(">=")
        pinned = [int(part) for part in re.findall(r"\d+", pins[name.lower()])]
        assert pinned >= [int(part) for part in bound.split(".")], requirement


@pytest.mark.slow
@pytest.mark.parametrize("example", sorted((ROOT / "examples").glob("*.py")), ids=lambda path: path.name)
def test_examples_run(example, tmp_path):
    done = subprocess.run([sys.executable, str(example)], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "sharpap" in done.stdout

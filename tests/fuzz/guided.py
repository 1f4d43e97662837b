"""Coverage-guided fuzzing of the text readers, recipes and provenance with atheris, in an environment that has it:

python tests/fuzz/guided.py -max_total_time=240 -timeout=25 CORPUS

The first byte of an input picks what it is read as. Without a corpus folder it starts from the seeds of `fuzz_mutate`.
"""

from __future__ import annotations

import random
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["sharpap.data", "sharpap.config", "sharpap.attacks.poison_io"]):
    import fuzz_check
    from fuzz_mutate import PROVENANCE, RECIPE, text_seeds

NAMES = ("x.csv", "x.tsv", "u.data", "r.dat", "x.inter", "train.txt", "data", "r.toml", "p.csv.json")
FOLDER = Path(tempfile.mkdtemp(prefix="sharpap-guided-"))


def one(data: bytes) -> None:
    """Check one input; a `Finding` ends the run, and atheris keeps the input."""
    if len(data) < 2:
        return
    name, rest = NAMES[data[0] % len(NAMES)], data[1:]
    kind, files = "text", {name: rest}
    if name == "r.toml":
        kind = "recipe"
    elif name == "p.csv.json":
        kind, name = "profiles-csv", "p.csv"
        files[name] = b"user_id,item_id\nfake-0,1\n"
    fuzz_check.check(kind, (name, files), FOLDER, deep=data[0] % 4 == 0)


def seeds(folder: Path) -> None:
    """A corpus to start from."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed in range(3):
        for kind, (name, files) in text_seeds(random.Random(seed)).items():
            if name in NAMES:
                (folder / f"{kind}-{seed}").write_bytes(bytes([NAMES.index(name)]) + files[name])
    (folder / "recipe").write_bytes(bytes([NAMES.index("r.toml")]) + RECIPE.encode())
    (folder / "provenance").write_bytes(
        bytes([NAMES.index("p.csv.json")]) + repr(PROVENANCE).replace("'", '"').encode()
    )


if __name__ == "__main__":
    if sys.argv[-1].startswith("-") or len(sys.argv) == 1:
        sys.argv.append(tempfile.mkdtemp(prefix="sharpap-corpus-"))
    if not any(Path(sys.argv[-1]).glob("*")):
        seeds(Path(sys.argv[-1]))
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()

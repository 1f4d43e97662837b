"""A recommender that is a command: the train matrix goes to it in a file, scores or top-k lists come back in one."""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from scipy.sparse import csr_array, csr_matrix, save_npz

from sharpap.adapters.outputs import StoredScores, TopKLists, read_lists, read_scores
from sharpap.adapters.process import check_timeout, run_command
from sharpap.errors import ConfigError, ContractError
from sharpap.recommenders import Capabilities
from sharpap.scratch import Scratch

PLACEHOLDERS = ("train", "valid", "users", "seed", "scores", "topk")
OUTPUTS = ("scores", "topk")
_BRACES = re.compile(r"\{([A-Za-z_]+)\}")


@dataclass(frozen=True, kw_only=True)
class CommandRecommender:
    """A command that trains on a file and writes scores or top-k lists to another.

    The command is run without a shell, in the current folder. In each of its words are replaced

    - ``{train}``: .npz of `scipy.sparse.save_npz`, (num_users, num_items) binary CSR; fake users are its last rows;
    - ``{valid}``: the same of held-out interactions of the first, genuine users (no rows where there are none);
    - ``{users}``: .npy of the users that need a list, those with an interaction;
    - ``{seed}``: a whole number below 2**32;
    - ``{scores}``: where to write a .npy, (num_users, num_items), higher is better, -inf where there is no score;
    - ``{topk}``: where to write lists without the items that a user has: a .parquet or .csv with columns user, item, rank (from
      1), or a .npy of (num_users, k) item numbers, -1 after the end; ``{topk}.csv`` and the like are fine, too.

    Users and items are rows and columns of the train matrix. Scores stay on disk and are mapped into memory; they take 4
    bytes a pair of user and item there. Files lie in a temporary folder that goes with the trained model.

    Attributes:
        command: the command's words.
        output: which of the two it writes.
        timeout: seconds until it is ended with all its children.
        top_k: length of the lists; None: that of the longest.
        deterministic: the same seed gives the same model.
        keep: a folder in which each run keeps its files, for debugging; None: they are removed.
    """

    command: tuple[str, ...]
    output: Literal["scores", "topk"] = "scores"
    timeout: float = 3600.0
    top_k: int | None = None
    deterministic: bool = True
    keep: str | None = None

    def __post_init__(self) -> None:
        if isinstance(self.command, str):
            raise ConfigError(
                "The command is one text.", hint='Give its words, e.g. ("python", "train.py", "{train}", "{scores}").'
            )
        object.__setattr__(self, "command", tuple(map(str, self.command)))
        if not self.command or not self.command[0]:
            raise ConfigError("The command is empty.")
        if self.output not in OUTPUTS:
            raise ConfigError(f"output={self.output!r} is neither scores nor topk.")
        used = {name for word in self.command for name in _BRACES.findall(word)}
        for name in sorted(used - set(PLACEHOLDERS)):
            raise ConfigError(
                f"The command holds {{{name}}}, which stands for nothing.",
                hint="It may hold " + ", ".join(f"{{{each}}}" for each in PLACEHOLDERS) + ".",
            )
        for name in ("train", self.output):
            if name not in used:
                raise ConfigError(f"The command does not hold {{{name}}}.", hint="It must be told where that file is.")
        if any("\0" in word for word in self.command):
            raise ConfigError("The command holds a zero byte, which no command can have.")
        check_timeout(self.timeout)
        if self.top_k is not None and (self.output == "scores" or self.top_k < 1):
            raise ConfigError(f"top_k={self.top_k} must be 1 or more, and belongs to output='topk'.")

    @property
    def capabilities(self) -> Capabilities:
        """What is declared before training."""
        return Capabilities(top_k=self.top_k, deterministic=self.deterministic)

    def fit(self, train: csr_array, *, seed: int, valid: csr_array | None = None) -> StoredScores | TopKLists:
        """Run the command.

        Raises:
            TrainingError: it is not found, fails, or takes too long. ContractError: it writes nothing, or something of the
                wrong form. Where it may help, the last lines that it printed are part of the message.
        """
        owner = None if self.keep is not None else Scratch()
        folder = self._kept() if owner is None else owner.folder
        source = f"The command {self.command[0]!r}"
        said = run_command(self._words(folder, train, valid, seed), log=folder / "log.txt", timeout=self.timeout)
        path = self._written(folder, said)
        record: dict[str, Any] = {"output": said}
        if self.output == "scores":
            scores = read_scores(path, (train.shape[0], train.shape[1]), source)
            return StoredScores(scores=scores, source=source, capabilities=self.capabilities, log=record, owner=owner)
        lists = read_lists(path, train.shape[0], train.shape[1], active_users(train), source)
        if self.top_k is not None and lists.shape[1] > self.top_k:
            raise ContractError(f"{source}: lists have {lists.shape[1]} items, more than top_k={self.top_k}.")
        can = Capabilities(top_k=self.top_k or max(lists.shape[1], 1), deterministic=self.deterministic)
        return TopKLists(items=lists, num_items=train.shape[1], capabilities=can, log=record)

    def _kept(self) -> Path:
        home = Path(self.keep or "")
        home.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix="run-", dir=home))

    def _words(self, folder: Path, train: csr_array, valid: csr_array | None, seed: int) -> list[str]:
        """Write the input files that the command names; the command with places filled in."""
        places = {
            "train": folder / "train.npz", "valid": folder / "valid.npz", "users": folder / "users.npy",
            "scores": folder / "scores.npy", "topk": folder / "topk", "seed": seed % 2**32,
        }  # fmt: skip
        used = {name for word in self.command for name in _BRACES.findall(word)}
        save_matrix(folder / "train.npz", train)
        if "valid" in used:
            save_matrix(folder / "valid.npz", csr_array((0, train.shape[1])) if valid is None else valid)
        if "users" in used:
            np.save(folder / "users.npy", active_users(train))
        return [_BRACES.sub(lambda match: str(places[match[1]]), word) for word in self.command]

    def _written(self, folder: Path, said: str) -> Path:
        """The one file that the command wrote."""
        if self.output == "scores":
            found = [path for path in [folder / "scores.npy"] if path.is_file()]
        else:
            found = sorted(path for path in folder.glob("topk*") if path.is_file())
        if not found:
            raise ContractError(
                f"The command {self.command[0]!r} ended well, but wrote no {self.output}.{said}",
                hint=f"It must write to the path that {{{self.output}}} stands for.",
            )
        if len(found) > 1:
            names = ", ".join(path.name for path in found)[:300]
            raise ContractError(f"The command {self.command[0]!r} wrote several lists: {names}.")
        return found[0]


def save_matrix(file: Any, matrix: csr_array) -> None:
    """Write a matrix as .npz in the old matrix class, which every version of scipy reads; to a path or an open file."""
    save_npz(file, csr_matrix(matrix), compressed=False)


def active_users(train: csr_array) -> np.ndarray[Any, np.dtype[np.int64]]:
    """The rows with an interaction."""
    return np.flatnonzero(np.diff(train.indptr)).astype(np.int64)

"""Virtual environments for libraries that cannot live beside SharpAP, made from pinned requirements that ship with it."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from collections import deque
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Literal

import platformdirs

from sharpap import progress
from sharpap.errors import ConfigError, DownloadError
from sharpap.files import refuse_link, write_text
from sharpap.scratch import Scratch

NAMES = ("recbole", "rectools")
MARKER = "sharpap-environment.json"
State = Literal["ready", "outdated", "not made"]


def environments_home() -> Path:
    """The folder of all environments: $SHARPAP_ENV_HOME, or the user's data folder."""
    home = os.environ.get("SHARPAP_ENV_HOME")
    return Path(home) if home else Path(platformdirs.user_data_dir("sharpap")) / "environments"


@dataclass(frozen=True)
class Environment:
    """One environment, made or not.

    Attributes:
        name: one of `NAMES`; also the module that must be importable inside.
    """

    name: str

    def __post_init__(self) -> None:
        if self.name not in NAMES:
            raise ConfigError(f"There is no environment {self.name!r}.", hint=f"Choose one of: {', '.join(NAMES)}.")

    @property
    def folder(self) -> Path:
        """Where it is, or would be."""
        return environments_home() / self.name

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return _python_in(self.folder)

    @property
    def requirements(self) -> str:
        """The pinned requirements, as pip reads them."""
        return (resources.files("sharpap.adapters") / "environments" / f"{self.name}.txt").read_text("utf-8")

    @property
    def state(self) -> State:
        """Ready; made from other pins than this version of SharpAP has; or not made."""
        try:
            made = json.loads((self.folder / MARKER).read_text("utf-8"))["requirements"]
        except (OSError, ValueError, KeyError, TypeError):
            return "not made"
        return "ready" if made == _digest(self.requirements) else "outdated"

    def ready_python(self) -> Path:
        """Its interpreter; raises `ConfigError` with advice where there is none."""
        if self.state == "not made":
            raise ConfigError(
                f"The environment {self.name!r} is not made.", hint=f"Run: sharpap env create {self.name}"
            )
        if not self.python.exists():
            raise ConfigError(
                f"The environment {self.name!r} has lost its interpreter ({self.python}).",
                hint=f"Run: sharpap env create {self.name} --overwrite",
            )
        return self.python

    def create(self, *, python: str | None = None, overwrite: bool = False) -> Path:
        """Make it: in a folder beside its place, renamed when everything is installed and the library imports.

        Scripts inside (`bin/pip`) keep the temporary folder's name; use ``bin/python -m pip``.

        Args:
            python: interpreter to make it from; None: the one that runs SharpAP.
            overwrite: replace one that is there.

        Raises:
            ConfigError: it is there already, or something else is. DownloadError: a step failed; nothing is left behind.
        """
        self._refuse_foreign()
        if self.folder.exists() and self.state != "not made" and not overwrite:
            raise ConfigError(
                f"{self.folder} is there already ({self.state}).", hint="Pass --overwrite to make it anew."
            )
        start = time.perf_counter()
        with Scratch(environments_home()) as folder:
            made = folder / self.name
            progress.event("environment", name=self.name, step="interpreter", folder=str(self.folder))
            with progress.task(f"Environment {self.name}") as task:
                self._do("making the environment", [python or sys.executable, "-I", "-m", "venv", str(made)], task)
                pins = made / "requirements.txt"
                pins.write_text(self.requirements, "utf-8")
                inside = [str(_python_in(made)), "-I"]  # nothing of the paths and variables outside
                progress.event("environment", name=self.name, step="packages", count=self.requirements.count("=="))
                pip = [*inside, "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--no-color"]
                self._do("installing", [*pip, "--requirement", str(pins)], task)
                self._do("importing it", [*inside, "-c", f"import {self.name}"], task)
                version = self._do(
                    "asking its version", [*inside, "-c", "import sys; print(sys.version.split()[0])"], task
                )
            facts = {"requirements": _digest(self.requirements), "python": version.strip()}
            write_text(made / MARKER, json.dumps(facts))
            if self.state != "not made":
                self.remove()
            os.replace(made, self.folder)
        seconds = round(time.perf_counter() - start, 1)
        progress.event("environment", name=self.name, step="ready", seconds=seconds)
        return self.folder

    def remove(self) -> None:
        """Delete it; renamed first, so that a half-deleted one is never taken for a whole one."""
        self._refuse_foreign()
        if not self.folder.is_dir():
            raise ConfigError(f"The environment {self.name!r} is not made.")
        with Scratch(environments_home()) as doomed:
            os.replace(self.folder, doomed / self.name)

    def _refuse_foreign(self) -> None:
        """Raise `ConfigError` where something that `create` did not make stands in the place."""
        refuse_link(self.folder)
        refuse_link(self.folder / MARKER)
        if self.state == "not made" and self.folder.exists() and (self.folder.is_file() or any(self.folder.iterdir())):
            raise ConfigError(
                f"{self.folder} was not made by `sharpap env create`: it holds no readable {MARKER}.",
                hint="Move it away, or remove it yourself.",
            )

    def _do(self, step: str, command: list[str], task: progress.Task) -> str:
        """Run one step; its last lines are the error's text."""
        last: deque[str] = deque(maxlen=200)
        try:
            with subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                errors="replace",
            ) as running:  # fmt: skip
                for line in running.stdout or ():
                    last.append(line.rstrip())
                    task.advance(0, note=line.strip()[:60])
        except OSError as error:
            raise DownloadError(f"Environment {self.name}: {command[0]}: {error.strerror}.") from None
        if running.returncode:
            errors = [line for line in last if line.startswith("ERROR")] or list(last) or ["no output"]
            raise DownloadError(
                f"Environment {self.name}: {step} failed with exit status {running.returncode}: "
                + "\n".join(errors[-4:]),
                hint="Nothing was kept. Its pins were tested with Python 3.11; another interpreter: --python PATH.",
            )
        return "\n".join(last)


def _python_in(folder: Path) -> Path:
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()

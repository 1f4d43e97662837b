"""Which backend does the work: this process, several, or a cluster."""

from __future__ import annotations

import os

from sharpap.assess.execution.backend import Backend
from sharpap.assess.execution.processes import Processes
from sharpap.assess.execution.resources import OnRay
from sharpap.assess.execution.serial import Serial
from sharpap.assess.work.pieces import Work
from sharpap.errors import ConfigError


def backend(work: Work, jobs: int | None = None, choice: str | OnRay | None = None) -> Backend:
    """Who does the work.

    Args:
        work: the experiment and its store.
        jobs: pieces at once; None: one, as many as there are processors (processes), or as fit the cluster (Ray).
        choice: serial, processes or ray, or a cluster's settings; None: serial for one job, else processes.

    Raises:
        ConfigError: an unknown name, jobs that do not fit it, or a package that is not installed.
    """
    if jobs is not None and jobs < 1:
        raise ConfigError(f"jobs={jobs} must be 1 or more.")
    if choice is None:
        choice = "serial" if jobs in (None, 1) else "processes"
    if isinstance(choice, OnRay) or choice == "ray":
        from sharpap.assess.execution.on_ray import Ray

        return Ray(work, jobs, OnRay() if isinstance(choice, str) else choice)
    if choice == "processes":
        return Processes(work, jobs or os.cpu_count() or 1)
    if choice != "serial":
        raise ConfigError(f"There is no backend {choice!r}.", hint="Choose serial, processes or ray.")
    if jobs not in (None, 1):
        raise ConfigError(f"The serial backend does one piece at a time, not {jobs}.", hint="Choose processes or ray.")
    return Serial(work)

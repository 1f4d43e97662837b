"""What a piece of work needs of the machine that does it, and the cluster that is asked for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from sharpap.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Resources:
    """An optional attribute, `resources`, of a recommender or an attack; a mapping with the same names does as well.

    Ray places a piece of work where this much is free. Serial runs and processes of one machine do not look at it.

    Attributes:
        cpus: processors, and with them the threads of kernels and matrix products.
        gpus: CUDA devices; 0.5 lets two pieces share one. With 0, a piece sees none.
        memory_gib: main memory set aside, in GiB. It is counted, not enforced.
    """

    cpus: int = 1
    gpus: float = 0
    memory_gib: float = 0

    def __post_init__(self) -> None:
        numbers = (self.cpus, self.gpus, self.memory_gib)
        whole = isinstance(self.cpus, int) and (self.gpus < 1 or self.gpus == int(self.gpus))
        if (
            not all(isinstance(each, (int, float)) for each in numbers)
            or not whole
            or self.cpus < 1
            or min(numbers) < 0
        ):
            raise ConfigError(
                f"{self} cannot be met.",
                hint="cpus is a whole number from 1, gpus a share of one or a whole number, memory_gib 0 or more.",
            )

    def times(self, node: Mapping[str, float]) -> int:
        """How often this fits a node with Ray's totals `node` (CPU, GPU, memory in bytes) at once."""
        needs = {"CPU": self.cpus, "GPU": self.gpus, "memory": self.memory_gib * 2**30}
        return min(int(node.get(name, 0) / need) for name, need in needs.items() if need)

    def __str__(self) -> str:
        return f"{self.cpus} CPUs, {self.gpus:g} GPUs, {self.memory_gib:g} GiB"


@dataclass(frozen=True, kw_only=True)
class OnRay:
    """A Ray cluster to work on; see docs/ray.md.

    Attributes:
        address: HOST:PORT of a cluster that runs, or "auto" for the one that this machine belongs to; None: what the
            environment variable RAY_ADDRESS says, or else a cluster of this machine alone that ends with the run.
        cpus: for pieces that declare nothing; None: one machine's divided by the jobs, or 1 on several machines.
        gpus: likewise.
        memory_gib: likewise.
        retries: how often a piece is done again after the machine it was on was lost.
    """

    address: str | None = None
    cpus: int | None = None
    gpus: float = 0
    memory_gib: float = 0
    retries: int = 3

    def __post_init__(self) -> None:
        self.default(1)
        if self.retries < 0:
            raise ConfigError(f"retries={self.retries} must be 0 or more.")
        if self.address is not None and "://" in self.address:
            raise ConfigError(
                f"The address {self.address!r} is not HOST:PORT.",
                hint="Ray's client protocol is not supported: run sharpap on a machine of the cluster.",
            )

    def default(self, cpus: int) -> Resources:
        """What a piece gets that declares nothing, where `cpus` is the share of the processors."""
        return Resources(cpus=cpus if self.cpus is None else self.cpus, gpus=self.gpus, memory_gib=self.memory_gib)


def resources_of(name: str, made: object, default: Resources) -> Resources:
    """What an attack or a recommender declares, or the default.

    Raises:
        ConfigError: an attribute `resources` that is neither a `Resources` nor a mapping with its names.
    """
    declared: Any = getattr(made, "resources", None)
    if declared is None or isinstance(declared, Resources):
        return declared or default
    known = {field.name for field in fields(Resources)}
    if not isinstance(declared, Mapping) or not set(declared) <= known:
        raise ConfigError(
            f"{name} declares resources={declared!r}.",
            hint="It must be a mapping such as {'cpus': 4, 'gpus': 1, 'memory_gib': 16}.",
        )
    return Resources(**{"cpus": default.cpus} | {str(key): value for key, value in declared.items()})

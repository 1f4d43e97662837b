"""Pieces of work on a Ray cluster. Ray is imported when one is asked for; see docs/ray.md."""

from __future__ import annotations

import os
import platform
import sys
from collections import deque
from dataclasses import dataclass, replace
from importlib import import_module
from types import TracebackType
from typing import Any, Self

from sharpap import progress
from sharpap.assess.execution.backend import died, limit_threads
from sharpap.assess.execution.resources import OnRay, Resources, resources_of
from sharpap.assess.folder.provenance import machine
from sharpap.assess.work.pieces import Craft, Made, Piece, Train, Work
from sharpap.assess.work.records import Key
from sharpap.errors import ConfigError, TrainingError

LOCAL = {  # a cluster that we start
    "include_dashboard": False,
    "object_store_memory": 256 * 2**20,  # bytes of shared memory; what does not fit lies on disk
}
ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing is reported to anyone
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".*",  # Ray prints its logs to stdout, where results go
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # `_do` hides GPUs itself
    # Of a cluster that we start. Ray's own 15 lets whatever else a machine does go first: a worker beside two busy processes
    # then needs ten times as long to import what it runs.
    "RAY_worker_niceness": "0",
}


@dataclass(eq=False)
class Flight:
    """A piece under way, and what became of it so far."""

    piece: Piece
    key: Key | None
    needs: Resources
    crashes: int = 0
    losses: int = 0


class Ray:
    """Pieces as Ray tasks, as many at once as fit the machines that are up, or `jobs`.

    The data lie once in each machine's object store. Results come back here, and this process stores them. A piece whose worker
    process dies (out of memory, a crash in foreign code) is done once more; when it dies again it is a failure. A piece whose
    machine is lost is done again elsewhere, `retries` times.
    """

    def __init__(self, work: Work, jobs: int | None, settings: OnRay) -> None:
        for name, value in ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        try:
            self.ray: Any = import_module("ray")
        except ImportError as error:
            raise ConfigError(
                f"Ray cannot be imported ({error}).",
                hint="Install it with `pip install 'sharpap[ray]'`, or take --backend processes.",
            ) from None
        self.work, self.remote = work, replace(work, store=None)  # workers see no disk of ours
        self.jobs, self.settings = jobs, settings
        self.experiment = work.experiment
        self.paths = [path or os.getcwd() for path in sys.path]  # where classes of the user's are found
        self.flying: dict[Any, Flight] = {}
        self.done: deque[tuple[Piece, Made]] = deque()

    @property
    def free(self) -> bool:
        """See `Backend`."""
        if self.done:
            return False
        room = max(1, sum(map(self.default.times, self._nodes())))
        return len(self.flying) < (room if self.jobs is None else min(room, self.jobs))

    @property
    def busy(self) -> bool:
        """See `Backend`."""
        return bool(self.flying or self.done)

    def submit(self, piece: Piece) -> None:
        """See `Backend`."""
        key = self.work.key(piece)
        made = self.work.find(piece, key)
        if made is not None:
            self.done.append((piece, self.work.noted(made)))
        else:
            self._fly(Flight(piece, key, self._needs(piece)))

    def next(self) -> tuple[Piece, Made]:
        """See `Backend`."""
        errors = self.ray.exceptions
        while not self.done:
            reference = self._landed()
            flight = self.flying.pop(reference)
            try:
                made = self.ray.cloudpickle.loads(self.ray.get(reference))  # made by our own worker a moment ago
            except errors.RayTaskError as error:
                raise error.cause from None
            except (errors.WorkerCrashedError, errors.OutOfMemoryError) as error:
                flight.crashes += 1
                out_of_memory = isinstance(error, errors.OutOfMemoryError)
                self._again(flight, "ran out of memory" if out_of_memory else "died (out of memory, or a crash)")
            except (errors.NodeDiedError, errors.ObjectLostError, errors.LocalRayletDiedError):
                flight.losses += 1
                self._again(flight, "was lost with its machine")
            except errors.RayError as error:
                raise TrainingError(
                    f"The Ray cluster failed ({type(error).__name__}: {str(error).splitlines()[0]}).",
                    hint="What is finished is kept; run the same command again.",
                ) from None
            else:
                self.work.keep(flight.piece, flight.key, made)
                self.done.append((flight.piece, self.work.noted(made)))
        return self.done.popleft()

    def __enter__(self) -> Self:
        self.joined = self.ray.is_initialized()  # the caller's own session; theirs to end
        if not self.joined:
            self._connect()
        try:
            self._settle()
        except BaseException:
            self._leave()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for reference in self.flying:
            self.ray.cancel(reference, force=True)
        self.flying.clear()
        self._leave()

    def _leave(self) -> None:
        if not self.joined:
            self.ray.shutdown()

    def _connect(self) -> None:
        address = self.settings.address or os.environ.get("RAY_ADDRESS") or "local"
        ours = LOCAL if address == "local" else {}
        try:
            self.ray.init(address=address, log_to_driver=False, logging_level="ERROR", **ours)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise ConfigError(
                f"No Ray cluster answers at {address} ({str(error).splitlines()[0]}).",
                hint="Is it up (`ray status`), of the same Ray and Python versions, and reachable from this machine?",
            ) from None

    def _settle(self) -> None:
        """Send the work, and find out who is there."""
        nodes = self._nodes()
        total = int(sum(node.get("CPU", 0) for node in nodes))
        self.default = self.settings.default(max(1, total // self.jobs) if self.jobs and len(nodes) == 1 else 1)
        for name, made in [*self.experiment.victims.items(), *self.experiment.attacks.items()]:
            self._check(name, resources_of(name, made, self.default))
        try:
            self.sent = self.ray.put(self.remote)
        except Exception as error:  # pickle raises TypeError, AttributeError, PicklingError and what reducers raise
            raise ConfigError(
                f"The experiment cannot be sent to other processes ({type(error).__name__}: {error}).",
                hint="Recommenders and attacks must be picklable, or run with --backend serial.",
            ) from None
        progress.event("cluster", nodes=len(nodes), cpus=total, gpus=int(sum(node.get("GPU", 0) for node in nodes)))
        if len(nodes) > 1:
            self._compare()

    def _compare(self) -> None:
        """Say what differs between machines: other versions or processors may round otherwise."""
        own = machine()
        place = self.ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
        look = self.ray.remote(num_cpus=0, max_retries=0)(machine)
        asked = [  # all at once: each starts a process that imports sharpap
            (node["NodeManagerAddress"], look.options(scheduling_strategy=place(node["NodeID"], soft=False)).remote())
            for node in self.ray.nodes()
            if node["Alive"]
        ]
        for where, reference in asked:
            try:
                found = self.ray.get(reference)
            except (self.ray.exceptions.NodeDiedError, self.ray.exceptions.TaskUnschedulableError):
                continue  # lost a moment ago, and not yet marked so
            except self.ray.exceptions.RayError as error:
                raise ConfigError(
                    f"sharpap cannot be used on {where} ({str(error).strip().splitlines()[-1]}).",
                    hint="Every machine needs the same sharpap and the modules of your own recommenders.",
                ) from None
            if found["versions"]["sharpap"] != own["versions"]["sharpap"]:
                raise ConfigError(
                    f"{where} has sharpap {found['versions']['sharpap']}.", hint="Install the same version."
                )
            for name in ("processor", "python", "versions"):
                if found[name] != own[name]:
                    progress.event("warning", message=f"{where} has another {name}: results may differ in last digits.")

    def _nodes(self) -> list[dict[str, float]]:
        return [node["Resources"] for node in self.ray.nodes() if node["Alive"]]

    def _needs(self, piece: Piece) -> Resources:
        if isinstance(piece, Train):
            return resources_of(piece.victim, self.experiment.victims[piece.victim], self.default)
        if isinstance(piece, Craft):
            return resources_of(piece.attack, self.experiment.attacks[piece.attack], self.default)
        return self.default

    def _check(self, name: str, needs: Resources) -> None:
        """Raise where no machine is large enough: Ray would wait for one."""
        if not any(needs.times(node) for node in self._nodes()):
            raise ConfigError(
                f"{name} needs {needs}, and no machine of the Ray cluster has them.",
                hint="Ask for less, or add a machine (`ray status`). What is finished is kept.",
            )

    def _landed(self) -> Any:
        """Wait for a piece; raises if one waits for a machine that is no more, for which Ray would wait for ever."""
        while True:
            ready, _ = self.ray.wait(list(self.flying), num_returns=1, timeout=5)
            if ready:
                return ready[0]
            for flight in self.flying.values():
                self._check(_name(flight.piece), flight.needs)

    def _fly(self, flight: Flight) -> None:
        needs = flight.needs
        task = self.ray.remote(_do).options(
            num_cpus=needs.cpus, num_gpus=needs.gpus, memory=needs.memory_gib * 2**30 or None, max_retries=0
        )
        # The work goes in a list so that Ray hands over the reference: a worker reads it once, not with each piece.
        reference = task.remote([self.sent], self.paths, self.ray.cloudpickle.dumps(flight.piece), needs)
        self.flying[reference] = flight

    def _again(self, flight: Flight, what: str) -> None:
        piece = flight.piece
        name = _name(piece)
        if flight.crashes > 1:
            self.done.append((piece, died(piece, f"died twice; the second time it {what}")))
        elif flight.losses > self.settings.retries:
            self.done.append((piece, died(piece, f"was lost with its machine {flight.losses} times")))
        else:
            progress.event("warning", message=f"A process at work on {name} {what}; it is done again.")
            self._check(name, flight.needs)
            self._fly(flight)


def _name(piece: Piece) -> str:
    return piece.victim if isinstance(piece, Train) else piece.attack


_work: dict[Any, Work] = {}


def _do(work: list[Any], paths: list[str], pickled: bytes, needs: Resources) -> bytes:
    """What a Ray worker does."""
    if not needs.gpus:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # a machine's GPUs are for pieces that asked for one
    ray: Any = import_module("ray")
    sys.path += [path for path in paths if path not in sys.path]
    limit_threads(needs.cpus)
    (reference,) = work
    if reference not in _work:
        try:
            _work[reference] = ray.get(reference)
        except Exception as error:  # whatever importing a user's modules raises
            reason = getattr(error, "__cause__", None) or error
            raise ConfigError(
                f"The experiment cannot be read on {platform.node()} ({str(reason).splitlines()[0]}).",
                hint="Every machine needs the modules of your own recommenders and attacks.",
            ) from None
    piece: Piece = ray.cloudpickle.loads(pickled)
    made = _work[reference].do(piece)
    if needs.gpus and isinstance(piece, Train) and made.value[1] is not None:
        made = replace(made, value=(made.value[0], _on_gpu(made.value[1])))
    return ray.cloudpickle.dumps(made)


def _on_gpu(found: Any) -> Any:
    """An evaluation that says that the same seed may give another model: sums on a GPU depend on their order."""
    return replace(found, capabilities=replace(found.capabilities, deterministic=False))

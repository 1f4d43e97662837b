"""Work on Ray: the table of a serial run, workers and machines that die, interrupts, and what is refused."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from scipy.sparse import csr_array

from sharpap import progress
from sharpap.assess import Experiment, run
from sharpap.assess.execution.on_ray import ENVIRONMENT, Ray
from sharpap.assess.execution.resources import OnRay, Resources, resources_of
from sharpap.assess.work.pieces import Work
from sharpap.attacks import RandomAttack
from sharpap.data import TargetPool, split, synthetic
from sharpap.errors import AttackError, ConfigError
from sharpap.recommenders import WRMF, FactorModel, Popularity
from sharpap.threat import Budget

needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed")
SMALL = {"include_dashboard": False, "object_store_memory": 80 * 2**20}


def once(path: str) -> bool:
    """Whether this is the first call with this path, in whatever process."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


@dataclass(frozen=True)
class Deadly:
    """Kills its process, or its machine, on poisoned data: once, or always."""

    flag: str
    always: bool = False
    machine: bool = False

    def fit(self, train: csr_array, *, seed: int) -> FactorModel:
        if train.shape[0] > 120 and (self.always or once(self.flag)):
            if self.machine:
                os.kill(os.getppid(), signal.SIGKILL)
                time.sleep(0.5)  # a worker that outlives its raylet is a machine that is only cut off
            os.kill(os.getpid(), signal.SIGKILL)
        return Popularity().fit(train, seed=seed)


@dataclass(frozen=True)
class Telling:
    """Writes down what it was given."""

    file: str
    resources: dict[str, Any] = field(default_factory=dict)

    def fit(self, train: csr_array, *, seed: int) -> FactorModel:
        facts = {
            "threads": torch.get_num_threads(),
            "visible": os.environ.get("CUDA_VISIBLE_DEVICES"),
            "niceness": os.getpriority(os.PRIO_PROCESS, 0),
        }
        Path(self.file).write_text(json.dumps(facts))
        return Popularity().fit(train, seed=seed)


class Greedy:
    """Ignores its budget."""

    def poison(self, train, goal, budget, *, seed):
        made = RandomAttack().poison(train, goal, budget, seed=seed)
        return replace(made, profiles=csr_array((9, train.shape[1])))


class Listener(progress._Silent):
    """Keeps events, and may do something on one."""

    def __init__(self, on: Callable[[str], None] = lambda kind: None) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.on = on

    def event(self, kind: str, **fields: object) -> None:
        self.events.append((kind, fields))
        self.on(kind)

    def warnings(self) -> str:
        return "\n".join(str(fields["message"]) for kind, fields in self.events if kind == "warning")


@pytest.fixture(scope="module")
def experiment():
    return Experiment(
        dataset=split(synthetic(120, 150, 3000, seed=2), seed=0, name="made"),
        attacks={"random": RandomAttack()},
        victims={"popularity": Popularity(), "wrmf": WRMF(embedding_size=8, epochs=3)},
        targets=TargetPool(draws=2), budget=Budget(fake_users=0.05), ks=(5, 10),
    )  # fmt: skip


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head that does no work; machines are added by `machines`. This process is in its session, as a user's may be."""
    if find_spec("ray") is None:
        pytest.skip("Ray is not installed")
    os.environ.update(ENVIRONMENT)
    import ray
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **SMALL})
    ray.init(address=made.address, log_to_driver=False, logging_level="ERROR")
    yield made
    ray.shutdown()
    made.shutdown()


def at_work() -> int:
    """Machines that Ray takes to be up."""
    import ray

    return sum(node["Alive"] and node["Resources"].get("CPU", 0) > 0 for node in ray.nodes())


def until_noticed(left: int) -> None:
    while at_work() != left:
        time.sleep(0.2)


@pytest.fixture
def machines(cluster) -> Any:
    """Two machines of two processors and one (pretended) GPU, whatever earlier tests did to them."""
    for _ in range(2 - at_work()):
        cluster.add_node(num_cpus=2, num_gpus=1, object_store_memory=SMALL["object_store_memory"])
    return cluster


def facts_of(results) -> list[Any]:
    return [replace(cell, train_seconds=0, evaluate_seconds=0) for cell in results.cells]


def test_ray_gives_the_table_of_a_serial_run_and_of_processes(machines, experiment, tmp_path):
    serial = run(experiment, cells=tmp_path / "serial")
    processes = run(experiment, jobs=2, backend="processes")
    ray = run(experiment, cells=tmp_path / "ray", jobs=2, backend="ray")
    assert serial.frame.equals(ray.frame)
    assert serial.frame.equals(processes.frame)
    assert facts_of(serial) == facts_of(ray) == facts_of(processes)
    assert [(place, poison.profiles.indices.tolist()) for place, poison in serial.poisons.items()] == [
        (place, poison.profiles.indices.tolist()) for place, poison in ray.poisons.items()
    ]
    names = [sorted(path.name for path in (tmp_path / name).iterdir()) for name in ("serial", "ray")]
    assert names[0] == names[1]

    listener = Listener()
    with progress.reporting(listener):
        again = run(experiment, cells=tmp_path / "serial", backend="ray")
    assert again.frame.equals(serial.frame)
    cells = [fields for kind, fields in listener.events if kind == "cell"]
    assert len(cells) == experiment.num_cells
    assert all(fields["stored"] for fields in cells)


@needs_ray
def test_workers_have_no_store(experiment, tmp_path):
    """Another machine has another disk."""
    from sharpap.assess.work.cells import CellStore

    made = Ray(Work(experiment, CellStore(tmp_path)), 1, OnRay())
    assert made.work.store is not None
    assert made.remote.store is None


@pytest.mark.parametrize("always", [False, True])
def test_a_dead_worker_costs_its_own_cell_at_most(machines, experiment, tmp_path, always):
    deadly = Deadly(str(tmp_path / "flag"), always)
    listener = Listener()
    with progress.reporting(listener):
        found = run(replace(experiment, victims=experiment.victims | {"deadly": deadly}), jobs=2, backend="ray")
    failed = [cell for cell in found.cells if cell.error]
    assert [(cell.victim, cell.attack) for cell in failed] == ([("deadly", "random")] * 2 if always else [])
    assert all("died twice" in cell.error for cell in failed)
    assert "at work on deadly died" in listener.warnings()
    assert found.frame.filter(found.frame["victim"] != "deadly").equals(run(experiment).frame)


@pytest.mark.slow
@pytest.mark.parametrize("retries", [3, 0])
def test_the_grid_is_completed_after_a_machine_is_lost(machines, experiment, tmp_path, retries):
    """The victim kills the raylet above it: the machine and all its workers are gone."""
    deadly = Deadly(str(tmp_path / "flag"), machine=True)
    grid = replace(experiment, victims={"deadly": deadly, **experiment.victims})
    listener = Listener()
    with progress.reporting(listener):
        found = run(grid, backend=OnRay(retries=retries))
    until_noticed(1)
    failed = [cell for cell in found.cells if cell.error]
    if retries:
        assert not failed
        assert "lost with its machine" in listener.warnings()
        assert found.frame.equals(run(grid).frame)  # the flag is set: nobody dies any more
    else:
        assert failed
        assert all("lost with its machine 1 times" in cell.error for cell in failed)
    assert len(found.cells) == grid.num_cells


@pytest.mark.slow
def test_a_run_ends_when_no_machine_is_left(machines, experiment, tmp_path):
    deadly = Deadly("", always=True, machine=True)
    with pytest.raises(ConfigError, match="no machine of the Ray cluster"):
        run(replace(experiment, victims={"deadly": deadly}), cells=tmp_path, jobs=1, backend="ray")
    assert any(tmp_path.iterdir())  # the clean run
    until_noticed(0)


def test_pieces_get_what_they_declare_and_no_more(machines, experiment, tmp_path):
    plain, wide = Telling(str(tmp_path / "plain")), Telling(str(tmp_path / "wide"), {"cpus": 2, "gpus": 1})
    found = run(replace(experiment, victims={"plain": plain, "wide": wide}, targets=TargetPool()), backend="ray")
    own = os.getpriority(os.PRIO_PROCESS, 0)  # at Ray's niceness, workers wait for all that a busy machine does
    assert json.loads(Path(plain.file).read_text()) == {"threads": 1, "visible": "", "niceness": own}
    told = json.loads(Path(wide.file).read_text())
    assert (told["threads"], told["niceness"]) == (2, own)
    assert told["visible"] not in (None, "")
    # The same seed may give another model on a GPU, and the results say so.
    assert found.provenance["capabilities"] == {"wide": {"top_k": None, "deterministic": False}}


def test_errors_of_attacks_arrive_as_they_are(machines, experiment):
    with pytest.raises(AttackError, match=r"greedy|shape \(9, .*budget is") as caught:
        run(replace(experiment, attacks={"greedy": Greedy()}), backend="ray")
    assert "Traceback" not in str(caught.value)


def test_classes_inside_functions_can_be_sent_and_locks_cannot(machines, experiment):
    import threading

    class Local:
        lock: Any = None

        def fit(self, train: csr_array, *, seed: int) -> FactorModel:
            return Popularity().fit(train, seed=seed)

    found = run(replace(experiment, victims={"popularity": Popularity(), "local": Local()}), backend="ray")
    assert not any(cell.error for cell in found.cells)
    held = Local()
    held.lock = threading.Lock()
    with pytest.raises(ConfigError, match="cannot be sent"):
        run(replace(experiment, victims={"local": held}), backend="ray")


def test_what_no_machine_has_is_refused_at_once(machines, experiment):
    with pytest.raises(ConfigError, match=r"popularity needs 1 CPUs, 5 GPUs.*ray status"):
        run(experiment, backend=OnRay(gpus=5))
    large = Telling("", {"memory_gib": 10**6})
    with pytest.raises(ConfigError, match="large needs"):
        run(replace(experiment, victims={"large": large}), backend="ray")


def test_an_interrupt_keeps_what_is_finished_and_leaves_the_users_session(machines, experiment):
    import ray

    def stop(kind: str) -> None:
        if kind == "poison":
            raise KeyboardInterrupt

    with progress.reporting(Listener(stop)):
        found = run(experiment, jobs=1, backend="ray")
    assert found.provenance["interrupted"]
    assert [cell.attack for cell in found.cells] == ["none", "none"]
    assert ray.is_initialized()


@pytest.mark.slow
@needs_ray
def test_ctrl_c_ends_the_program_and_the_cluster_it_started(tmp_path):
    """The signal reaches the whole process group, as from a terminal; nothing of Ray is left, and stdout is the result's."""
    (tmp_path / "victims.py").write_text(
        "import time\nfrom sharpap.recommenders import Popularity\n\n\nclass Slow:\n    def fit(self, train, *, seed):\n"
        "        time.sleep(60 * (train.shape[0] > 90))\n        return Popularity().fit(train, seed=seed)\n"
    )
    rows = [f"u{user},i{item % 40}" for user in range(90) for item in range(user, user + 12 + user % 7)]
    (tmp_path / "log.csv").write_text("\n".join(["user,item", *rows]))
    command = [
        sys.executable, "-m", "sharpap", "run", "--data", "log.csv", "--attack", "random", "--victim", "victims:Slow",
        "--draws", "1", "--seeds", "1", "--backend", "ray", "--out", "out", "--json",
    ]  # fmt: skip
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background would pass on SIG_IGN
    process = subprocess.Popen(
        command, cwd=tmp_path, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    signal.signal(signal.SIGINT, before)
    log = tmp_path / "out" / "log.jsonl"
    while process.poll() is None and not (log.exists() and '"poison"' in log.read_text()):
        time.sleep(0.2)
    assert process.poll() is None, process.communicate()
    family = descendants(process.pid)
    guarded = any(b"RAY_AUTH_MODE=token" in Path(f"/proc/{pid}/environ").read_bytes() for pid in family if alive(pid))
    time.sleep(0.5)
    os.killpg(process.pid, signal.SIGINT)
    stdout, stderr = process.communicate()
    assert process.returncode == 130, stderr
    assert json.loads(stdout)["out"] == "out"
    assert json.loads((tmp_path / "out" / "provenance.json").read_text())["interrupted"]
    assert len(family) > 2
    assert guarded  # whoever reaches the ports of a cluster without a token can run code
    while any(map(alive, family)):
        time.sleep(0.2)


def descendants(pid: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for line in subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True).stdout.splitlines():
        child, parent = map(int, line.split())
        children.setdefault(parent, []).append(child)
    found, front = [], [pid]
    while front:
        front = [child for each in front for child in children.get(each, [])]
        found += front
    return found


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_without_ray_the_message_says_how_to_get_it(monkeypatch, experiment):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match=r"pip install 'sharpap\[ray\]'"):
        run(experiment, backend="ray")


def test_backends_that_do_not_fit_are_refused(experiment):
    for jobs, backend, match in [
        (2, "serial", "one piece at a time"),
        (1, "spark", "Choose serial, processes or ray"),
        (0, "ray", "jobs=0"),
    ]:
        with pytest.raises(ConfigError, match=match):
            run(experiment, jobs=jobs, backend=backend)
    with pytest.raises(ConfigError, match="HOST:PORT"):
        OnRay(address="ray://head:10001")


def test_resources_are_checked():
    for wrong in ({"cpus": 0}, {"cpus": 1.5}, {"gpus": 1.5}, {"gpus": -1}, {"memory_gib": -1}, {"cpus": "2"}):
        with pytest.raises(ConfigError, match="cannot be met"):
            Resources(**wrong)  # pyright: ignore[reportArgumentType]
    default = Resources(cpus=3)
    assert resources_of("x", Popularity(), default) is default
    assert resources_of("x", Telling("", {"gpus": 0.5}), default) == Resources(cpus=3, gpus=0.5)
    with pytest.raises(ConfigError, match="x declares"):
        resources_of("x", Telling("", {"gpu": 1}), default)
    node = {"CPU": 8.0, "GPU": 1.0, "memory": 16 * 2.0**30}
    assert [Resources(**need).times(node) for need in ({}, {"cpus": 3}, {"gpus": 0.5}, {"memory_gib": 17})] == [
        8,
        2,
        2,
        0,
    ]

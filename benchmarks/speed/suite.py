# ruff: noqa: E501
"""All benchmarks, and what they are meant to reach."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import numpy as np
from benchmarks.speed.runner import Benchmark, Contender, Row

Found = dict[str, list[Row]]


def _kernel(name: str, shape: str, *rivals: str) -> Benchmark:
    sides = (name, *rivals)
    return Benchmark(
        name=f"kernel-{name}-{shape}", title=f"{name}, shape of {shape}, d = 64, five runs", rounds=3,
        contenders=tuple(Contender(name=each, make="kernels:kernel", settings={"name": each, "shape": shape}) for each in sides),
    )  # fmt: skip


def _outer(shape: str, unrolled: int, *, steps: int = 50, rounds: int = 1, dense: bool = True) -> Benchmark:
    settings = {"shape": shape, "steps": steps, "unrolled": unrolled}
    ours = Contender(name="sharpap", make="attacks:outer_sparse", settings=settings)
    rival = Contender(name="dense reference", make="attacks:outer_dense", settings=settings, warm=False)
    return Benchmark(
        name=f"outer-{shape}-{unrolled}", title=f"RevAdv, one outer epoch of {steps} steps, {unrolled} unrolled, shape of {shape}",
        rounds=rounds, contenders=(ours, rival) if dense else (ours,),
    )  # fmt: skip


# Users, items, interactions. "all" keeps MovieLens-25M's 154 interactions a user and lets items grow as their square root.
GROWTH: dict[str, tuple[tuple[int, int, int], ...]] = {
    "all": tuple(
        (round(n / 153.8), round(59_047 * (n / 25e6) ** 0.5), n)
        for n in (100_000, 300_000, 1_000_000, 3_000_000, 10_000_000, 25_000_000)
    ),
    "users": tuple((n, 20_000, 1_000_000) for n in (10_000, 30_000, 100_000, 300_000)),
    "items": tuple((20_000, n, 1_000_000) for n in (5_000, 15_000, 50_000, 150_000)),
}


def _growth(series: str, shape: tuple[int, int, int]) -> Benchmark:
    users, items, interactions = shape
    return Benchmark(
        name=growth_name(series, shape), title=f"{users:,} x {items:,}, {interactions:,} interactions", full=series != "all",
        contenders=(Contender(name="sharpap", make="growth:point", settings={"users": users, "items": items, "interactions": interactions}, warm=False),),
    )  # fmt: skip


def growth_name(series: str, shape: tuple[int, int, int]) -> str:
    """Of the benchmark of one point."""
    return f"growth-{series}-{shape[('users', 'items', 'all').index(series)]}"


def _gpu(called: str, title: str, make: str, shape: str, rounds: int = 5, **settings: str) -> Benchmark:
    return Benchmark(
        name=f"gpu-{called}-{shape}", title=f"{title}, shape of {shape}", rounds=rounds, gpu=True,
        contenders=tuple(
            Contender(name=device, make=make, settings=settings | {"shape": shape, "device": device}) for device in ("cuda", "cpu")
        ),
    )  # fmt: skip


# Answers of the command line that need no model: name, title, words, exit status.
QUICK = (
    ("version", "sharpap --version", "--version", 0),
    ("list", "sharpap list attacks", "list attacks", 0),
    ("results", "sharpap results FOLDER", "results {results}", 0),
    ("inspect", "sharpap data inspect FILE, 100,000 rows", "data inspect {csv}", 0),
    ("wrong-name", "sharpap run with a wrong name", "run dmo", 2),
    ("wrong-option", "sharpap run with a wrong option of an attack", "run demo --set attacks.sharpap.epohcs=3", 2),
)
BENCHMARKS = (
    _kernel("sddmm", "ml-1m", "torch sddmm"),
    _kernel("spmm", "ml-1m", "torch spmm"),
    _kernel("spmm_t", "ml-1m", "torch spmm_t"),
    _kernel("sddmm", "amazon-book", "torch sddmm"),
    _kernel("spmm", "amazon-book", "torch spmm"),
    _kernel("spmm_t", "amazon-book", "torch spmm_t"),
    _kernel("gradient", "amazon-book"),
    _kernel("hvp", "amazon-book"),
    _kernel("bpr", "amazon-book"),
    _kernel("als", "amazon-book"),
    _kernel("topk", "ml-1m", "torch topk"),
    Benchmark(
        name="search-gowalla", title="The 50 best items of all users of Gowalla by a trained surrogate, seen items left out", rounds=3, full=True,
        contenders=tuple(
            Contender(name=how, make="kernels:search", settings={"how": how, "shape": "real:gowalla"})
            for how in ("topk", "all scores", "torch topk")
        ),
    ),
    Benchmark(
        name="surrogate-epoch", title="WRMF surrogate, ten full-batch Adam steps, shape of ml-1m", rounds=3,
        contenders=tuple(
            Contender(name=how, make="attacks:training_epoch", settings={"shape": "ml-1m", "how": how})
            for how in ("fused", "autograd", "dense")
        ),
    ),
    _outer("ml-1m", 10, rounds=2),
    _outer("book", 3, steps=25),  # three unrolled steps, for the dense side to fit into 24 GiB; half the steps, for its time
    _outer("book", 10, dense=False),
    Benchmark(
        name="attack-gowalla", title="Whole SharpAP attack, 30 outer epochs, Gowalla",
        contenders=(Contender(name="sharpap", make="attacks:attack", settings={"shape": "real:gowalla", "epochs": 30}, warm=False),),
    ),
    Benchmark(
        name="attack-amazon-book", title="Whole SharpAP attack, 30 outer epochs, synthetic of Amazon-Book's shape", full=True,
        contenders=(Contender(name="sharpap", make="attacks:attack", settings={"shape": "amazon-book", "epochs": 30}, warm=False),),
    ),
    Benchmark(
        name="worst-case", title="SharpAP beside its base attack, 4 outer epochs, shape of ml-1m", rounds=3,
        contenders=tuple(
            Contender(name=name, make="attacks:attack", settings={"shape": "ml-1m", "epochs": 4, "sharp": sharp}, warm=False)
            for name, sharp in (("sharpap", True), ("revadv", False))
        ),
    ),
    Benchmark(
        name="als", title="WRMF by ALS to the same loss, shape of Gowalla", rounds=3,
        contenders=tuple(
            Contender(name=how, make="victims:als", settings={"shape": "gowalla", "how": how}) for how in ("ours", "implicit")
        ),
    ),
    Benchmark(
        name="lightgcn-gowalla", title="LightGCN on Gowalla, the published split", full=True,
        contenders=(Contender(name="ours", make="victims:lightgcn", warm=False),),
    ),
    Benchmark(
        name="evaluation-gowalla", title="Full-ranking evaluation of all users of Gowalla", rounds=3,
        contenders=(Contender(name="ours", make="victims:evaluation"),),
    ),
    Benchmark(
        name="early-stopping", title="LightGCN, 200 epochs on ml-1m, a check every ten",
        contenders=(Contender(name="ours", make="victims:early_stopping", warm=False),),
    ),
    *(_growth(series, shape) for series, shapes in GROWTH.items() for shape in shapes),
    *(
        _gpu(name, f"{name} on a GPU, d = 64, five runs", "gpu:kernel", "amazon-book", name=name)
        for name in ("sddmm", "spmm", "spmm_t", "gradient", "hvp")
    ),
    _gpu("outer", "One outer step of SharpAP on a GPU", "gpu:outer", "amazon-book", rounds=3),
    Benchmark(
        name="help", title="sharpap --help", rounds=5,
        contenders=(Contender(name="ours", make="victims:command", settings={"arguments": ["--help"]}),),
    ),
    *(
        Benchmark(
            name=name, title=title, rounds=5,
            contenders=(Contender(name="ours", make="victims:command", settings={"arguments": words.split(), "status": status}),),
        )
        for name, title, words, status in QUICK
    ),
    Benchmark(
        name="audit", title="sharpap audit wrmf on MovieLens-100K, compiled before, two processes",
        contenders=(
            Contender(
                name="ours", make="victims:command", warm=False,
                settings={"arguments": ["audit", "wrmf", "--jobs", "2", "--out", "{out}"]},
            ),
        ),
    ),
    Benchmark(
        name="demo", title="The demo, compiled before",
        contenders=(
            Contender(name="ours", make="victims:command", settings={"arguments": ["run", "demo", "--out", "{out}"]}, warm=False),
        ),
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Target:
    """One line of what is to be reached: a value of the results and the bound it is held to, `at_most` or at least."""

    what: str
    value: Callable[[Found], float]
    bound: float
    unit: str
    at_most: bool = True

    def measured(self, found: Found) -> float | None:
        """The value, where its benchmark has been run and its sides came through."""
        try:
            return self.value(found)
        except (KeyError, StopIteration):
            return None


def row(found: Found, benchmark: str, contender: int = 0) -> Row:
    """One contender's results."""
    made = found[benchmark][contender]
    if "failed" in made:
        raise KeyError("failed")
    return made


def _wall(benchmark: str, contender: int = 0) -> Callable[[Found], float]:
    return lambda found: median(row(found, benchmark, contender)["wall"])


def _peak(benchmark: str) -> Callable[[Found], float]:
    return lambda found: row(found, benchmark)["peak_mib"] / 1024


def ratio(found: Found, benchmark: str, contender: int = 1) -> float:
    """Median over rounds of a contender's time over ours."""
    pairs = zip(row(found, benchmark, contender)["wall"], row(found, benchmark)["wall"], strict=True)
    return median(theirs / ours for theirs, ours in pairs)


def _memory(benchmark: str) -> Callable[[Found], float]:
    """Dense over ours, process against process: what stands before the work is part of what a user needs."""
    return lambda found: row(found, benchmark, 1)["peak_mib"] / row(found, benchmark)["peak_mib"]


def _share(name: str) -> Callable[[Found], float]:
    return lambda found: row(found, name)["facts"]["share_of_roof"]


LARGEST = growth_name("all", GROWTH["all"][-1])


def growth_of(found: Found, what: str, series: str = "all") -> float:
    """Fitted exponent of a fact, or of the wall time, over the interactions (users, items) of a series."""
    rows = [row(found, growth_name(series, shape)) for shape in GROWTH[series]]
    axis = "interactions" if series == "all" else series
    values = [each["facts"][what] if what in each["facts"] else median(each["wall"]) for each in rows]
    return exponent([each["facts"][axis] for each in rows], values)


def exponent(sizes: list[float], values: list[float]) -> float:
    """The slope of a straight line through the logarithms, by least squares."""
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


def _reading(facts: Row) -> float:
    """What reading adds to the imports, over three times the CSR: to be at most 1."""
    return (facts["read_mib"] - facts["imports_mib"]) / (3 * facts["csr_mib"])


TARGETS: tuple[Target, ...] = (
    Target(
        "RevAdv outer epoch, ML-1M shape: times faster than dense", lambda f: ratio(f, "outer-ml-1m-10"), 20, "x", False
    ),
    Target("the same: times less memory", _memory("outer-ml-1m-10"), 10, "x", False),
    Target(
        "outer epoch at 13,149 x 14,007: times faster (3 steps unrolled)",
        lambda f: ratio(f, "outer-book-3"),
        60,
        "x",
        False,
    ),
    Target("the same, 10 steps unrolled: peak memory", _peak("outer-book-10"), 1, "GiB"),
    Target("SharpAP attack, Gowalla, 30 outer epochs", lambda f: _wall("attack-gowalla")(f) / 60, 5, "min"),
    Target("the same: peak memory", _peak("attack-gowalla"), 2, "GiB"),
    Target(
        "SharpAP attack, Amazon-Book shape, 30 outer epochs", lambda f: _wall("attack-amazon-book")(f) / 60, 15, "min"
    ),
    Target("the same: peak memory", _peak("attack-amazon-book"), 4, "GiB"),
    Target("one outer step, 25 M interactions", lambda f: _wall(LARGEST)(f) / 60, 2, "min"),
    Target("the same: peak memory", _peak(LARGEST), 8, "GiB"),
    Target("growth of outer-step time with interactions: exponent", lambda f: growth_of(f, "wall"), 1.1, ""),
    Target("reading 25 M interactions: peak over 3 x CSR", lambda f: _reading(row(f, LARGEST)["facts"]), 1, "x"),
    Target("SharpAP over its base attack", lambda f: 1 / ratio(f, "worst-case"), 1.05, "x"),
    Target("implicit's time over ours, WRMF-ALS at equal loss", lambda f: ratio(f, "als"), 1, "x", False),
    Target(
        "LightGCN on Gowalla: Recall@20", lambda f: row(f, "lightgcn-gowalla")["facts"]["recall_20"], 0.18, "", False
    ),
    Target("the same: time", lambda f: _wall("lightgcn-gowalla")(f) / 60, 15, "min"),
    Target("SDDMM, share of the roof, Amazon-Book shape", _share("kernel-sddmm-amazon-book"), 0.5, "", False),
    Target("SpMM, share of the roof, Amazon-Book shape", _share("kernel-spmm-amazon-book"), 0.5, "", False),
    Target("full-ranking evaluation, Gowalla", _wall("evaluation-gowalla"), 10, "s"),
    Target(
        "early-stopping checks, share of training",
        lambda f: row(f, "early-stopping")["facts"]["share_of_checks"],
        0.1,
        "",
    ),
    Target("sharpap --help", _wall("help"), 0.3, "s"),
    *(Target(title, _wall(name), 0.5, "s") for name, title, *_ in QUICK),
    Target("sharpap audit wrmf, ml-100k, two processes", lambda f: _wall("audit")(f) / 60, 2, "min"),
)

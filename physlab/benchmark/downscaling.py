"""The benchmark of downscaling: every method of the book on the same test fields, run as a whole and resumed.

    physlab benchmark downscaling --preset paper --output benchmark

trains what has no checkpoint yet, fits the statistical methods, scores everything and adds one line per run to a tidy
CSV as soon as it is known. Killed at any moment, it goes on where it was: finished lines and checkpoints are kept, and
an interrupted training has its state. The cpu sizes take some hours on two cores.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

from physlab.benchmark.parallel import resume
from physlab.benchmark.table import COLUMNS, SCORES, read_runs, write_runs
from physlab.data import sr_pairs
from physlab.data.patches import SRData
from physlab.downscale import STATISTICAL, Constrained, FieldDownscaler, make_statistical
from physlab.errors import PhysLabError
from physlab.throughput import one_thread
from physlab.train import evaluate, list_recipes, load_checkpoint, predict_members, train_one
from physlab.train.checkpoint import CARD
from physlab.train.evaluate import baselines
from physlab.train.recipe import checkpoint_name, get_recipe
from physlab.zoo import checkpoint_folders, kind_of

SEEDS = (0, 1, 2)
CHECKPOINTS = "checkpoints"
TABLE = "downscaling.csv"
KNOWN_BY = ("task", "factor", "model", "constraint", "seed", "preset")
OF_ENSEMBLES = {"spread_skill", "member_rmse"}


@dataclass(frozen=True)
class Run:
    """One line of the table; `recipe` is empty for what no recipe trains, `seed` None where nothing is random."""

    task: str
    factor: int
    model: str
    constraint: str
    seed: int | None
    kind: str
    preset: str = ""
    recipe: str = ""

    def __str__(self) -> str:
        seed = "" if self.seed is None else f", seed {self.seed}"
        return f"{self.task} x{self.factor} {self.model} {self.constraint}{seed}"


def paper(preset: str = "cpu") -> list[Run]:
    """All runs: the baselines of every task, the statistical methods, each recipe with its constraints; three seeds."""
    recipes = list(list_recipes().values())
    tasks = list(dict.fromkeys((recipe.task, recipe.factor) for recipe in recipes))
    runs = [
        Run(task, factor, model, constraint, None, "baseline")
        for task, factor in tasks
        for model, constraint in (("nearest", "none"), ("bicubic", "none"), ("bicubic", "add"))
    ]
    for seed, recipe in itertools.product(SEEDS, sorted(recipes, key=lambda r: bool(r.teacher or r.start))):
        chosen = recipe.presets[preset]
        kind = kind_of({"task": recipe.task, "network": {"class": chosen.network, "arguments": chosen.arguments}})
        runs += [
            Run(recipe.task, recipe.factor, recipe.label or "compact", constraint, seed, kind, preset, recipe.name)
            for constraint in recipe.constraints
        ]
    for seed, (task, factor), name in itertools.product(SEEDS, (("tcw", 4), ("era5-uk-t2m", 4)), STATISTICAL):
        runs += [Run(task, factor, name, constraint, seed, "statistical") for constraint in ("none", "add")]
    return runs


def quick(preset: str = "cpu") -> list[Run]:
    """A first look: the baselines of column water x4 and the smallest network."""
    return [
        run
        for run in paper(preset)
        if (run.task, run.factor) == ("tcw", 4) and (run.kind == "baseline" or run.model == "espcn")
    ]


#: Name of a preset -> its runs: all of them at the sizes for a CPU or for a GPU, or a few of them.
PLANS: dict[str, Callable[[], list[Run]]] = {"paper": paper, "full": lambda: paper("full"), "quick": quick}


def benchmark_downscaling(
    preset: str = "paper",
    output: str | Path = "benchmark",
    workers: int = 2,
    runs: list[Run] | None = None,
    say: Callable[[str], None] = print,
    **changes,
) -> Path:
    """Run or resume a benchmark; returns the path of its tidy table.

    Parameters
    ----------
    preset : a key of `PLANS`.
    output : folder of the table and of the checkpoints that are trained for it; shipped checkpoints are used.
    workers : processes side by side, one thread each.
    runs : others than those of the preset.
    changes : of the settings of the networks, for a quick try.

    Raises
    ------
    PhysLabError : an unknown preset; after all runs have ended, naming those that failed.
    """
    if preset not in PLANS:
        raise PhysLabError(f"unknown preset {preset!r}: choose one of {', '.join(PLANS)}")
    runs, output = PLANS[preset]() if runs is None else runs, Path(output)
    path = output / TABLE
    recipes = list_recipes()

    def taught(run: Run) -> bool:
        return bool(run.recipe and (recipes[run.recipe].teacher or recipes[run.recipe].start))

    return resume(
        path, runs, KNOWN_BY, read_runs, write_runs, one, (output / CHECKPOINTS, changes),
        lambda rows: f"RMSE {rows['rmse'].iloc[0]:.4g}", workers, say, later=taught,
    )  # fmt: skip


_PAIRS: dict[tuple[str, int], SRData] = {}


def pairs(task: str, factor: int) -> SRData:
    """The data of a task; the last one stays in the memory of a worker."""
    if (task, factor) not in _PAIRS:
        _PAIRS.clear()
        _PAIRS[task, factor] = sr_pairs(task, factor)
    return _PAIRS[task, factor]


def one(run: Run, folder: Path, changes: dict) -> list[dict]:
    """Make, score and time the method of a run: its line of the table."""
    data = pairs(run.task, run.factor)
    method, costs = make(run, data, folder, changes)
    line = {field.name: getattr(run, field.name) for field in fields(run) if field.name != "recipe"}
    scores = (getattr(method, "card", None) or {}).get("scores", {}).get("test", {})
    if not set(SCORES) - OF_ENSEMBLES <= set(scores):  # a checkpoint of before knows less; others have no card
        scores = evaluate(method, data, "test")
    line |= scores | costs
    line |= {"s_per_megapixel": seconds_per_megapixel(method, data), "data": data.hashes["test"][:16]}
    return [{name: line.get(name) for name in COLUMNS}]


def make(run: Run, data: SRData, folder: Path, changes: dict) -> tuple[FieldDownscaler, dict]:
    """The method, and what it cost: parameters and seconds of training."""
    if run.kind == "baseline":
        name = run.model + ("" if run.constraint == "none" else f"+{run.constraint}")
        return next(method for method in baselines(data) if method.name == f"{name}-x{run.factor}"), {"parameters": 0}
    if run.kind == "statistical":
        start = time.perf_counter()
        method = make_statistical(run.model, data).fit(data, seed=run.seed)
        costs = {"train_s": time.perf_counter() - start}
        return (method if run.constraint == "none" else Constrained(method, run.constraint)), costs
    recipe = get_recipe(run.recipe)
    name = checkpoint_name(recipe, run.constraint, run.seed, run.preset)
    shipped = None if changes else checkpoint_folders().get(name)
    own = folder / name
    where = shipped if shipped and not (own / CARD).exists() else None
    if where is None:
        where = train_one(recipe, run.constraint, run.seed, run.preset, folder, data, **changes)
    model = load_checkpoint(where)
    if model.card["split_hashes"].get("test") != data.hashes["test"]:
        raise PhysLabError(f"checkpoint {where} was made with other data: remove it, or choose another folder")
    return model, {"parameters": count_parameters_of(model), "train_s": model.card["wall_time_s"]}


def count_parameters_of(model) -> int:
    """Trained numbers of a model, whose networks are frozen when they are loaded."""
    return sum(parameter.numel() for parameter in model.network.parameters())


def seconds_per_megapixel(method: FieldDownscaler, data: SRData, samples: int = 4, repeats: int = 3) -> float:
    """Seconds of one thread for a million fine points (of one member), the shortest of some runs."""
    times = []
    with one_thread():
        for _ in range(repeats + 1):
            start = time.perf_counter()
            made = predict_members(method, data, "test", slice(0, samples), members=1)
            times.append(time.perf_counter() - start)
    return min(times[1:]) / (made.numel() / 1e6)

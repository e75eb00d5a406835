"""The benchmark of downscaling: every method of the book on the same test fields, run as a whole and resumed.

    physlab benchmark downscaling --preset paper --output benchmark

trains what has no checkpoint yet, fits the statistical methods, scores everything and adds one line per run to a tidy
CSV as soon as it is known. Killed at any moment, it goes on where it was: finished lines and checkpoints are kept, and
an interrupted training has its state. The cpu sizes take some hours on two cores.
"""

from __future__ import annotations

import functools
import itertools
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from physlab.benchmark.study import Context, Study
from physlab.benchmark.table import By
from physlab.data import sr_pairs
from physlab.data.patches import SRData
from physlab.downscale import STATISTICAL, Constrained, FieldDownscaler, make_statistical
from physlab.errors import PhysLabError
from physlab.train import Recipe, evaluate, list_recipes, load_checkpoint, predict_members, train_one
from physlab.train.checkpoint import CARD
from physlab.train.evaluate import baselines
from physlab.train.recipe import checkpoint_name, get_recipe
from physlab.train.timing import seconds_per_megapixel
from physlab.zoo import checkpoint_folders, kind_of

KEYS = ("task", "factor", "model", "constraint", "seed", "kind", "preset")
SCORES = (
    "mse", "rmse", "mae", "bias", "psnr", "ssim", "ms_ssim", "pearson", "crps", "spread_skill", "member_rmse",
    "conservation_error", "conservation_error_relative", "negative_count", "spectral_divergence",
    "spectral_divergence_top", "rmse_extreme", "bias_extreme",
)  # fmt: skip
COSTS = ("parameters", "train_s", "s_per_megapixel")
COLUMNS = (*KEYS, *SCORES, *COSTS, "data")
SHOWN = (
    "rmse", "mae", "bias", "psnr", "ssim", "pearson", "crps", "spread_skill", "spectral_divergence",
    "spectral_divergence_top", "conservation_error_relative", "negative_count",
)  # fmt: skip
KINDS = ("baseline", "statistical", "network", "ensemble", "sequence")
SEEDS = (0, 1, 2)
CHECKPOINTS = "checkpoints"
OF_ENSEMBLES = {"spread_skill", "member_rmse"}
TIMED = slice(0, 4)  # samples

#: Rows of the course report (its experiment numbers) -> (task, factor, model, constraint) here.
PAPER = {
    "E1": ("tcw", 2, "srcnn-plain", "none"),
    "E2": ("tcw", 2, "srcnn-plain", "softmax"),
    "E3": ("tcw", 4, "srcnn-plain", "none"),
    "E4": ("tcw", 4, "srcnn-plain", "softmax"),
    "E5": ("tcw", 4, "convgru-plain", "none"),
    "E6": ("tcw", 4, "convgru-plain", "softmax"),
    "E7": ("tcw", 4, "convgru-plain", "soft"),
    "E8": ("tcw", 4, "gan-report", "none"),
    "E9": ("tcw", 4, "gan-report", "soft"),
    "E10": ("tcw", 4, "gan-report", "softmax"),
    "GAN add": ("tcw", 4, "gan-report", "add"),
    "E11": ("tcw", 8, "gan-report", "none"),
    "E12": ("tcw", 8, "gan-report", "softmax"),
    "E13": ("tcw-t1", 4, "convgru-plain", "none"),
    "E14": ("tcw-t1", 4, "convgru-plain", "softmax"),
}


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


def run_of(recipe: Recipe, constraint: str, seed: int, preset: str) -> Run:
    """The run that trains a recipe."""
    chosen = recipe.presets[preset]
    kind = kind_of({"task": recipe.task, "network": {"class": chosen.network, "arguments": chosen.arguments}})
    label = recipe.label or "compact"
    return Run(recipe.task, recipe.factor, label, constraint, seed, kind, preset, recipe.name)


def paper(preset: str = "cpu") -> list[Run]:
    """All runs: the baselines of every task, the statistical methods, each recipe with its constraints; three seeds."""
    recipes = list_recipes().values()
    runs = [
        Run(task, factor, model, constraint, None, "baseline")
        for task, factor in dict.fromkeys((recipe.task, recipe.factor) for recipe in recipes)
        for model, constraint in (("nearest", "none"), ("bicubic", "none"), ("bicubic", "add"))
    ]
    for seed, recipe in itertools.product(SEEDS, recipes):
        runs += [run_of(recipe, constraint, seed, preset) for constraint in recipe.constraints]
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


def as_reported() -> list[Run]:
    """The rows of the course report with exactly its settings, and the baselines of their data."""
    rows = list(dict.fromkeys(PAPER.values()))
    kept = {(task, factor) for task, factor, *_ in rows}
    runs = [run for run in paper() if run.kind == "baseline" and (run.task, run.factor) in kept]
    recipes = list_recipes()
    return runs + [
        run_of(recipes[f"{task}-x{factor}-{label}"], constraint, seed, "report")
        for seed in SEEDS
        for task, factor, label, constraint in rows
    ]


#: Name of a preset -> its runs: all of them at the sizes for a CPU or for a GPU, those of the report, or a few of them.
PLANS: dict[str, Callable[[], list[Run]]] = {
    "paper": paper, "full": lambda: paper("full"), "report": as_reported, "quick": quick,
}  # fmt: skip


def more(name: str, preset: str) -> list[Run]:
    """What trains a network by the name of its class, or a recipe by its own name."""
    size, found = "full" if preset == "full" else "cpu", []
    for recipe in list_recipes().values():
        if name.casefold() in (recipe.presets[size].network.casefold(), recipe.name.casefold()):
            found += [run_of(recipe, constraint, seed, size) for seed in SEEDS for constraint in recipe.constraints]
    return found


@functools.lru_cache(maxsize=1)
def pairs(task: str, factor: int) -> SRData:
    """The data of a task; the last one stays in the memory of a worker."""
    return sr_pairs(task, factor)


def one(run: Run, context: Context) -> list[dict]:
    """Make, score and time the method of a run: its line of the table."""
    data = pairs(run.task, run.factor)
    method, costs = make(run, data, Path(context.output) / CHECKPOINTS, dict(context.changes), context.device)
    scores = (getattr(method, "card", None) or {}).get("scores", {}).get(context.split, {})
    if not set(SCORES) - OF_ENSEMBLES <= set(scores):  # a checkpoint of before knows less; others have no card
        scores = evaluate(method, data, context.split)
    seconds = seconds_per_megapixel(lambda: predict_members(method, data, context.split, TIMED, members=1))
    line = asdict(run) | scores | costs | {"s_per_megapixel": seconds, "data": data.hashes[context.split][:16]}
    return [{name: line.get(name) for name in COLUMNS}]


def make(run: Run, data: SRData, folder: Path, changes: dict, device: str = "auto") -> tuple[FieldDownscaler, dict]:
    """The method, and what it cost: parameters and seconds of training."""
    seed = run.seed or 0
    if run.kind == "baseline":
        name = run.model + ("" if run.constraint == "none" else f"+{run.constraint}")
        return next(method for method in baselines(data) if method.name == f"{name}-x{run.factor}"), {"parameters": 0}
    if run.kind == "statistical":
        start = time.perf_counter()
        method = make_statistical(run.model, data).fit(data, seed=seed)
        costs = {"train_s": time.perf_counter() - start}
        return (method if run.constraint == "none" else Constrained(method, run.constraint)), costs
    recipe = get_recipe(run.recipe)
    name = checkpoint_name(recipe, run.constraint, seed, run.preset)
    shipped = None if changes else checkpoint_folders().get(name)
    where = shipped if shipped and not (folder / name / CARD).exists() else None
    if where is None:
        where = train_one(recipe, run.constraint, seed, run.preset, folder, data, device=device, **changes)
    model = load_checkpoint(where)
    if model.card["split_hashes"].get("test") != data.hashes["test"]:
        raise PhysLabError(f"checkpoint {where} was made with other data: remove it, or choose another folder")
    count = sum(parameter.numel() for parameter in model.network.parameters())  # frozen when they are loaded
    return model, {"parameters": count, "train_s": model.card["wall_time_s"]}


def prepare(run: Run, context: Context) -> None:
    """Train what others learn from."""
    make(run, pairs(run.task, run.factor), Path(context.output) / CHECKPOINTS, dict(context.changes), context.device)


def after(run: Run, context: Context) -> list[Run]:
    """The run that a student learns from, or starts from, if its checkpoint is neither in the output nor shipped."""
    recipe = list_recipes().get(run.recipe)
    first = recipe and (recipe.teacher or recipe.start)
    if not first or run.seed is None:
        return []
    name = checkpoint_name(get_recipe(first), run.constraint, run.seed, run.preset)
    known = name in checkpoint_folders() or (Path(context.output) / CHECKPOINTS / name / CARD).is_file()
    return [] if known else [run_of(get_recipe(first), run.constraint, run.seed, run.preset)]


#: The table has one line per run: seed (empty where nothing is random), kind, preset, the scores of
#: :func:`physlab.train.evaluate` on the test split in physical units, RMSE and bias above the 99th percentile,
#: parameters, train_s (seconds), s_per_megapixel (one thread, a million fine points of a member), data (hash).
STUDY = Study(
    name="downscaling",
    title="interpolation, statistics, networks, generators and sequences",
    keys=("task", "factor", "model", "constraint", "seed", "preset"),
    columns=COLUMNS,
    plans=PLANS,
    work=one,
    prepare=prepare,
    after=after,
    more=more,
    order=(By("task"), By("factor"), By("kind", KINDS), By("model"), By("constraint"), By("seed")),
    part={"task": "tcw", "factor": 4},
    by=("model", "constraint", "kind", "preset"),
    averaged=(*SCORES, *COSTS),
    gains={"gain": "rmse"},
    against={"model": "bicubic", "constraint": "add"},
    headline=SHOWN,
    tell=lambda rows: f"RMSE {rows['rmse'].iloc[0]:.4g}",
    reference=lambda run: run.kind == "baseline",
    fill={"constraint": "none"},
)
read_runs, write_runs, summary = STUDY.read, STUDY.write, STUDY.summary


def benchmark_downscaling(
    preset: str = "paper", output: str | Path = "benchmark", workers: int = 2, runs=None, say=print, **changes
) -> Path:
    """:meth:`Study.launch`, the preset first; `changes` of the settings of the networks, for a quick try."""
    return STUDY.launch(None, output, workers, runs, say, preset=preset, **changes)

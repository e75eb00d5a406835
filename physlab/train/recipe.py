"""Recipes: what is trained, how, and which score it must reach.

A recipe stands for task x factor. It expands over constraints and seeds; each pair gives one checkpoint. Two presets:
`cpu` (CompactResNet, minutes on one core) and `full` (the SR-CNN at its published size, 200 epochs, for a GPU); rows of
the course report also have `report`, exactly its settings.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace

import numpy as np
import torch

from physlab.constrain import LAYERS, layer_name
from physlab.data.patches import SRData
from physlab.downscale import CNN, make_downscaler
from physlab.errors import PhysLabError
from physlab.nn import NETWORKS, bicubic
from physlab.registry import names, specs, unknown
from physlab.train.adversarial import Adversarial
from physlab.train.settings import Settings


@dataclass(frozen=True)
class Preset:
    """Network and settings; `arguments` lack what is measured on the training block.

    With `adversarial` the training by pixels is followed by a stage against a discriminator; with `stagewise` the
    stages of the network are trained one by one (:mod:`physlab.train.stagewise`).
    """

    network: str
    arguments: Mapping
    settings: Settings
    adversarial: Adversarial | None = None
    stagewise: bool = False

    def plan(self) -> dict:
        """All numbers that decide the result, for the card."""
        further = {"adversarial": asdict(self.adversarial)} if self.adversarial else {}
        return asdict(self.settings) | further | ({"stagewise": True} if self.stagewise else {})


@dataclass(frozen=True)
class Recipe:
    """One task, factor and network.

    Attributes
    ----------
    label : of the network in names and tables; none for the compact one.
    title : of the network for people; by default that of its class.
    task, factor : of :func:`physlab.data.patches.sr_pairs`.
    presets : "cpu", "full" and, of the rows of the course report, "report".
    constraints, seeds : what :func:`train` expands over.
    teacher, share : for a student: recipe of the teacher (same constraint, seed, preset) and its share of the target.
    start : recipe whose checkpoint (same constraint, seed, preset) gives the first weights; inputs that it lacks start
        at zero.
    trains : first letters of the names of the parameters that learn; the others stay as they started.
    geography : the domain is fixed and the network may learn a map of it.
    expected : constraint -> test RMSE in physical units (mean over the seeds) that the shipped checkpoints reached
        with preset cpu.
    """

    task: str
    factor: int
    presets: Mapping[str, Preset]
    constraints: tuple[str, ...] = field(default_factory=lambda: names("constraints"))
    seeds: tuple[int, ...] = (0, 1, 2)
    geography: bool = False
    expected: Mapping[str, float] = field(default_factory=dict)
    label: str = ""
    teacher: str = ""
    start: str = ""
    trains: tuple[str, ...] = ("",)
    share: float = 0.5
    title: str = ""

    @property
    def name(self) -> str:
        return f"{self.task}-x{self.factor}" + (f"-{self.label}" if self.label else "")


def list_recipes() -> dict[str, Recipe]:
    """Name -> recipe: those of the files in :mod:`physlab.recipes`, and for registered networks that none of them
    trains a general one for each task that suits their frames (:func:`physlab.recipes.general.recipes_of`)."""
    package = importlib.import_module("physlab.recipes")
    modules = (
        importlib.import_module(f"physlab.recipes.{info.name}") for info in pkgutil.iter_modules(package.__path__)
    )
    found = [r for module in modules for r in getattr(module, "RECIPES", [getattr(module, "RECIPE", None)]) if r]
    trained = {preset.network for recipe in found for preset in recipe.presets.values()}
    general = importlib.import_module("physlab.recipes.general")
    found += [r for spec in specs("networks").values() if spec.name not in trained for r in general.recipes_of(spec)]
    return {recipe.name: recipe for recipe in sorted(found, key=lambda recipe: recipe.name)}


def network_titles() -> dict[str, str]:
    """Label -> title of the networks of all recipes, in the order in which the networks are registered."""
    known = specs("networks")
    order = {name: at for at, name in enumerate(known)}
    recipes = sorted(list_recipes().values(), key=lambda r: (order[r.presets["cpu"].network], r.label))
    titles: dict[str, str] = {}
    for recipe in recipes:
        title = recipe.title or known[recipe.presets["cpu"].network].title
        titles[recipe.label] = titles.get(recipe.label) or title
    return titles


def get_recipe(name: str) -> Recipe:
    """Recipe by name, for example "tcw-x4"."""
    recipes = list_recipes()
    if name not in recipes:
        raise PhysLabError(unknown("recipe", name, recipes))
    return recipes[name]


def make_model(
    recipe: Recipe, constraint: str, seed: int, preset: Preset, data: SRData, name: str = ""
) -> tuple[CNN, dict]:
    """Untrained model and the complete arguments of its network.

    All constants are measured on the training block, in layer units u = value / scale: mean and standard deviation of
    the input, and the RMS of what bicubic interpolation lacks, which is the size of the correction that the trunk has
    to give.
    """
    scale = data.scaling.scale[0]
    fine, coarse = data.fine["train"] / scale, data.all_coarse("train") / scale
    arguments = {"factor": data.factor, **preset.arguments}
    missing = _rms_of_missing(fine, coarse, data.factor)
    mean, spread = float(coarse.mean()), float(coarse.std())
    if arguments.get("skip", "bicubic") != "none":
        arguments |= {"skip": "bicubic", "shift": mean, "spread": spread, "gain": missing, "floor": 1e-3}
        if LAYERS[layer_name(constraint)].logarithmic:
            arguments |= {"skip": "log", "gain": missing / mean}
    if recipe.geography and preset.network == "CompactResNet":
        arguments["domain"] = list(coarse.shape[-2:])
    if arguments.get("noise") == "map":  # the published generator draws one map of the size of the coarse field
        arguments["size"] = list(coarse.shape[-2:])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = NETWORKS[preset.network](**arguments)
    grid = {"latitude": np.asarray(data.latitude, float).round(6).tolist()}
    if recipe.geography:
        grid["longitude"] = np.asarray(data.longitude["train"][0], float).round(6).tolist()
    options = constraint_options(constraint, data)
    return make_downscaler(network, constraint, scale, data.variable, name, options, grid), arguments


def _rms_of_missing(fine: torch.Tensor, coarse: torch.Tensor, factor: int) -> float:
    parts = zip(fine.split(64), coarse.split(64), strict=True)
    squares = [(y - bicubic(x, factor)).double().square().mean(dim=(1, 2, 3)) for y, x in parts]
    return float(torch.cat(squares).mean().sqrt())


def constraint_options(constraint: str, data: SRData) -> dict:
    """Options of the layer in layer units: the bounds of scaled_add, from the training block with room to spare."""
    low, high = (value / data.scaling.scale[0] for value in data.extent)
    margin = 0.2 * (high - low)
    return LAYERS[layer_name(constraint)].within(0.0 if data.non_negative else low - margin, high + margin)


def checkpoint_name(recipe: Recipe, constraint: str, seed: int, preset: str = "cpu") -> str:
    """For example tcw-x4-softmax-s0; other presets than cpu are named."""
    return f"{recipe.name}-{constraint}" + ("" if preset == "cpu" else f"-{preset}") + f"-s{seed}"


def choose_preset(recipe: Recipe, name: str, changes: Mapping) -> Preset:
    """Preset by name, with some of its settings changed."""
    if name not in recipe.presets:
        raise PhysLabError(f"recipe {recipe.name} has no preset {name!r}: choose one of {', '.join(recipe.presets)}")
    chosen = recipe.presets[name]
    known = set(asdict(chosen.settings))
    if not set(changes) <= known:
        raise PhysLabError(
            f"unknown settings {', '.join(sorted(set(changes) - known))}: allowed are {', '.join(sorted(known))}"
        )
    return replace(chosen, settings=replace(chosen.settings, **changes))

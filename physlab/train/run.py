"""Runs: one checkpoint, or all that a recipe lacks, side by side in worker processes."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import torch

from physlab.constrain import layer_name
from physlab.data.assets import asset_folders, writable_folder
from physlab.data.patches import SRData, sr_pairs
from physlab.downscale import CNN
from physlab.downscale.gan import MEMBERS
from physlab.errors import CheckpointError, PhysLabError
from physlab.nn import Upscaler, count_parameters
from physlab.train import checkpoint as checkpoints
from physlab.train.adversarial import Adversarial, fit_adversarial
from physlab.train.devices import agreed, by_one, processes, rank, under_torchrun
from physlab.train.distillation import blended
from physlab.train.evaluate import evaluate
from physlab.train.loop import Report
from physlab.train.parallel import Task, collect, results
from physlab.train.pixels import fit
from physlab.train.recipe import Preset, Recipe, checkpoint_name, choose_preset, get_recipe, list_recipes, make_model
from physlab.train.settings import Settings
from physlab.train.stagewise import fit_stagewise
from physlab.train.state import state_file

MEMBERS_VAL = 4  # of an ensemble on the validation split


class Job(NamedTuple):
    """What one checkpoint comes from."""

    recipe: str
    constraint: str
    seed: int

    def __str__(self) -> str:
        return f"{self.recipe}-{self.constraint}-s{self.seed}"

    @property
    def first(self) -> Job | None:
        """What it learns from, or starts from."""
        recipe = get_recipe(self.recipe)
        other = recipe.teacher or recipe.start
        return self._replace(recipe=other) if other else None


def train_one(
    recipe: str | Recipe,
    constraint: str,
    seed: int = 0,
    preset: str = "cpu",
    folder: str | Path | None = None,
    data: SRData | None = None,
    progress: bool = False,
    overwrite: bool = False,
    device: str | torch.device | None = "auto",
    **changes,
) -> Path:
    """Train one checkpoint, or return the finished one; an interrupted run is resumed.

    Parameters
    ----------
    folder : parent of the checkpoint folder; None for the assets folder.
    data : pairs, if they are loaded already.
    overwrite : train again and replace the checkpoint that is there.
    device : see :func:`physlab.train.devices.choose_device`; under torchrun all processes train together.
    changes : of the settings of the preset, for example ``steps=100``.

    Raises
    ------
    PhysLabError : unknown names, or a finished checkpoint that was trained on other data or with other settings.
    """
    recipe = get_recipe(recipe) if isinstance(recipe, str) else recipe
    chosen = choose_preset(recipe, preset, changes)
    layer_name(constraint)
    name = checkpoint_name(recipe, constraint, seed, preset)
    folder = (checkpoint_folder() if folder is None else Path(folder)) / name
    data = sr_pairs(recipe.task, recipe.factor) if data is None else data
    settings = chosen.plan()
    with processes(device) as device:
        if not overwrite and agreed(lambda: is_finished(folder, data, settings)):
            return folder
        model, arguments = make_model(recipe, constraint, seed, chosen, data, name)
        state = state_file(name, folder)
        lessons = data
        if recipe.start:
            trained = find_trained(recipe.start, constraint, seed, preset, folder.parent).network
            arguments |= start_from(model.network, trained)
        for parameter, learner in model.network.named_parameters():
            learner.requires_grad_(parameter.startswith(recipe.trains))
        if recipe.teacher:
            teacher = find_trained(recipe.teacher, constraint, seed, preset, folder.parent)
            lessons = blended(teacher, data, recipe.share, device)
        report = fit_in_stages(model, lessons, chosen, seed, device, state, progress)

        def keep() -> None:
            model.eval().requires_grad_(True)
            network = {"class": chosen.network, "arguments": arguments, "parameters": count_parameters(model.network)}
            run = {"recipe": recipe.name, "task": recipe.task, "network": network, "preset": preset, "seed": seed}
            checkpoints.save_checkpoint(folder, model, card_of(model, data, report, chosen, device) | run)

        by_one(keep)
    return folder


def training_card(
    model: CNN, data: SRData, scale: Sequence[float], report: Report, preset: Preset, device: torch.device
) -> dict:
    """What a card says of the data and the training; `scale` of the layer, one number for each variable."""
    return {
        **checkpoints.describe_model(model),
        "settings": preset.plan(),
        "units": data.units,
        "scaling": {"offset": [0.0], "scale": list(scale)},
        "data_hash": data.data_hash,
        "split": data.split,
        "split_hashes": data.hashes,
        **checkpoints.origin(device),
        "wall_time_s": round(report.wall_time_s, 1),
        "training": {key: value for key, value in asdict(report).items() if key != "wall_time_s"},
    }


def card_of(model: CNN, data: SRData, report: Report, preset: Preset, device: torch.device) -> dict:
    """The same with the speed and the scores."""
    known = training_card(model, data, [model.scale], report, preset, device)
    speed = round(preset.settings.batch * report.steps / max(report.wall_time_s, 1e-9), 1)
    return {
        **known,
        "training": {**known["training"], "samples_per_s": speed},
        "scores": {
            split: evaluate(model, data, split, members)
            for split, members in (("val", MEMBERS_VAL), ("test", MEMBERS))
            if split in data.fine
        },
    }


def find_trained(recipe: str, constraint: str, seed: int, preset: str, folder: Path) -> CNN:
    """The trained network that another one learns from, from the folder of the new checkpoints or from the assets.

    Raises
    ------
    PhysLabError : it has not been trained yet.
    """
    name = checkpoint_name(get_recipe(recipe), constraint, seed, preset)
    for parent in (folder, *(place / "checkpoints" for place in asset_folders())):
        if (parent / name / checkpoints.CARD).is_file():
            return checkpoints.load_checkpoint(parent / name)
    raise PhysLabError(f"{name} is not here, and this recipe learns from it: physlab train {recipe} first")


@torch.no_grad()
def start_from(network: Upscaler, trained: Upscaler) -> dict[str, float]:
    """Copy trained weights; where the network has more input channels, the further ones start at zero.

    The constants of the frame come along; they are returned as the arguments that made them.
    """
    frame = {name: getattr(trained, name) for name in ("shift", "spread", "gain", "floor")}
    for name, value in frame.items():
        setattr(network, name, value)
    state = trained.state_dict()
    for name, weight in network.state_dict().items():
        old = state.get(name)
        if old is None or old.shape[:1] != weight.shape[:1] or old.shape[2:] != weight.shape[2:]:
            raise PhysLabError(f"weights {name} {tuple(weight.shape)} cannot start from {type(trained).__name__}")
        if weight.ndim == 1:
            weight.copy_(old)
        else:
            weight.zero_()
            weight[:, : old.shape[1]] = old
    return frame


def fit_in_stages(
    model: CNN, data: SRData, preset: Preset, seed: int, device: torch.device, state: Path, progress: bool = False
) -> Report:
    """The pixel stage, and the adversarial one if the preset has it; each is resumed where it was interrupted."""
    if preset.stagewise:
        return fit_stagewise(model, data, preset.settings, seed, device, state, progress)
    if preset.adversarial is None:
        return fit(model, data, preset.settings, seed, device, state, progress)
    second = state.with_name(state.name.replace(".pt", "-adversarial.pt"))
    report = Report()
    if not agreed(second.exists):
        report = fit(model, data, preset.settings, seed, device, state, progress)
    return fit_adversarial(model, data, preset.settings, preset.adversarial, seed, device, second, progress, report)


def train(
    recipe: str,
    constraint: str | Sequence[str] | None = None,
    seed: int | Sequence[int] | None = None,
    preset: str = "cpu",
    all: bool = False,
    workers: int = 2,
    folder: str | Path | None = None,
    overwrite: bool = False,
    say: Callable[[str], None] = print,
    device: str | torch.device | None = "auto",
    **changes,
) -> list[Path]:
    """Train what is missing of a recipe.

    Parameters
    ----------
    recipe : name, for example "tcw-x4".
    constraint, seed : one, several, or None: the best default, softmax and seed 0; with `all` every constraint and
        seed.
    workers : processes side by side, one thread each; one run alone shows a progress bar and may use all threads.
        Under torchrun the runs come one after the other, each over all processes.
    say : receives one line per finished run.
    device : see :func:`physlab.train.devices.choose_device`.

    Returns
    -------
    Checkpoint folders, those that were there already included.
    """
    jobs = expand(recipe, constraint, seed, preset, all)
    if len(jobs) > 1 and not under_torchrun():
        return train_all(jobs, preset, workers, folder, overwrite, say, device, **changes)
    paths = []
    with processes(device) as here:
        for job in jobs:
            paths.append(train_one(*job, preset, folder, None, True, overwrite, here, **changes))
            if not rank():
                say(f"{paths[-1].name}: {_summary(paths[-1])}")
    return paths


def expand(
    recipe: str,
    constraint: str | Sequence[str] | None,
    seed: int | Sequence[int] | None,
    preset: str = "cpu",
    every: bool = False,
) -> list[Job]:
    """(recipe, constraint, seed) of each run, seed by seed: an interrupted series is complete for the first seeds."""
    found = get_recipe(recipe)
    choose_preset(found, preset, {})
    constraints = _several(constraint, found.constraints if every else ("softmax",))
    seeds = _several(seed, found.seeds if every else (0,))
    for name in constraints:
        layer_name(name)
    return [Job(recipe, name, int(number)) for number in seeds for name in constraints]


def train_all(
    jobs: Sequence[tuple[str, str, int]] | None = None,
    preset: str = "cpu",
    workers: int = 2,
    folder: str | Path | None = None,
    overwrite: bool = False,
    say: Callable[[str], None] = print,
    device: str | torch.device | None = "auto",
    **changes,
) -> list[Path]:
    """Run many trainings side by side; None: all recipes with all constraints and seeds. Finished ones are skipped,
    interrupted ones resumed; a student starts when its teacher is there.

    Raises
    ------
    PhysLabError : after all jobs have ended, naming those that failed.
    """
    if jobs is None:
        jobs = [job for name in list_recipes() for job in expand(name, None, None, preset, every=True)]
    todo = [Job(*job) for job in jobs]
    done: dict[Job, Path] = {}

    def keep(job: Job, path: Path) -> str:
        done[job] = path
        return _summary(path)

    options = {"overwrite": overwrite, "device": device, **changes}
    tasks = [Task(job, _train, frozenset({job.first} & set(todo))) for job in todo]
    threads = max(1, (os.cpu_count() or 1) // max(1, workers))
    collect(results(tasks, (preset, folder, options), workers, threads=threads), len(todo), keep, say)
    return [done[job] for job in todo]


def _train(job: Job, preset: str, folder: str | Path | None, options: dict) -> Path:
    return train_one(*job, preset, folder, **options)


def is_finished(folder: Path, data: SRData, settings: Mapping) -> bool:
    """A complete checkpoint of the same data and settings is there; a damaged one does not count.

    Raises
    ------
    PhysLabError : a complete checkpoint is there, but of other data or settings.
    """
    try:
        card = checkpoints.load_checkpoint(folder).card
    except CheckpointError:
        return False
    old = {**asdict(Settings()), **card.get("settings", {})}  # settings that came later had their defaults
    if old.get("adversarial"):
        old["adversarial"] = {**asdict(Adversarial()), **old["adversarial"]}
    pairs = {"data": (card.get("data_hash"), data.data_hash), "settings": (old, dict(settings))}
    changed = [name for name, (old, new) in pairs.items() if old != new]
    if changed:
        raise PhysLabError(
            f"checkpoint {folder.name} is there, with other {' and '.join(changed)}: overwrite it (--overwrite), "
            "or choose another folder"
        )
    return True


def checkpoint_folder() -> Path:
    """Where new checkpoints go without a folder given."""
    return writable_folder() / "checkpoints"


def _several(value, default: Sequence) -> Sequence:
    if value is None:
        return default
    return value if isinstance(value, (list, tuple)) else (value,)


def _summary(path: Path) -> str:
    card = checkpoints.read_card(path)
    test = card["scores"].get("test") or card["scores"]["val"]
    steps, seconds = card["training"]["steps"], card["wall_time_s"]
    return f"test RMSE {test['rmse']:.4g} {card['units']}, {steps} steps, {seconds:.0f} s"

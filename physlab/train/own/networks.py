"""Networks: with a constraint layer, with noise and a discriminator, or for sequences; one trainer for all of them."""

from __future__ import annotations

from pathlib import Path

import torch

from physlab.constrain import COUPLINGS
from physlab.downscale import CNN
from physlab.downscale.informed import Informed
from physlab.errors import PhysLabError
from physlab.nn import count_parameters
from physlab.nn.informed import InformedNetwork
from physlab.registry import specs
from physlab.store import read_card
from physlab.train import checkpoint as checkpoints
from physlab.train.devices import by_one
from physlab.train.own.methods import suited
from physlab.train.own.task import Task, Trained
from physlab.train.recipe import Preset, Recipe, make_model
from physlab.train.run import fit_in_stages, training_card
from physlab.train.state import state_file


def fit(task: Task) -> Trained:
    """Train and keep; what was interrupted goes on."""
    data, preset = task.data, plan_of(task)
    spec = specs("networks")[preset.network]
    if spec.factors and data.factor not in spec.factors:
        raise PhysLabError(f"{task.method.name} refines by {', '.join(map(str, spec.factors))}, not by {data.factor}")
    name = task.folder.name
    model, arguments = untrained(task, preset)
    if task.start:
        begin(model, task.start)
    report = fit_in_stages(model, data, preset, task.seed, task.device, state_file(name, task.folder), task.progress)
    model.to("cpu").eval().requires_grad_(True)
    own = {"data": data.data_hash, **task.plan(), "settings": preset.plan(), "stages": {"training": report.history}}
    made = {"class": preset.network, "arguments": arguments, "parameters": count_parameters(model.network)}
    model.card = {
        **training_card(model, data, data.scaling.scale, report, preset, task.device), "task": "own",
        "recipe": task.method.name, "network": made, "preset": "own", "seed": task.seed, "data": data.card(),
        "own": own,
    }  # fmt: skip
    if isinstance(model, Informed):
        by_one(lambda: model.save(task.folder))
    else:
        by_one(lambda: checkpoints.save_checkpoint(task.folder, model, model.card))
    return Trained(model, {"training": report.history}, preset.plan(), report.wall_time_s)


def plan_of(task: Task) -> Preset:
    """Network and settings for these data."""
    data = task.data
    assert task.method.preset is not None
    return suited(task.method.preset, data.shape, data.factor, len(data.fine["train"]), data.fixed, task.steps)


def untrained(task: Task, preset: Preset) -> tuple[CNN, dict]:
    """The model before its first step."""
    data = task.data
    if len(data.variables) > 1 or data.predictors or (data.ground and not specs("networks")[preset.network].statics):
        return several(task, preset)
    recipe = Recipe("own", data.factor, {"cpu": preset}, geography=data.fixed and preset.network == "CompactResNet")
    model, arguments = make_model(recipe, task.constraint, task.seed, preset, data, task.folder.name)
    if not data.fixed:
        model.training_grid = {}
    return model, arguments


def several(task: Task, preset: Preset) -> tuple[Informed, dict]:
    """The model of several variables, predictors or static fields: a trunk for each variable, all of them told of "
    "all."""
    data, names = task.data, task.data.variables
    if task.constraint == "scaled_add" and len(names) > 1:
        raise PhysLabError("scaled_add has bounds of one variable: take add, mult or softmax for several")
    if data.step is not None:
        raise PhysLabError("sequences are of one variable without predictors and static fields")
    coupled = task.constraint in COUPLINGS  # then the trunks are those of the layer none
    recipe = Recipe("own", data.factor, {"cpu": preset})
    trunks, first = [], None
    for number in range(len(names)):
        alone = "none" if coupled else task.constraint
        made, arguments = make_model(recipe, alone, task.seed + number, preset, data.one(number), "")
        trunks.append(arguments)
        first = first or made
    assert first is not None
    channels = data.coarse["train"].double().movedim(1, 0).flatten(1)
    spread = channels.std(1).clamp_min(1e-12)
    scales = [data.scaling.scale[i] if i < len(names) else float(spread[i]) for i in range(len(channels))]
    unit = torch.tensor(scales, dtype=torch.float64)
    statics = tuple(data.ground)
    level, size = [], []
    for name in statics:
        field = data.ground[name]["train"].double()
        level.append(float(field.mean()))
        size.append(max(float(field.std()), 1e-6))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(task.seed)
        network = InformedNetwork(
            data.factor, preset.network, trunks, (channels.mean(1) / unit).tolist(), (spread / unit).tolist(), statics,
            level, size,
        )  # fmt: skip
    grid: dict = {}
    ground = None
    if data.fixed:
        grid = {"latitude": data.latitude.round(6).tolist()}
        if statics:
            grid["longitude"] = data.longitude["train"][0].round(6).tolist()
            ground = data.statics(statics, "train")[0].clone()
    options = {"variables": list(names), "scales": scales[: len(names)]} if coupled else first.options
    model = Informed(network, task.constraint, names, data.predictors, scales, task.folder.name, options, grid,
                     None, ground)  # fmt: skip
    return model, network.arguments


@torch.no_grad()
def begin(model: CNN, start: str) -> None:
    """Take the weights of a trained network of the same make; its constants come along.

    Raises
    ------
    PhysLabError : another kind of model, or weights of other shapes.
    """
    from importlib import import_module

    first = import_module("physlab.zoo").load_model(start)
    if not isinstance(first, CNN) or type(first) is not type(model) or type(first.network) is not type(model.network):
        what = type(getattr(first, "network", first)).__name__
        raise PhysLabError(
            f"{start} is a {what}, this training is of a {type(model.network).__name__}: start from one of it"
        )
    mine, theirs = model.network.state_dict(), first.network.state_dict()
    other = [
        k for k in sorted({*mine, *theirs}) if k not in mine or k not in theirs or mine[k].shape != theirs[k].shape
    ]
    if other or first.factor != model.factor:
        at = other[0] if other else "factor"
        pair = (
            [tuple(s[at].shape) if at in s else "absent" for s in (mine, theirs)]
            if other
            else [model.factor, first.factor]
        )
        raise PhysLabError(
            f"{start} does not fit: {at} is {pair[1]} there and {pair[0]} here; train the same network at the same size"
        )
    model.network.load_state_dict(theirs)


def load(folder: Path, device: torch.device) -> CNN:
    """A trained one."""
    if read_card(folder).get("class") == "Informed":
        return Informed.load(folder).to(device)
    return checkpoints.load_checkpoint(folder, device)

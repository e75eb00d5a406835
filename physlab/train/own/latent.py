"""Latent diffusion: an ensemble, in stages, each kept in the folder as soon as it is done."""

from __future__ import annotations

from pathlib import Path

import torch

from physlab.downscale.latent import LatentDownscaler
from physlab.downscale.static import static_fields
from physlab.downscale.terrain import TerrainFields
from physlab.errors import PhysLabError
from physlab.grid import Grid
from physlab.train.devices import by_one
from physlab.train.latent import LatentSettings, train_in_folder
from physlab.train.own.data import OwnData
from physlab.train.own.task import Task, Trained

AROUND = ("land", "latitude")
"""Static fields of one place where the request has none."""


def fit(task: Task) -> Trained:
    """Train stage by stage; what was interrupted goes on."""
    data = task.data
    if len(data.variables) > 1 or data.step is not None:
        raise PhysLabError(
            "latent diffusion refines one variable, time by time: name one, and give others as --predictors"
        )
    if task.start:
        raise PhysLabError("latent diffusion starts from nothing: leave out --start")
    settings = LatentSettings() if task.steps is None else LatentSettings().scaled(task.steps)
    patch = {"patch": 2 if min(data.shape) // 2 % 2 == 0 else 1}
    model = train_in_folder(fields_of(data, "train"), task.folder, settings, task.seed, 0.0, "balance", task.progress,
                            task.device, **patch)  # fmt: skip
    model.to("cpu").eval()
    model.constraint, model.name = task.constraint, task.folder.name
    stages = {k: v["history"] for k, v in model.card["training"].items() if isinstance(v, dict)}
    plan = {k: vars(getattr(settings, k)) for k in ("unet", "vae", "denoiser")}
    model.card |= {"task": "own", "seed": task.seed, "units": data.units, "data": data.card(),
                   "own": {"data": data.data_hash, **task.plan(), "settings": plan, "stages": stages}}  # fmt: skip
    by_one(lambda: model.save(task.folder))
    return Trained(model, stages, plan)


def fields_of(data: OwnData, split: str) -> TerrainFields:
    """The pairs of a split as latent diffusion takes them."""
    fine, coarse = data.fine[split], data.coarse[split]
    names, longitude = tuple(data.ground), data.longitude[split][0]
    grid = Grid(data.latitude, longitude)
    if not data.fixed:
        names, ground = (), torch.zeros(0, *data.shape)
    elif names:
        ground = data.statics(names, split)[0]
    else:
        names, ground = AROUND, static_fields(AROUND, data.latitude, longitude)
    drivers = (data.variable, *data.predictors)
    return TerrainFields(drivers, names, grid, data.factor, fine, coarse, ground, data.consistent,
                         data.fixed and bool(data.ground), data.time[split])  # fmt: skip


def statics_of(model: LatentDownscaler, data: OwnData, split: str) -> torch.Tensor | None:
    """What the method is given besides, to be scored."""
    return None if model.static is not None else fields_of(data, split).static


def load(folder: Path, device: torch.device) -> LatentDownscaler:
    """A trained one."""
    return LatentDownscaler.load(folder).to(device)


__all__ = ["fields_of", "fit", "load", "statics_of"]

"""Statistical methods: fitted at once, with the settings that suit one place or patches from anywhere."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from physlab.downscale import make_statistical
from physlab.downscale.statistical import Statistical
from physlab.errors import PhysLabError
from physlab.registry import load as part
from physlab.registry import specs
from physlab.train.own.data import OwnData
from physlab.train.own.methods import Method
from physlab.train.own.task import Task, Trained


def fit(task: Task) -> Trained:
    """Fit and keep."""
    data = task.data
    if len(data.variables) > 1:
        raise PhysLabError(
            f"{task.method.name} is of one variable: train it for {' and '.join(data.variables)} one by one"
        )
    if task.start:
        raise PhysLabError(f"{task.method.name} is fitted at once and starts from nothing: leave out --start")
    method = made(task.method, data, task.seed)
    own = {"data": data.data_hash, **task.plan(), "settings": {}, "stages": {}}
    method.card |= {"data": data.card(), "own": own}
    method.save(task.folder)
    return Trained(method)


def made(method: Method, data: OwnData, seed: int = 0) -> Statistical:
    """A fitted method; of a coarse file that is no block mean, BCSD learns its bias as well."""
    entry = specs("methods")[method.part]
    single = entry.facts.get("table", True)
    model: Any = make_statistical(method.part, data) if single else part("methods", method.part)()
    settings: dict[str, Any] = dict(method.options)
    known = {option.name for option in model.entry.options}
    if not data.fixed and "per" in known:
        if "bands" in known:  # patches of several latitudes share one model
            settings["bands"] = 1
        else:
            settings["per"] = "any"
    model = replace(model, **settings)
    taught = data
    if hasattr(model, "correct") and not data.consistent:
        taught = replace(data, coarse={k: means(data, k) for k in data.fine})
    model.fit(taught, seed=seed)
    if taught is not data:
        model.adapt(data.coarse["train"][:, 0])
    if not data.fixed:
        model.card["longitude"] = None
        model.card["latitude"] = []
    return model


def means(data: OwnData, split: str) -> torch.Tensor:
    """Block means of the truth."""
    from physlab.grid import coarsen

    return coarsen(data.fine[split].double(), data.factor, data.weights.double()).float()


def load(folder: Path, device: torch.device) -> Statistical:
    """A fitted one, on the processor."""
    return Statistical.load(folder)

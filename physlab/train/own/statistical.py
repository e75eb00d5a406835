"""Statistical methods: fitted at once, with the settings that suit one place or patches from anywhere."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from physlab.downscale import make_statistical
from physlab.downscale.quantile import Mapped
from physlab.downscale.statistical import Statistical
from physlab.errors import PhysLabError
from physlab.registry import load as part
from physlab.train.own.data import OwnData
from physlab.train.own.methods import Method
from physlab.train.own.task import Task, Trained

MOST = 500_000
"""Coarse cells of patches that a statistical method learns from, at most about so many."""


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
    kind = part("methods", method.part)
    known = {option.name for option in kind.entry.options}
    if data.fixed and kind.entry.facts.get("table", True):
        model: Any = make_statistical(method.part, data)
    else:  # patches of several latitudes share one model
        settings: dict[str, Any] = dict(kind.entry.facts.get("cell" if data.fixed else "child", {}))
        if "per" in known:
            settings["per"] = "cell" if data.fixed else "any" if issubclass(kind, Mapped) else "child"
        settings |= {k: v for k, v in (("bands", 1), ("memory", False)) if k in known and not data.fixed}
        model = kind(**settings)
    model = replace(model, **dict(method.options))
    cells = data.coarse["train"][:, 0].numel()
    if not data.fixed and cells > MOST:  # of patches from anywhere more teach nothing new, and all would take gigabytes
        model = replace(model, share=min(model.share, MOST / cells))
    taught = data
    if hasattr(model, "correct") and not data.consistent:
        taught = replace(data, coarse={k: means(data, k) for k in data.fine})
    model.fit(taught, seed=seed)
    if taught is not data:
        model.adapt(data.coarse["train"][:, 0])
    if not data.fixed and model.domain is None:
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

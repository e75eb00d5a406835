"""One door to the training of every kind of method on data of one's own.

Each family is one file with two functions, entered in :data:`FAMILIES` by the name of the family::

    FAMILIES["mine"] = Family(fit, load)     # fit(task) -> Trained; load(folder, device) -> the method

and its methods are named in :func:`physlab.train.own.methods.method_of`. `fit` writes the folder of the task.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from physlab.constrain import COUPLINGS, LAYERS, layer_name
from physlab.errors import CheckpointError, PhysLabError
from physlab.store import read_card
from physlab.train.own import latent, networks, statistical
from physlab.train.own.data import OwnData
from physlab.train.own.methods import Method
from physlab.train.own.task import Task, Trained


@dataclass(frozen=True)
class Family:
    """How the methods of a family are trained, and opened from the folder of a trained one."""

    fit: Callable[[Task], Trained]
    load: Callable[[Path, torch.device], Any]


FAMILIES: dict[str, Family] = {
    "statistical": Family(statistical.fit, statistical.load),
    "network": Family(networks.fit, networks.load),
    "latent": Family(latent.fit, latent.load),
}


def fitted(task: Task, overwrite: bool = False) -> Trained:
    """The result of a task: trained now, or taken from its folder if that was finished.

    Raises
    ------
    PhysLabError : a finished folder of other data or another plan.
    """
    known = None if overwrite else finished(task)
    if known is not None:
        model = FAMILIES[task.method.family].load(task.folder, task.device)
        return Trained(model, known.get("stages", {}), known.get("settings", {}), 0.0)
    begun = time.perf_counter()
    made = FAMILIES[task.method.family].fit(task)
    made.seconds = time.perf_counter() - begun
    return made


def finished(task: Task) -> dict | None:
    """What the card of a finished folder says of its training; None where there is no such folder.

    Raises
    ------
    PhysLabError : it is of other data or another plan.
    """
    try:
        card = read_card(task.folder)
    except CheckpointError:
        return None
    own = card.get("own")
    if not isinstance(own, dict):
        if card.get("class") == "LatentDownscaler":  # an interrupted one: it says itself whether it fits
            return None
        raise PhysLabError(f"{task.folder} holds another model: choose another folder, or --overwrite")
    wanted = {"data": task.data.data_hash, **task.plan()}
    other = [k for k, v in wanted.items() if own.get(k) != v]
    if other:
        raise PhysLabError(
            f"{task.folder} holds a model of another {' and '.join(other)}: choose another folder, or --overwrite"
        )
    return own


def check_constraint(method: Method, constraint: str | None, data: OwnData) -> str:
    """The constraint that is meant: the one that is asked for, or what suits the variables.

    Raises
    ------
    PhysLabError : unknown; for a method that has none; one that would keep the error of a coarse file.
    """
    if method.family == "statistical":
        if constraint not in (None, "none"):
            raise PhysLabError(f"{method.name} learns without a constraint layer: leave out --constraint {constraint}")
        return "none"
    if constraint is None:
        if not data.consistent or method.family == "latent":
            return "none" if not data.consistent else ("mult" if all(data.positive) else "add")
        return "mult" if all(data.positive) else "add"
    layer = layer_name(constraint)
    if (layer in COUPLINGS or LAYERS[layer].hard) and not data.consistent:
        raise PhysLabError(
            f"constraint {constraint} ties the result to the coarse file, which is no block mean of the truth (rms "
            f"of the "
            f"difference {data.fit['rms']:.3g} {data.units}, detail within blocks {data.fit['detail']:.3g}): use "
            "--constraint none or soft"
        )
    if constraint in COUPLINGS and (method.family != "network" or len(data.variables) < 2):
        raise PhysLabError(
            f"constraint {constraint} couples several variables of a network: name them by --variable, or choose "
            f"another of {', '.join(LAYERS)}"
        )
    if method.family == "latent" and constraint not in ("none", "add", "mult"):
        raise PhysLabError(f"constraint {constraint} of latent diffusion: choose none, add or mult")
    return constraint

"""The zoo: every method by name. Checkpoints lie under ``assets/checkpoints``, continuous fields under
``assets/fields``, forecasters under ``assets/forecasts``, methods of data assimilation under ``assets/assimilators``,
latent diffusion under ``assets/ensembles``; baselines need none."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd
import torch

from physlab.assimilate.learned import Learned
from physlab.data.assets import asset_folders, missing_assets
from physlab.downscale import FieldDownscaler, Interpolate
from physlab.errors import CheckpointError
from physlab.nn.stored import Stored, subclasses
from physlab.phydl import Forecaster, PhyDL
from physlab.train.checkpoint import CARD, WEIGHTS, load_checkpoint, read_card

# no scaled_add by name: its bounds belong to the data (downscale.Constrained takes them)
BASELINE = re.compile(r"(nearest|bicubic)(?:\+(add|mult|softmax))?-x([0-9]{1,2})")
BASELINES = [f"{method}-x{factor}" for factor in (2, 4, 8) for method in ("nearest", "bicubic", "bicubic+add")]


def checkpoint_folders() -> dict[str, Path]:
    """Name -> folder of the checkpoints that are here; a folder that PHYSLAB_ASSETS names comes before the package."""
    return _folders("checkpoints")


def field_folders() -> dict[str, Path]:
    """Name -> folder of the fitted continuous fields (:class:`physlab.phydl.PhyDL`)."""
    return _folders("fields")


def forecast_folders() -> dict[str, Path]:
    """Name -> folder of the trained forecasters (:class:`physlab.phydl.Forecaster`)."""
    return _folders("forecasts")


def assimilator_folders() -> dict[str, Path]:
    """Name -> folder of the trained methods of data assimilation (:class:`physlab.assimilate.Learned`)."""
    return _folders("assimilators")


def ensemble_folders() -> dict[str, Path]:
    """Name -> folder of the trained latent diffusion models (:class:`physlab.downscale.LatentDownscaler`)."""
    return _folders("ensembles")


def _folders(kind: str) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for parent in asset_folders():
        for folder in sorted((parent / kind).glob("*")):
            if not folder.name.startswith(".") and (folder / CARD).is_file() and (folder / WEIGHTS).is_file():
                found.setdefault(folder.name, folder)
    return dict(sorted(found.items()))


def list_models() -> pd.DataFrame:
    """One row per method: name, kind, task, factor, constraint, seed, preset, test and validation RMSE with unit,
    parameters.

    A checkpoint whose card cannot be read is listed with the reason in `kind`.
    """
    rows = []
    for name, folder in checkpoint_folders().items():
        try:
            card = read_card(folder)
        except CheckpointError as error:
            rows.append({"name": name, "kind": f"unusable: {error}"})
            continue
        scores = card.get("scores", {})
        rows.append({
            "name": name, "kind": kind_of(card), "task": card["task"], "factor": card["factor"],
            "constraint": card["constraint"],
            "seed": card.get("seed"), "preset": card.get("preset"), "units": card.get("units"),
            "rmse_val": scores.get("val", {}).get("rmse"), "rmse_test": scores.get("test", {}).get("rmse"),
            "parameters": card["network"].get("parameters"),
        })  # fmt: skip
    others = {
        "continuous": field_folders(), "forecast": forecast_folders(), "assimilation": assimilator_folders(),
        "latent diffusion": ensemble_folders(),
    }  # fmt: skip
    for kind, folders in others.items():
        for name, folder in folders.items():
            card = json.loads((folder / CARD).read_text(encoding="utf-8"))
            row = {key: card.get(key) for key in ("task", "seed", "parameters")}
            rows.append({"name": name, "kind": kind, **row})
    for name in BASELINES:
        method = load_model(name)
        rows.append(
            {
                "name": name,
                "kind": "baseline",
                "task": "any",
                "factor": method.factor,
                "constraint": method.constraint,
                "parameters": 0,
            }
        )
    columns = [
        "name",
        "kind",
        "task",
        "factor",
        "constraint",
        "seed",
        "preset",
        "units",
        "rmse_val",
        "rmse_test",
        "parameters",
    ]
    table = pd.DataFrame(rows, columns=columns)
    return table.astype({"factor": "Int64", "seed": "Int64", "parameters": "Int64"})


def kind_of(card: Mapping) -> str:
    """Network, ensemble (it takes noise) or sequence, from a card."""
    if card["task"] in ("tcw-t1", "tcw-t2"):
        return "sequence"
    network = card["network"]
    noisy = network["class"] == "NoiseResNet" or network["arguments"].get("noise_channels")
    return "ensemble" if noisy else "network"


def loaders() -> dict[str, Callable[[Path], PhyDL | Stored]]:
    """Class on the card -> what opens the folder; every subclass of Stored that has been imported is known."""
    return {"PhyDL": PhyDL.load, **{kind.__name__: kind.load for kind in subclasses(Stored)}}


def class_of(folder: Path) -> str:
    """The class that a card names, or "": that of a downscaling network is in its entry `network`."""
    try:
        return json.loads((folder / CARD).read_text(encoding="utf-8")).get("class", "")
    except (OSError, ValueError, AttributeError):
        return ""


def load_model(
    name_or_path: str | Path, device: torch.device | str | None = None
) -> FieldDownscaler | PhyDL | Forecaster | Learned:
    """A method by name, or from a checkpoint folder; all but downscaling networks come on the CPU.

    Parameters
    ----------
    name_or_path : "tcw-x4-softmax-s0"; without seed the first one, "tcw-x4-softmax"; a baseline "nearest-x4",
        "bicubic-x4", "bicubic+add-x4" for any factor; or the path of a folder with card.json and model.safetensors.

    Raises
    ------
    CheckpointError : no such method; a checkpoint that is damaged or contradicts its card.
    """
    text = str(name_or_path)
    baseline = BASELINE.fullmatch(text)
    if baseline and int(baseline[3]) > 0:
        return Interpolate(baseline[1], int(baseline[3]), baseline[2] or "none")
    known = {**checkpoint_folders(), **field_folders(), **forecast_folders(), **assimilator_folders(),
             **ensemble_folders()}  # fmt: skip
    folder = next((known[name] for name in (text, f"{text}-s0") if name in known), Path(text))
    if folder.is_dir():
        loader = loaders().get(class_of(folder))
        return loader(folder) if loader else load_checkpoint(folder, device)
    near = sorted({re.sub(r"-s\d+$", "", name) for name in known})
    raise CheckpointError(
        f"no model {text!r}: neither a folder nor one of "
        + ", ".join([*near, "nearest-xN", "bicubic-xN", "bicubic+add-xN"])
        + (f"; {hint}" if (hint := missing_assets()) else "")
    )

"""Checkpoints: a folder with `model.safetensors` (weights) and `card.json` (what they are).

The constraint is written twice, on the card and into the header of the weights file, and the layer itself is a third
witness: a folder whose three disagree is refused. The rest is the business of :mod:`physlab.store`.
"""

from __future__ import annotations

import math
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from physlab.constrain import layer_name
from physlab.downscale import CNN, make_downscaler
from physlab.errors import CheckpointError, PhysLabError, one_line
from physlab.nn import NETWORKS, count_parameters
from physlab.store import CARD, WEIGHTS, Checkpoint, open_checkpoint, refuse_sizes, write_checkpoint
from physlab.store import read_card as read_any_card

REQUIRED = ("name", "task", "factor", "constraint", "constraint_options", "network", "scaling", "variable")


def save_checkpoint(folder: str | Path, model: CNN, card: Mapping) -> Path:
    """Write a checkpoint; an existing one is replaced only once the new one is complete.

    Raises
    ------
    CheckpointError : the card names another constraint or factor than the model holds.
    """
    folder = Path(folder)
    card = dict(card)
    for key, value in (("constraint", model.constraint), ("factor", model.factor)):
        if card.get(key) != value:
            raise CheckpointError(
                f"card names {key} {card.get(key)!r}, but the model has {value!r}: correct the card before saving"
            )
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in model.network.state_dict().items()}
    if card.get("weights") == "float16":
        state = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in state.items()}
    header = {
        "constraint": model.constraint,
        "layer": model.layer.name,
        "network": type(model.network).__name__,
    }
    return write_checkpoint(folder, card, state, header)


def ship(source: str | Path, folder: str | Path) -> Path:
    """Copy a checkpoint with its weights rounded to float16, half the size; networks compute in float32 as before.

    The card says so. Rounding changes an RMSE by less than the seeds do (1e-4 of it in the networks that ship), so
    that the scores of the card are kept; the constraint layers do not depend on the weights.
    """
    source, folder = Path(source), Path(folder)
    model = load_checkpoint(source)
    for parameter in model.network.state_dict().values():
        if parameter.is_floating_point():
            parameter.copy_(parameter.half())
    return save_checkpoint(folder / source.name, model, {**model.card, "weights": "float16"})


def load_checkpoint(folder: str | Path, device: torch.device | str | None = None) -> CNN:
    """Model of a checkpoint folder, in evaluation mode, its card in `model.card`.

    Raises
    ------
    CheckpointError : one line for a missing, damaged, incomplete or contradictory checkpoint.
    """
    folder = Path(folder)
    card = read_card(folder)
    name, constraint = card["name"], card["constraint"]
    found = _open(folder)
    for key, wanted in (
        ("constraint", constraint),
        ("layer", layer_name(constraint)),
        ("network", card["network"]["class"]),
    ):
        if found.header.get(key) != wanted:
            raise CheckpointError(
                f"checkpoint {name}: the card names {key} {wanted!r}, but the weights were trained with "
                f"{found.header.get(key)!r}: restore the card that belongs to the weights, or train again"
            )
    try:
        with torch.device("meta"):
            network = NETWORKS[card["network"]["class"]](**card["network"]["arguments"])
        scale, grid = float(card["scaling"]["scale"][0]), card.get("grid") or {}
        model = make_downscaler(
            network, constraint, scale, card["variable"], name, card["constraint_options"], grid, card
        )
    except (TypeError, KeyError, IndexError, AttributeError, RuntimeError, ValueError, OverflowError) as error:
        raise CheckpointError(
            f"checkpoint {name}: the card does not describe a network ({one_line(error)}): train again"
        ) from None
    try:
        found.require({key: tuple(tensor.shape) for key, tensor in network.state_dict().items()})
        if (
            model.layer.name != layer_name(constraint)
            or model.factor != card["factor"]
            or not (scale > 0 and math.isfinite(scale))
        ):
            raise CheckpointError(
                f"layer {model.layer.name}, factor {model.factor} or scale {scale} contradict the card"
            )
        state = {key: tensor.float() for key, tensor in found.tensors().items()}
    except CheckpointError as error:
        raise CheckpointError(f"checkpoint {name}: {error}") from None
    network.load_state_dict(state, assign=True)
    network.requires_grad_(False)
    return model.to(device or "cpu").eval()


def read_card(folder: str | Path) -> dict:
    """The card of a checkpoint folder, its required entries present."""
    folder = Path(folder)
    card = read_any_card(folder)
    missing = [key for key in REQUIRED if key not in card]
    if missing:
        raise CheckpointError(
            f"checkpoint {folder.name}: {CARD} lacks {', '.join(missing)}: restore it, or train again"
        )
    network = card["network"]
    arguments = network.get("arguments") if isinstance(network, dict) else None
    if not isinstance(arguments, dict) or network.get("class") not in NETWORKS:
        raise CheckpointError(
            f"checkpoint {folder.name}: the card names no known network: allowed are {', '.join(NETWORKS)}"
        )
    try:
        refuse_sizes(arguments)
    except CheckpointError as error:
        raise CheckpointError(f"checkpoint {folder.name}: {error}") from None
    try:
        layer_name(card["constraint"])
    except (PhysLabError, TypeError) as error:
        raise CheckpointError(f"checkpoint {folder.name}: {one_line(error)}") from None
    return card


def describe_model(model: CNN) -> dict:
    """Entries of a card that follow from the model."""
    return {
        "name": model.name,
        "variable": model.variable,
        "factor": model.factor,
        "constraint": model.constraint,
        "layer": model.layer.name,
        "constraint_options": model.options,
        "grid": model.training_grid,
    }


def card_of(model: CNN) -> dict:
    """The card of a model: its own, or, for one that was put together by hand, what it takes to build it again."""
    network = model.network
    frame = {name: getattr(network, name) for name in ("shift", "spread", "gain", "floor")}
    made = {
        "task": "own",
        "network": {"class": type(network).__name__, "arguments": {**network.arguments, **frame},
                    "parameters": count_parameters(network)},
        "scaling": {"offset": [0.0], "scale": [model.scale]},
    }  # fmt: skip
    return {**made, **model.card, **describe_model(model)}


def commit() -> str:
    """Git commit of the library's source, with + if it was changed since; "" outside its repository."""
    package = Path(__file__).resolve().parents[1]

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(package), *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", "__init__.py")  # not merely installed inside some other repository
        changed = git("status", "--porcelain", "--", ".", ":(exclude)assets")
        return git("rev-parse", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.SubprocessError):
        return ""


def versions() -> dict[str, str]:
    """Versions that a rerun needs to know."""
    return {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__}


def origin(device: torch.device) -> dict[str, Any]:
    """What a card says of where its model was made: commit, versions and device."""
    return {"commit": commit(), "versions": versions(), "device": device_name(device)}


def device_name(device: torch.device) -> str:
    """The machine, for people."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU {platform.machine()}, {torch.get_num_threads()} thread" + ("s" if torch.get_num_threads() > 1 else "")


def _open(folder: Path) -> Checkpoint:
    try:
        return open_checkpoint(folder)
    except CheckpointError as error:
        raise CheckpointError(f"checkpoint {folder.name}: {error}") from None
    except FileNotFoundError:
        raise CheckpointError(f"checkpoint {folder.name} has no {WEIGHTS}: restore it, or train again") from None
    except Exception as error:  # safetensors raises its own and the system's errors
        raise CheckpointError(
            f"checkpoint {folder.name}: {WEIGHTS} is damaged ({one_line(error)}): restore it, or train again"
        ) from None

"""Checkpoints: a folder with `model.safetensors` (weights) and `card.json` (what they are).

The constraint is written twice, on the card and into the header of the weights file, and the layer itself is a third
witness: a folder whose three disagree is refused. Files are written beside their place and renamed, so that a folder
is whole or absent. Nothing in a checkpoint is executed, and a foreign one cannot make the program allocate more than
its own weights.
"""

from __future__ import annotations

import json
import math
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import safetensors
import torch
from safetensors.torch import save_file

from physlab.constrain import layer_name
from physlab.downscale import CNN, make_downscaler
from physlab.errors import CheckpointError, PhysLabError
from physlab.nn import NETWORKS
from physlab.store import new_folder

WEIGHTS, CARD = "model.safetensors", "card.json"
REQUIRED = ("name", "task", "factor", "constraint", "constraint_options", "network", "scaling", "variable")
LARGEST = 4096  # of any whole number in the arguments of a network


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
        "format": "pt",
        "constraint": model.constraint,
        "layer": model.layer.name,
        "network": type(model.network).__name__,
    }
    with new_folder(folder, "model") as part:
        save_file(state, part / WEIGHTS, metadata=header)
        (part / CARD).write_text(json.dumps(card, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return folder


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
    header, state = _read_weights(folder / WEIGHTS)
    name, constraint = card["name"], card["constraint"]
    for key, wanted in (
        ("constraint", constraint),
        ("layer", layer_name(constraint)),
        ("network", card["network"]["class"]),
    ):
        if header.get(key) != wanted:
            raise CheckpointError(
                f"checkpoint {name}: the card names {key} {wanted!r}, but the weights were trained with "
                f"{header.get(key)!r}: restore the card that belongs to the weights, or train again"
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
            f"checkpoint {name}: the card does not describe a network ({_line(error)}): train again"
        ) from None
    wanted = {key: tuple(tensor.shape) for key, tensor in network.state_dict().items()}
    found = {key: tuple(tensor.shape) for key, tensor in state.items()}
    if wanted != found:
        key = sorted(key for key in wanted.keys() | found.keys() if wanted.get(key) != found.get(key))[0]
        raise CheckpointError(
            f"checkpoint {name}: weights and card differ at {key}: {found.get(key, 'absent')} in the file, "
            f"{wanted.get(key, 'absent')} by the card: restore the card that belongs to the weights"
        )
    if not all(bool(torch.isfinite(tensor).all()) for tensor in state.values()):
        raise CheckpointError(f"checkpoint {name}: the weights hold NaN or infinite values: train again")
    network.load_state_dict(state, assign=True)
    if (
        model.layer.name != layer_name(constraint)
        or model.factor != card["factor"]
        or not (scale > 0 and math.isfinite(scale))
    ):
        raise CheckpointError(
            f"checkpoint {name}: layer {model.layer.name}, factor {model.factor} or scale {scale} contradict the card"
        )
    network.requires_grad_(False)
    return model.to(device or "cpu").eval()


def read_card(folder: str | Path) -> dict:
    """The card of a checkpoint folder, its required entries present."""
    folder = Path(folder)
    if not folder.is_dir():
        raise CheckpointError(f"no checkpoint folder {folder}: physlab.list_models() lists those that are here")
    try:
        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(
            f"checkpoint {folder.name} has no {CARD}: it says which constraint the weights need; restore it"
        ) from None
    except (OSError, ValueError) as error:
        raise CheckpointError(f"checkpoint {folder.name}: {CARD} cannot be read ({_line(error)}): restore it") from None
    missing = [key for key in REQUIRED if not isinstance(card, dict) or key not in card]
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
    numbers = [
        n for value in arguments.values() for n in (value if isinstance(value, list) else [value]) if isinstance(n, int)
    ]
    if any(not 0 <= n <= LARGEST for n in numbers):
        raise CheckpointError(
            f"checkpoint {folder.name}: an argument of the network is not within 0 to {LARGEST}: restore the card"
        )
    try:
        layer_name(card["constraint"])
    except (PhysLabError, TypeError) as error:
        raise CheckpointError(f"checkpoint {folder.name}: {_line(error)}") from None
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


def device_name(device: torch.device) -> str:
    """The machine, for people."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU {platform.machine()}, {torch.get_num_threads()} thread" + ("s" if torch.get_num_threads() > 1 else "")


def _read_weights(path: Path) -> tuple[dict[str, str], dict[str, torch.Tensor]]:
    if not path.is_file():
        raise CheckpointError(f"checkpoint {path.parent.name} has no {WEIGHTS}: restore it, or train again")
    try:
        with safetensors.safe_open(path, framework="pt", device="cpu") as file:
            return file.metadata() or {}, {key: file.get_tensor(key).float() for key in file.keys()}
    except Exception as error:  # safetensors raises its own and the system's errors
        raise CheckpointError(
            f"checkpoint {path.parent.name}: {WEIGHTS} is damaged ({_line(error)}): restore it, or train again"
        ) from None


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:160]

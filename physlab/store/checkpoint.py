"""Checkpoints: one format for every kind of model, a folder with its weights, its card and a manifest of both.

    model.safetensors   arrays; its header repeats what must not be mistaken: class, constraint, layer, network
    card.json           what the arrays belong to, as JSON
    manifest.json       SHA-256 of both

Nothing in a checkpoint is executed. What a card asks for is compared with the shapes in the header of the weights
before anything of that size is allocated, and the arrays must be finite.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from physlab.errors import CheckpointError, one_line
from physlab.store.cards import parse_card
from physlab.store.files import new_folder, recover
from physlab.store.manifest import CARD, WEIGHTS, read_manifest, verify, write_manifest

LARGEST = 4096
"""Of any whole number in the arguments of a network."""
WITNESSED = ("class", "constraint", "layer", "network")
"""Entries of a card that the header of the weights repeats."""

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Checkpoint:
    """A folder that was opened; its arrays are still on the disk.

    Attributes
    ----------
    card, header : of the folder and of its weights.
    shapes : of the arrays, by name.
    """

    folder: Path
    card: dict[str, Any]
    header: dict[str, str]
    shapes: dict[str, tuple[int, ...]]

    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays, when all else agrees.

        Raises
        ------
        CheckpointError : NaN or infinity, or files that are not what was saved.
        """
        from safetensors import safe_open

        with safe_open(self.folder / WEIGHTS, framework="np") as file:
            arrays = {name: file.get_tensor(name) for name in self.shapes}
        refuse_values(arrays)
        verify(self.folder)
        return arrays

    def tensors(self) -> dict[str, Any]:
        """:meth:`arrays` as torch tensors."""
        import torch

        return {name: torch.from_numpy(array) for name, array in self.arrays().items()}

    def outlined(self) -> dict[str, Any]:
        """Tensors of these shapes that take no memory: to build a model of the card on the device "meta" from."""
        import torch

        return {name: torch.empty(shape, device="meta") for name, shape in self.shapes.items()}

    def require(self, wanted: Shapes) -> None:
        """Refuse weights of other names or shapes than the model of the card has."""
        for name in sorted(wanted.keys() | self.shapes.keys()):
            mine, own = wanted.get(name, "absent"), self.shapes.get(name, "absent")
            if mine != own:
                raise CheckpointError(
                    f"weights and card differ at {name} (size mismatch): {own} in the file, {mine} by the card: "
                    "restore the card that belongs to the weights"
                )


def write_checkpoint(
    folder: str | Path, card: Mapping[str, Any], tensors: Mapping[str, Any], header: Mapping[str, str] | None = None
) -> Path:
    """Write a checkpoint; one that is there is replaced when the new one is complete.

    Parameters
    ----------
    tensors : name -> tensor or array; what torch or JAX hold is copied to the CPU.
    header : further entries of the header of the weights.

    Raises
    ------
    StoreError : the folder holds something else than a checkpoint.
    ValueError : the card or the weights hold NaN or infinity.
    """
    from safetensors.numpy import save

    arrays = {name: _array(tensor) for name, tensor in tensors.items()}
    refuse_values(arrays)
    text = json.dumps(dict(card), indent=1, allow_nan=False) + "\n"
    told = {key: card[key] for key in WITNESSED if isinstance(card.get(key), str)}
    with new_folder(folder, "model") as part:
        (part / WEIGHTS).write_bytes(save(arrays, {"format": "pt", **told, **(header or {})}))
        (part / CARD).write_text(text, encoding="utf-8")
        write_manifest(part)
    return Path(folder)


def add_files(folder: str | Path, files: Mapping[str, str | bytes]) -> Path:
    """Put further files into the folder of a model, such as a report; they belong to it from then on.

    Raises
    ------
    StoreError : the folder holds something else.
    """

    folder = Path(folder)
    names = [n for n in (*(read_manifest(folder) or ()), CARD, WEIGHTS) if n not in files and (folder / n).is_file()]
    with new_folder(folder, "model") as part:
        for name in dict.fromkeys(names):
            shutil.copyfile(folder / name, part / name)
        for name, content in files.items():
            (part / name).write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
        write_manifest(part, tuple(dict.fromkeys([*names, *files])))
    return folder


def open_checkpoint(folder: str | Path) -> Checkpoint:
    """A checkpoint whose card and header are read and agree; what a writer left that was killed is set right first.

    Raises
    ------
    CheckpointError : the header names another class, constraint, layer or network than the card.
    OSError, ValueError, SafetensorError : missing or damaged files.
    """
    from safetensors import safe_open

    folder = Path(folder)
    recover(folder)
    card = parse_card(folder / CARD)
    with safe_open(folder / WEIGHTS, framework="np") as file:
        header = file.metadata() or {}
        shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}
    for key in WITNESSED:
        if key in header and isinstance(card.get(key), str) and header[key] != card[key]:
            raise CheckpointError(
                f"the card names {key} {card[key]!r}, but the weights were trained with {header[key]!r}: restore the "
                "card that belongs to the weights, or train again"
            )
    return Checkpoint(folder, card, header, shapes)


def refuse_values(arrays: Mapping[str, np.ndarray]) -> None:
    """Refuse NaN and infinity."""
    for name, array in arrays.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise CheckpointError(f"the weights hold NaN or infinite values ({name}): train again")


def refuse_sizes(arguments: Any) -> None:
    """Refuse whole numbers beyond :data:`LARGEST` in the arguments of a network.

    Raises
    ------
    CheckpointError : names the range.
    """
    if isinstance(arguments, Mapping):
        arguments = list(arguments.values())
    for value in arguments if isinstance(arguments, list) else ():
        if isinstance(value, Mapping | list):
            refuse_sizes(value)
        elif isinstance(value, int) and not -LARGEST <= value <= LARGEST:
            raise CheckpointError(
                f"an argument of the network is not within 0 to {LARGEST} ({value:.3g}): restore the card"
            )


@contextmanager
def reading(title: str, folder: str | Path, made: str = "train") -> Iterator[None]:
    """Refuse a folder in one line, whatever goes wrong inside: safetensors, JSON, torch and the system raise their own.

    Raises
    ------
    CheckpointError : what went wrong, and that one should `made` it again.
    """
    try:
        yield
    except Exception as error:
        kind = "" if isinstance(error, CheckpointError) else f"{type(error).__name__}: "
        raise CheckpointError(
            f"no {title} in {folder} ({kind}{one_line(error, 200)}): {made} it and save it again"
        ) from None


def _array(tensor: Any) -> np.ndarray:
    if hasattr(tensor, "detach"):
        tensor = tensor.detach().cpu().numpy()
    return np.asarray(tensor, order="C")

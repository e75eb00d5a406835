"""Models that live in a folder: weights in `model.safetensors`, what they are in `card.json`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Self, TypeVar

import torch
from torch import Tensor, nn

from physlab.store import open_checkpoint, reading, refuse_sizes, write_checkpoint

T = TypeVar("T")


class Stored(nn.Module):
    """Base. A model implements :meth:`describe` and :meth:`build`, each the inverse of the other.

    Attributes
    ----------
    title : what it is called in messages.
    kept : prefix, or prefixes, of the tensors that are rounded if half precision is asked for; "" for all.
    card : what is known of the training; written beside what :meth:`describe` gives.
    """

    title: ClassVar[str] = "model"
    kept: ClassVar[str | tuple[str, ...]] = ""

    def __init__(self) -> None:
        super().__init__()
        self.card: dict = {}

    def describe(self) -> dict:
        """What the constructor needs, as JSON can hold it."""
        raise NotImplementedError

    @classmethod
    def build(cls, card: Mapping, tensors: Mapping[str, Tensor]) -> Self:
        """The model of a card, before its weights are loaded."""
        raise NotImplementedError

    def save(self, folder: str | Path, half: bool = False) -> Path:
        """Write weights and card; `half` rounds the weights to float16."""
        tensors = self.state_dict()
        if half:
            rounded = [k for k, v in tensors.items() if v.is_floating_point() and k.startswith(self.kept)]
            tensors |= {k: tensors[k].half() for k in rounded}
        count = sum(p.numel() for p in self.parameters())
        return write_checkpoint(
            folder, {"class": type(self).__name__, **self.describe(), "parameters": count, **self.card}, tensors
        )

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """A trained model, of whichever subclass its card names, on the CPU and in evaluation mode.

        Raises
        ------
        CheckpointError : missing or damaged files, or weights that are not of the model on the card.
        """
        with reading(cls.title, folder):
            found = open_checkpoint(folder)
            card = found.card
            kind = {kind.__name__: kind for kind in (cls, *subclasses(cls))}[card["class"]]
            refuse_sizes(card.get("arguments"))
            with torch.device("meta"):
                outline = kind.build(card, found.outlined())
            found.require({name: tuple(tensor.shape) for name, tensor in outline.state_dict().items()})
            tensors = found.tensors()
            model = kind.build(card, tensors)
            model.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in tensors.items()})
            own = ("class", "parameters", *model.describe())
            model.card = {k: v for k, v in card.items() if k not in own}
        return model.eval()


def subclasses(kind: type[T]) -> list[type[T]]:
    """All of them, at any depth."""
    return [k for child in kind.__subclasses__() for k in (child, *subclasses(child))]

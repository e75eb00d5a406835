"""Models that live in a folder: weights in `model.safetensors`, what they are in `card.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Self, TypeVar

from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from physlab.errors import CheckpointError
from physlab.store import new_folder

T = TypeVar("T")
WEIGHTS, CARD = "model.safetensors", "card.json"


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
        card = {"class": type(self).__name__, **self.describe(), "parameters": count, **self.card}
        with new_folder(folder, "model") as part:
            save_file({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, part / WEIGHTS)
            (part / CARD).write_text(json.dumps(card, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        return Path(folder)

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """A trained model, of whichever subclass its card names, on the CPU and in evaluation mode.

        Raises
        ------
        CheckpointError : missing or damaged files, or weights that are not of the model on the card.
        """
        try:
            card: dict = json.loads((Path(folder) / CARD).read_text(encoding="utf-8"))
            tensors = load_file(Path(folder) / WEIGHTS)
            kind = {kind.__name__: kind for kind in (cls, *subclasses(cls))}[card["class"]]
            model = kind.build(card, tensors)
            model.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in tensors.items()})
            own = ("class", "parameters", *model.describe())
            model.card = {k: v for k, v in card.items() if k not in own}
        except Exception as error:  # safetensors, JSON and torch raise their own
            line = " ".join(str(error).split())[:160]
            raise CheckpointError(
                f"no {cls.title} in {folder} ({type(error).__name__}: {line}): train it and save it again"
            ) from None
        return model.eval()


def subclasses(kind: type[T]) -> list[type[T]]:
    """All of them, at any depth."""
    return [k for child in kind.__subclasses__() for k in (child, *subclasses(child))]

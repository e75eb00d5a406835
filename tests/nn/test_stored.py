"""Models in a folder: what is written, read again, rounded, and refused."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn

from physlab.errors import CheckpointError
from physlab.nn.stored import Stored, subclasses
from physlab.store import CARD, MANIFEST, WEIGHTS


class Shape(Stored):
    """A base that models are loaded by."""

    title = "toy model"

    def __init__(self, width: int = 3) -> None:
        super().__init__()
        self.width = width
        self.layer = nn.Linear(width, width)
        self.register_buffer("offset", torch.full((width,), 60001.0))
        self.register_buffer("count", torch.tensor(7))

    def describe(self) -> dict:
        return {"width": self.width}

    @classmethod
    def build(cls, card, tensors):
        assert "offset" in tensors
        return cls(card["width"])


class Round(Shape):
    kept = ("layer.",)


class Rounder(Round):
    kept = "layer.weight"


def test_files_give_the_model_back_whichever_subclass_it_is(tmp_path) -> None:
    assert set(subclasses(Shape)) == {Round, Rounder}
    for kind in (Shape, Round, Rounder):
        model = kind(4)
        model.card = {"seed": 3, "note": "ü"}
        assert model.save(tmp_path / kind.__name__) == tmp_path / kind.__name__
        back = Shape.load(str(tmp_path / kind.__name__))
        assert type(back) is kind and not back.training and back.card == model.card and back.width == 4
        known = model.state_dict()
        assert known.keys() == back.state_dict().keys()
        assert all(torch.equal(tensor, known[name]) for name, tensor in back.state_dict().items())
        card = json.loads((tmp_path / kind.__name__ / CARD).read_text(encoding="utf-8"))
        assert card == {"class": kind.__name__, "width": 4, "parameters": 20, "seed": 3, "note": "ü"}
    with pytest.raises(CheckpointError, match=r"no toy model .*KeyError: 'Shape'"):
        Round.load(tmp_path / "Shape")  # not one of its kind


ROUNDED = {Shape: {"layer.weight", "layer.bias", "offset"}, Round: {"layer.weight", "layer.bias"},
           Rounder: {"layer.weight"}}  # fmt: skip


@pytest.mark.parametrize(("kind", "rounded"), ROUNDED.items())
def test_half_precision_rounds_what_the_class_says(kind, rounded, tmp_path) -> None:
    model = kind()
    model.layer.weight.data.fill_(0.1)
    model.layer.bias.data.fill_(0.1)
    back = kind.load(model.save(tmp_path / "m", half=True))
    assert model.layer.weight.dtype == torch.float32 and model.layer.weight[0, 0] == torch.tensor(0.1)  # not in place
    for name, tensor in back.state_dict().items():
        known = model.state_dict()[name]
        assert tensor.dtype == known.dtype and torch.equal(tensor, known) != (name in rounded), name


def test_saving_again_replaces_and_failing_leaves_the_old_one(tmp_path) -> None:
    model = Shape()
    model.save(tmp_path / "m")
    model.layer.weight.data.fill_(2.0)
    model.save(tmp_path / "m")
    assert torch.equal(Shape.load(tmp_path / "m").layer.weight, model.layer.weight)
    model.card["loss"] = float("nan")
    model.layer.weight.data.fill_(5.0)
    with pytest.raises(ValueError, match="JSON"):
        model.save(tmp_path / "m")
    assert Shape.load(tmp_path / "m").layer.weight[0, 0] == 2.0
    assert sorted(p.name for p in tmp_path.rglob("*")) == sorted(["m", CARD, MANIFEST, WEIGHTS])


def test_damaged_folders_say_so(tmp_path) -> None:
    folder = Shape().save(tmp_path / "m")
    weights, card = (folder / WEIGHTS).read_bytes(), (folder / CARD).read_text()
    for words, files in {
        "FileNotFoundError": {CARD: None}, "JSONDecodeError": {CARD: "{"}, "KeyError": {CARD: '{"width": 3}'},
        "size mismatch": {CARD: card.replace('"width": 3', '"width": 4')}, "SafetensorError": {WEIGHTS: weights[:-9]},
        r"No such file|not found": {WEIGHTS: None},
    }.items():  # fmt: skip
        (folder / CARD).write_text(card)
        (folder / WEIGHTS).write_bytes(weights)
        for name, content in files.items():
            if content is None:
                (folder / name).unlink()
            else:
                (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        with pytest.raises(CheckpointError, match=words) as error:
            Shape.load(folder)
        assert "no toy model in" in str(error.value) and "train it and save it again" in str(error.value)
        assert "\n" not in str(error.value)
    with pytest.raises(NotImplementedError):
        Stored().save(tmp_path / "base")

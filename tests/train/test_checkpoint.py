"""Checkpoints: what goes in comes out; what is damaged or contradicts itself is refused in one line."""

from __future__ import annotations

import json
import shutil

import pytest
import safetensors.torch
import torch

from physlab.errors import CheckpointError
from physlab.grid import coarsen
from physlab.train import Settings, load_checkpoint, make_model, save_checkpoint, train_one
from physlab.train import checkpoint as checkpoints
from physlab.train.checkpoint import ship

CHANGED = Settings(steps=4, batch=8, validate_every=4, precision="fp32", flips="")


@pytest.fixture(scope="module")
def folder(pairs, recipe, tmp_path_factory):
    return train_one(recipe, "softmax", 0, folder=tmp_path_factory.mktemp("zoo"), data=pairs, steps=4, validate_every=4)


@pytest.fixture
def copy(folder, tmp_path):
    return shutil.copytree(folder, tmp_path / folder.name)


def edit(folder, **changes) -> None:
    path = folder / "card.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def refused(folder, *words: str) -> None:
    with pytest.raises(CheckpointError) as error:
        load_checkpoint(folder)
    message = str(error.value)
    assert "\n" not in message and len(message) < 400
    for word in words:
        assert word in message, message


def test_round_trip(folder, pairs) -> None:
    model = load_checkpoint(folder)
    again = load_checkpoint(folder, "cpu")
    x = pairs.coarse["val"]
    assert torch.equal(model.predict(x, pairs.weights), again.predict(x, pairs.weights))
    assert model.layer.name == model.constraint == "softmax" and model.name == folder.name == "toy-x2-softmax-s0"
    assert not any(parameter.requires_grad for parameter in model.parameters()) and not model.training


def test_card_tells_the_whole_story(folder, pairs) -> None:
    card = checkpoints.read_card(folder)
    assert card["data_hash"] == pairs.data_hash and card["seed"] == 0 and card["preset"] == "cpu"
    assert card["scaling"] == {"offset": [0.0], "scale": list(pairs.scaling.scale)}, (
        "no offset: the layer acts on kg m-2 over a scale"
    )
    assert set(card) >= {
        "recipe",
        "split",
        "commit",
        "device",
        "wall_time_s",
        "versions",
        "units",
        "settings",
        "training",
    }
    assert card["network"]["parameters"] == sum(p.numel() for p in load_checkpoint(folder).parameters())
    for split in ("val", "test"):
        assert (
            card["scores"][split]["conservation_error_relative"] <= 1e-6
            and card["scores"][split]["negative_count"] == 0
        )


@pytest.mark.parametrize("other", ["add", "none", "soft", "mult"])
def test_card_that_names_another_constraint(copy, other: str) -> None:
    edit(copy, constraint=other)
    refused(copy, "names constraint", repr(other), "'softmax'")


def test_header_that_names_another_constraint(copy) -> None:
    path = copy / "model.safetensors"
    state = safetensors.torch.load_file(path)
    for header in ({"constraint": "add", "layer": "add", "network": "CompactResNet"}, None,
                   {"constraint": "softmax", "layer": "none", "network": "CompactResNet"}):  # fmt: skip
        safetensors.torch.save_file(state, path, metadata=header)
        refused(copy, "names")


def test_files_that_are_missing_or_damaged(copy, tmp_path) -> None:
    refused(tmp_path / "nowhere", "no checkpoint folder")
    weights, card = copy / "model.safetensors", copy / "card.json"
    whole, text = weights.read_bytes(), card.read_text()
    for damaged in (whole[: len(whole) // 2], b"", b"\xff" * 1000, whole[:8] + b"{" * 50 + whole[58:]):
        weights.write_bytes(damaged)
        refused(copy, "damaged", "model.safetensors")
    weights.unlink()
    refused(copy, "has no model.safetensors")
    weights.write_bytes(whole)
    for damaged, words in (
        ("{", "cannot be read"),
        ("[]", "lacks"),
        ("{}", "lacks"),
        (text.replace('"constraint"', '"law"'), "lacks"),
    ):
        card.write_text(damaged)
        refused(copy, words)
    card.unlink()
    refused(copy, "has no card.json")


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"class": "Transformer"}, "CompactResNet"),
        ({"arguments": None}, "no known network"),
        ({"arguments": {"factor": 2, "channels": 16, "blocks": 1, "skip": "log"}}, "differ at"),
        ({"arguments": {"factor": 4, "channels": 8, "blocks": 1, "skip": "log"}}, "differ at"),
        ({"arguments": {"factor": 2, "channels": 10**9, "blocks": 1}}, "not within 0 to 4096"),
        ({"arguments": {"factor": 2, "depth": 3}}, "does not describe a network"),
        ({"arguments": {"factor": 2, "skip": "cubic"}}, "does not describe a network"),
        ({"arguments": {"factor": "two"}}, "does not describe a network"),
    ],
)
def test_network_that_does_not_fit(copy, change: dict, word: str) -> None:
    network = json.loads((copy / "card.json").read_text())["network"] | change
    edit(copy, network=network)
    refused(copy, word)


def test_other_contradictions(copy) -> None:
    for change, word in (
        ({"factor": 4}, "contradict"),
        ({"constraint_options": {"bounds": [0, 1]}}, "allows weights, temperature"),
        ({"constraint": "exact"}, "unknown constraint"),
        ({"scaling": {"offset": [0.0], "scale": [0.0]}}, "contradict"),
        ({"scaling": {}}, "does not describe"),
    ):
        before = (copy / "card.json").read_text()
        edit(copy, **change)
        refused(copy, word)
        (copy / "card.json").write_text(before)
    state = safetensors.torch.load_file(copy / "model.safetensors")
    state["last.bias"][0] = float("nan")
    safetensors.torch.save_file(
        state, copy / "model.safetensors", {"constraint": "softmax", "layer": "softmax", "network": "CompactResNet"}
    )
    refused(copy, "NaN")


def test_nothing_is_half_written(pairs, recipe, tmp_path, monkeypatch) -> None:
    model, arguments = make_model(recipe, "add", 0, recipe.presets["cpu"], pairs, "toy")
    card = {**checkpoints.describe_model(model), "task": "toy",
            "network": {"class": "CompactResNet", "arguments": arguments},
            "scaling": {"offset": [0.0], "scale": [model.scale]}}  # fmt: skip
    target = save_checkpoint(tmp_path / "zoo" / "toy", model, card)
    before = (target / "card.json").read_text(), (target / "model.safetensors").read_bytes()
    with pytest.raises(ValueError, match="JSON"):
        save_checkpoint(target, model, {**card, "scores": float("nan")})
    with pytest.raises(CheckpointError, match="names constraint 'mult'"):
        save_checkpoint(target, model, {**card, "constraint": "mult"})
    monkeypatch.setattr("os.fsync", lambda *a, **k: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        save_checkpoint(target, model, card)
    assert before == ((target / "card.json").read_text(), (target / "model.safetensors").read_bytes())
    assert [path.name for path in target.parent.iterdir()] == ["toy"]
    monkeypatch.undo()
    save_checkpoint(target, model, {**card, "seed": 5})
    assert load_checkpoint(target).card["seed"] == 5 and [path.name for path in target.parent.iterdir()] == ["toy"]


def test_shipped_weights_are_half_the_size_and_predict_the_same(folder, pairs, tmp_path) -> None:
    shipped = ship(folder, tmp_path / "assets")
    assert (shipped / "model.safetensors").stat().st_size < 0.7 * (folder / "model.safetensors").stat().st_size
    model, original = load_checkpoint(shipped), load_checkpoint(folder)
    assert model.card == {**original.card, "weights": "float16"}
    x = pairs.coarse["val"]
    one, two = (m.predict(x, pairs.weights) for m in (model, original))
    error = float((two - pairs.fine["val"]).square().mean().sqrt())
    assert 0 < float((one - two).square().mean().sqrt()) < 0.01 * error
    torch.testing.assert_close(coarsen(one, 2, pairs.weights), x, rtol=1e-5, atol=1e-5)

"""What runs on a graphics card if there is one, else on the processor: trainings, and results that agree with it.

PHYSLAB_DEVICE=cuda python -m pytest tests/train/test_on_device.py
"""

from __future__ import annotations

import dataclasses
import os

import pytest
import torch

import physlab
from physlab.nn.precision import TOLERANCE
from physlab.throughput import members_per_second
from physlab.train import Settings, load_checkpoint, make_model, train_one
from physlab.train.adversarial import Adversarial
from physlab.train.devices import choose_device
from physlab.train.loop import optimise
from physlab.train.pixels import Pixels

DEVICE = choose_device(os.environ.get("PHYSLAB_DEVICE", "auto"))


@pytest.mark.parametrize("name", ["tcw-x4-srcnn-add-s0", "tcw-x4-softmax-s0"])
def test_predictions_agree_with_those_of_the_processor(name: str) -> None:
    """In single precision to rounding, in the fast one to what it costs; the block means are kept in both."""
    coarse = 10 + 20 * torch.rand(3, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    here, there = physlab.load_model(name), physlab.load_model(name, DEVICE)
    expected = here.predict(coarse)
    for precision, close in (("fp32", 1e-4), ("auto", TOLERANCE)):
        there.precision = precision
        made = there.predict(coarse)
        assert made.device.type == "cpu" and float((made - expected).abs().max() / expected.max()) < close
        kept = physlab.grid.coarsen(made.double(), 4)
        torch.testing.assert_close(kept, coarse.double(), rtol=1e-5, atol=0)


def test_a_training_that_is_interrupted_ends_at_the_same_weights(recipe, pairs, tmp_path) -> None:
    settings = Settings(steps=6, batch=4, flips="", validate_every=3, precision="fp32")

    def made(stop: int | None) -> dict[str, torch.Tensor]:
        preset = dataclasses.replace(recipe.presets["cpu"], settings=settings)
        model, _ = make_model(recipe, "softmax", 0, preset, pairs, "toy")
        if stop:
            optimise(Pixels(model, pairs, settings, 0, DEVICE), tmp_path / "state.pt", stop_after=stop)
            model, _ = make_model(recipe, "softmax", 0, preset, pairs, "toy")
        report = optimise(Pixels(model, pairs, settings, 0, DEVICE), tmp_path / "state.pt")
        assert report.steps == 6 and next(model.parameters()).device.type == DEVICE.type
        return {name: value.cpu() for name, value in model.state_dict().items()}

    whole, parts = made(None), made(3)
    for name, value in whole.items():
        torch.testing.assert_close(value, parts[name], rtol=1e-3, atol=1e-5)


def test_a_card_names_device_precision_and_throughput(recipe, pairs, tmp_path) -> None:
    """Of a training by pixels and against a discriminator; the checkpoint loads on the processor."""
    preset = recipe.presets["cpu"]
    duel = dataclasses.replace(
        preset, network="NoiseResNet", arguments={"channels": 8, "blocks": 1, "upsample": "shuffle"},
        settings=dataclasses.replace(preset.settings, crop=None, flips="", loss="crps"),
        adversarial=Adversarial(steps=2, channels=4),
    )  # fmt: skip
    for number, chosen in enumerate((preset, duel)):
        one = dataclasses.replace(recipe, presets={"cpu": chosen}, label=str(number))
        folder = train_one(one, "add", 0, folder=tmp_path, data=pairs, device=DEVICE, steps=3, batch=4)
        card = load_checkpoint(folder).card
        name = torch.cuda.get_device_name(DEVICE) if DEVICE.type == "cuda" else "CPU"
        assert card["device"].startswith(name) and card["training"]["precision"] in ("fp32", "bf16")
        assert card["training"]["samples_per_s"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["phyda-s0", "nature-t-low-x4-s0"])
def test_ensembles_run_on_the_device(name: str) -> None:
    found = members_per_second(name, 1, DEVICE, repeats=1)
    assert found["per_second"] > 0 and found["what"] == f"{name}, 1 members"

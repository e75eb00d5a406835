"""A stack that is trained stage by stage: each stage against the truth at its resolution, what came before stays."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from physlab.data.patches import make_pairs
from physlab.errors import PhysLabError
from physlab.grid import check_coarsening
from physlab.train import Preset, Settings, evaluate, make_model
from physlab.train.run import fit_in_stages
from physlab.train.stagewise import fit_stagewise
from tests.train.conftest import BLOCKS, field

SETTINGS = Settings(steps=60, batch=8, rate=5e-3, crop=16, flips="", validate_every=30, precision="fp32")
SIZE = {"channels": [8, 4], "kernels": [5, 1, 3], "residual": True, "skip": "bicubic", "zero_start": True}


@pytest.fixture(scope="module")
def fours():
    return make_pairs(field(), 4, BLOCKS, gap=72.0, task="toy")


def deepsd(recipe, fours):
    preset = Preset("DeepSD", SIZE, SETTINGS, stagewise=True)
    return make_model(recipe, "add", 0, preset, fours, "toy")[0], preset


def test_pairs_at_a_smaller_factor_keep_their_coarse_fields_and_areas(fours) -> None:
    half = fours.at(2)
    assert half.factor == 2 and half.shape == (8, 12) and fours.at(4) is fours
    for split in ("train", "val", "test"):
        assert torch.equal(half.coarse[split], fours.coarse[split])
        check_coarsening(half.fine[split], half.coarse[split], 2, half.weights)
    np.testing.assert_allclose(half.latitude, fours.latitude.reshape(-1, 2).mean(1))
    assert half.longitude["val"].shape == (len(half.fine["val"]), 12) and half.data_hash != fours.data_hash
    assert float(half.weights.mean()) == pytest.approx(1.0, abs=1e-6)
    with pytest.raises(PhysLabError, match="divisors of 4"):
        fours.at(3)


def test_each_stage_learns_and_leaves_those_before_as_they_are(recipe, fours, tmp_path, monkeypatch) -> None:
    model, preset = deepsd(recipe, fours)
    before = evaluate(model, fours, "val")["rmse"]
    seen = []

    def watched(part, pairs, *rest):
        seen.append((pairs.factor, [p.detach().clone() for p in model.network.stages[0].parameters()]))
        return fit(part, pairs, *rest)

    from physlab.train.pixels import fit

    monkeypatch.setattr("physlab.train.stagewise.fit", watched)
    report = fit_in_stages(model, fours, preset, 0, torch.device("cpu"), tmp_path / "state.pt")
    assert [factor for factor, _ in seen] == [2, 4] and report.steps == 60
    assert [entry["stage"] for entry in report.history] == [1, 2] and report.history[-1]["step"] == 60
    first = list(model.network.stages[0].parameters())
    assert any(not torch.equal(a, b) for a, b in zip(seen[0][1], first, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(seen[1][1], first, strict=True))
    assert all(p.requires_grad for p in model.parameters()) and not list(tmp_path.iterdir())
    scores = evaluate(model, fours, "val")
    assert scores["rmse"] < before and scores["conservation_error_relative"] < 1e-6
    # the whole stack ends where its last stage ended
    assert scores["rmse"] == pytest.approx(report.best_rmse, rel=1e-4)


def test_other_networks_have_no_stages(recipe, fours) -> None:
    model = make_model(recipe, "add", 0, recipe.presets["cpu"], fours)[0]
    with pytest.raises(PhysLabError, match="choose DeepSD"):
        fit_stagewise(model, fours, dataclasses.replace(SETTINGS, steps=2))

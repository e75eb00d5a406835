"""What the chapter on GANs and time computes: closed forms, identities, and laws that hold where they should."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from physlab.data.patches import sr_pairs
from physlab.downscale import Interpolate
from physlab.errors import PhysLabError
from physlab.score import rank_histogram
from physlab.teach import gan
from physlab.teach.case import thin


@pytest.fixture(scope="module")
def hourly():
    return thin(sr_pairs("tcw-t1", 4, splits=("train",)), train=160)


@pytest.mark.parametrize("chance", [0.5, 0.1])
def test_two_outcomes_closed_forms(chance):
    low, high = 10.0, 30.0
    scores = gan.two_outcomes(low, high, chance)
    variance = chance * (1 - chance) * (high - low) ** 2
    assert scores.loc["the mean", "rmse"] == pytest.approx(math.sqrt(variance))
    assert scores.loc["a draw", "rmse"] == pytest.approx(math.sqrt(2 * variance))
    # CRPS of the right distribution: half of E|X - X'|
    assert scores.loc["a draw", "crps"] == pytest.approx(chance * (1 - chance) * (high - low))
    assert scores["crps"].astype(float).idxmin() == "a draw"
    assert list(scores["occurs"]) == [True, True, False, True]


def test_ensemble_scores_of_a_reliable_and_of_a_collapsed_ensemble():
    generator = torch.Generator().manual_seed(3)
    members, truth = (torch.randn(n, 40, 1, 16, 16, generator=generator) for n in (10, 1))
    weights = torch.linspace(0.5, 1.5, 16)[:, None].expand(16, 16)
    good = gan.ensemble_scores(members, truth[0], weights)
    assert good["spread_skill"] == pytest.approx(1.0, abs=0.03)
    assert good["outside"] == pytest.approx(2 / 11, abs=0.02)
    spread = float(((members - members.mean(0)) ** 2 * weights).mean() / weights.mean())
    assert good["member_rmse"] ** 2 == pytest.approx(good["rmse"] ** 2 + spread, rel=1e-5)
    copies = gan.ensemble_scores(members[:1] + 1e-3 * members, truth[0], weights)
    assert copies["spread_skill"] < 0.01 and copies["outside"] > 0.99
    assert copies["crps"] == pytest.approx(copies["mae"], rel=0.01)
    with pytest.raises(PhysLabError, match="at least 2"):
        gan.ensemble_scores(members[:1], truth[0], weights)


def test_calm_and_steep_are_told_apart():
    """Members that know the noise where the input is flat, and half of it where it has a step."""
    generator = torch.Generator().manual_seed(5)
    coarse = torch.zeros(60, 1, 8, 8)
    coarse[..., 7] = 20.0  # the last two columns are steep: a quarter of the cells
    width = torch.ones(60, 1, 16, 16)
    width[..., 12:] = 0.5
    members = width * torch.randn(10, 60, 1, 16, 16, generator=generator)
    truth = torch.randn(60, 1, 16, 16, generator=generator)
    found = gan.calm_and_steep(members, truth, coarse, torch.ones(16, 16))
    # spread s, error 1 + s^2 / M: ratio sqrt((M + 1) / M) s / sqrt(1 + s^2 / M)
    assert found["calm"] == pytest.approx(1.0, abs=0.03)
    assert found["steep"] == pytest.approx(math.sqrt(1.1) * 0.5 / math.sqrt(1 + 0.025), abs=0.02)


def test_health_reads_the_adversarial_stage_only():
    pixel = {"step": 10, "train_loss": 1.0, "val_rmse": 2.0, "rate": 1e-3}
    stage = pixel | {"step": 20, "d_right": 0.5, "d_loss": 2 * math.log(2), "g_adversarial": 0.7}
    found = gan.health({"training": {"history": [pixel, stage]}})
    assert list(found.index) == [20]
    assert found.loc[20, "loss / (2 ln 2)"] == pytest.approx(1.0) and found.loc[20, "right"] == 0.5
    with pytest.raises(PhysLabError, match="without a discriminator"):
        gan.health({"recipe": "tcw-x4", "training": {"history": [pixel]}})


def test_filament_has_two_ghosts_beyond_two_widths():
    for width in (3.0, 5.0):
        assert gan.crests(gan.moving_filament(1.8 * width, width)["linear"]) == 1
        assert gan.crests(gan.moving_filament(2.6 * width, width)["linear"]) == 2
    frames = gan.moving_filament(12, 4.0)
    assert torch.allclose(frames["warped"], frames["truth"], atol=1e-5)
    assert float(frames["truth"].max()) == pytest.approx(30.0)
    assert gan.crests(torch.tensor([0.0, 1.0, 1.0, 0.0, 2.0, 0.0])) == 2


def test_missing_hour_of_the_baseline():
    """The row without a model: the coarse middle frame is the mean of its neighbours."""
    data = thin(sr_pairs("tcw-t2", 4, splits=("train", "test")), train=8, test=10)
    rows = gan.missing_hour({}, data)
    middle = data.all_coarse("test")[:, 1] - data.coarse["test"].mean(1)
    cells = data.weights.reshape(32, 4, 32, 4).mean((1, 3)).double()
    expected = math.sqrt(float((middle.double() ** 2 * cells).mean() / cells.mean()))
    assert rows.loc["linear in time", "missing hour, coarse"] == pytest.approx(expected, rel=1e-4)
    plain = Interpolate("bicubic", 4, "add").predict(data.coarse["test"], data.weights) - data.fine["test"][:, ::2]
    w = data.weights.double()
    given = math.sqrt(float((plain.double() ** 2 * w).mean() / w.mean()))
    assert rows.loc["linear in time", "given hours"] == pytest.approx(given, rel=1e-4)


def test_water_moves_by_wind_times_time(hourly):
    """Fluxes of 20 m/s times the water move it by 20 m/s * 2 h over the size of a coarse cell."""
    import dataclasses

    water = hourly.all_coarse("train")
    steady = dataclasses.replace(hourly, budget=hourly.budget | {"ivt_u": 16 * water, "ivt_v": 12 * water})
    moved = gan.hourly_motion(steady)
    assert moved.shape == (len(water), 32, 32)
    cell = 6.37122e6 * math.radians(4 * np.diff(hourly.latitude).mean())
    assert torch.allclose(moved, torch.full_like(moved, 20 * 7200 / cell), rtol=2e-2)


def test_truth_closes_the_corrected_budget_and_no_other(hourly):
    closed = gan.closure(hourly)
    for grid in ("coarse", "fine"):
        assert closed.loc[f"corrected, {grid}", "closure"] < 0.75
        ratio = closed.loc[f"published, {grid}", "transport"] / closed.loc[f"published, {grid}", "storage"]
        assert ratio > 10


def test_relative_residuals_are_one_for_the_truth_and_more_for_nearest(hourly):
    at = slice(0, None, 20)
    nearest = Interpolate("nearest", 4).predict(hourly.coarse["train"][at], hourly.weights)
    found = gan.relative_residuals({"truth": hourly.fine["train"][at], "nearest": nearest}, hourly, at)
    assert found["truth"].shape == (8, 2, 128, 128)
    assert gan.rms(found["truth"]) == pytest.approx(1.0, abs=0.15)
    assert gan.rms(found["nearest"]) > 1.5


def test_figures():
    ranks = rank_histogram(torch.randn(5, 100), torch.randn(100))
    assert isinstance(gan.draw_ranks({"a": ranks, "b": ranks}), Figure)
    assert isinstance(gan.draw_filament(10), Figure)

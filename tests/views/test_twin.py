"""The twin experiment of the explorer: what is observed, and scores that can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr

from physlab.assimilate.statespace import columns_from
from physlab.errors import PhysLabError
from physlab.views.twin import EXACT, HEADLINE, TROPICS, Twin, residual, shown, spectrum, states, variable_of


@pytest.fixture(scope="module")
def twin():
    return Twin.open()


@pytest.fixture(scope="module")
def case(twin):
    return twin.case(0, 0.02, (3000, 412), noise=0.5, seed=1)


def test_columns_of_a_smaller_share_are_among_those_of_a_larger_one(twin):
    large, small = (twin.case(1, share, seed=4) for share in (0.1, 0.01))
    assert len(large.points) == 819 and list(large.points[:82]) == list(small.points)
    assert len(set(large.points)) == 819
    assert set(small.points) != set(twin.case(1, 0.01, seed=5).points)


def test_columns_are_drawn_by_area(twin):
    rows = np.concatenate([twin.case(0, 0.1, seed=n).points // 128 for n in range(4)])
    tropics = np.mean(np.abs(twin.space.latitude[rows]) < 30)
    assert tropics == pytest.approx(0.5, abs=0.03)  # half of the sphere


def test_your_own_come_last_and_are_not_doubled(twin):
    drawn = twin.case(0, 0.02).points
    both = twin.case(0, 0.02, (int(drawn[0]), 7, 7))
    assert list(both.points) == [*drawn, 7]
    alone = twin.case(0, 0.0, (7,))
    assert list(alone.points) == [7] and alone.observations.sizes["observation"] == len(twin.space.channels)
    assert twin.case(0, 0.0).observations.sizes["observation"] == 0


def test_exact_observations_are_the_truth(twin):
    case = twin.case(2, 0.005)
    columns, used = columns_from(case.observations, case.background, twin.space)
    assert used["merged"] == used["missing"] == 0
    assert float(columns.noise) == pytest.approx(EXACT, rel=1e-4)
    assert columns.mask.sum() == len(case.points)
    increment = (case.known["truth"] - case.known["background"]) / twin.space.error
    torch.testing.assert_close(columns.innovation[0].double(), increment * columns.mask[0], atol=1e-3, rtol=1e-3)


def test_noise_is_that_of_the_background_times_a_factor(twin, case):
    exact = twin.case(0, 0.02, (3000, 412), seed=1)
    error = (case.observations["value"] - exact.observations["value"]).values.reshape(len(twin.space.channels), -1)
    std = twin.space.error.flatten().double().numpy()[:, None]
    assert np.std(error / std) == pytest.approx(0.5, abs=0.02)
    assert float(columns_from(case.observations, case.background, twin.space)[0].noise) == pytest.approx(0.5, rel=1e-4)
    few = twin.case(0, 0.01, noise=0.5, seed=1)  # a column keeps its error
    some = case.observations["value"].values.reshape(len(std), -1)[:, : len(few.points)]
    np.testing.assert_array_equal(few.observations["value"].values.reshape(len(std), -1), some)


def test_scores_of_the_background_and_of_the_truth(case):
    background, truth = case.scores(case.background), case.scores(case.truth, ("z500",))
    assert set(background) == set(HEADLINE)
    assert all(row["gain"] == 0 and row["background"] == row["analysis"] > 0 for row in background.values())
    assert truth["z500"]["analysis"] == 0 and truth["z500"]["gain"] == 1
    weights = np.cos(np.deg2rad(case.truth["latitude"]))
    error = (case.background["z"] - case.truth["z"]).sel(level=500)
    by_hand = float(np.sqrt((error**2).weighted(weights).mean()))
    assert background["z500"]["background"] == pytest.approx(by_hand, rel=1e-3)
    assert case.balance(case.truth)["analysis"] == {"thickness": 1.0, "geostrophic": 1.0}
    assert case.divergence(case.truth, "q700")["analysis"] == pytest.approx(0, abs=1e-12)


def test_an_ensemble_around_the_truth(case):
    members = xr.concat([case.truth + d * (case.background - case.truth) for d in (-1.0, 1.0)], "member")
    row = case.scores(members, ("t850",))["t850"]
    assert row["analysis"] == pytest.approx(0, abs=1e-4) and row["crps"] == pytest.approx(0, abs=1e-4)
    balance = case.balance(members)
    assert balance["analysis"]["geostrophic"] == pytest.approx(1, abs=1e-4)
    assert balance["members"]["geostrophic"] > 1
    assert set(case.divergence(members, "z500")) == {"background", "analysis", "members"}


def test_residuals_have_their_places(twin, case):
    x = states(case.truth, twin.space)
    thickness, imbalance = (residual(x, law, twin.space) for law in ("thickness", "geostrophic"))
    assert thickness.shape == (6, 64, 128) and imbalance.shape == (2, 7, 64, 128)
    outside = np.abs(twin.space.latitude) >= TROPICS
    assert bool(imbalance[:, :, outside].isfinite().all()) and bool(imbalance[:, :, ~outside].isnan().all())
    with pytest.raises(PhysLabError, match="thickness"):
        residual(x, "sums", twin.space)


def test_a_spectrum_has_the_variance_along_circles_and_not_their_means(twin):
    x = torch.zeros(2, 64, 128, dtype=torch.float64) + torch.linspace(0, 1, 64)[:, None]
    wave = torch.cos(torch.arange(128) * 2 * torch.pi * 5 / 128)
    k, power = spectrum(x + 3 * wave, twin.space)
    assert list(k) == list(range(1, 43)) and power.shape == (2, 42)
    assert power[0, 4] == pytest.approx(4.5) and np.delete(power[0], 4) == pytest.approx(np.zeros(41), abs=1e-12)


def test_units_for_people():
    assert shown("q700") == (1e3, "g kg⁻¹") and shown("t_low") == (1.0, "K") and shown("sp") == (0.01, "hPa")
    assert [variable_of(n) for n in ("z500", "u_low", "tcw")] == ["z", "u", "tcw"]


@pytest.mark.parametrize("wrong", [{"time": 3}, {"share": 1.5}, {"share": -0.1}, {"own": (8192,)}, {"own": (-1,)}])
def test_what_cannot_be_observed_is_refused(twin, wrong):
    with pytest.raises(PhysLabError):
        twin.case(**wrong)

"""Scores of an analysis against numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from physlab.assimilate import StateSpace
from physlab.assimilate.proxy import residuals
from physlab.score import spectral_divergence
from physlab.score.analysis import FIELDS, TRUNCATION, analysis_scores, eddies


@pytest.fixture(scope="module")
def space(twin) -> StateSpace:
    return StateSpace.of(*twin.pairs())


@pytest.fixture(scope="module")
def truth(twin, space) -> Tensor:
    return space.tensor(twin.pairs()[0])[1].double()


@pytest.fixture(scope="module")
def members(truth, space) -> Tensor:
    noise = torch.randn(5, *truth.shape, generator=torch.Generator().manual_seed(0), dtype=torch.double)
    return truth + space.error * noise + 0.2 * space.error * noise[:1]


def test_errors_by_numpy(members, truth, space) -> None:
    row = analysis_scores(members, truth, space)
    edges = np.concatenate([[-90], (space.latitude[1:] + space.latitude[:-1]) / 2, [90]])
    w = np.diff(np.sin(np.deg2rad(edges)))[:, None] * np.ones(32)
    x, t, std = members.numpy(), truth.numpy(), space.std.numpy()

    def mean(values: np.ndarray) -> float:
        return float(np.average(values, axis=(-2, -1), weights=w).mean())

    error = (x.mean(0) - t) / std
    assert row["mse"] == pytest.approx(mean(error**2), rel=1e-4)
    assert row["mae"] == pytest.approx(mean(abs(error)), rel=1e-4)
    assert row["mse_member"] == pytest.approx(mean(((x - t) / std) ** 2), rel=1e-4)
    assert row["mse_member"] > 2 * row["mse"]
    for name in FIELDS:
        c = space.names.index(name)
        assert row[f"rmse_{name}"] == pytest.approx(np.sqrt(mean((x[:, c].mean(0) - t[c]) ** 2)), rel=1e-4)
    s = x / std  # the fair score, by the double sum over members
    apart = sum(abs(a - b) for a in s for b in s) / (2 * 5 * 4)
    assert row["crps"] == pytest.approx(mean(abs(s - t / std).mean(0) - apart), rel=1e-4)
    spread = np.sqrt(mean(s.var(0, ddof=1)) * 6 / 5)
    assert row["spread_skill"] == pytest.approx(spread / np.sqrt(row["mse"]), rel=1e-4)


def test_balances_are_relative_to_those_of_the_truth(members, truth, space) -> None:
    row = analysis_scores(members, truth, space)
    area = (space.area.double() / space.area.double().mean()).numpy()
    for law, values in residuals(members, space).items():
        true = residuals(truth, space)[law].numpy()
        ratios = [np.sqrt((values[:, c].numpy() ** 2 * area).mean() / (true[c] ** 2 * area).mean())
                  for c in range(len(true)) if np.abs(true[c]).max() > 0]  # fmt: skip
        expected = np.mean(ratios) if ratios else np.nan
        assert row[f"residual_{law}"] == pytest.approx(expected, rel=1e-4, nan_ok=True), law
    assert row["residual_geostrophic"] > 1.01
    dry = truth.clone()
    dry[space.part("q")] = 1e-6  # below saturation everywhere: there is nothing to compare with
    assert np.isnan(analysis_scores(dry[None], dry, space)["residual_humidity"])


def test_a_perfect_analysis(truth, space) -> None:
    row = analysis_scores(truth[None], truth, space)
    for name in ("specdiv", "specdiv_top", "specdiv_eddy", "specdiv_eddy_top", "mse", "mae", "mse_member", "crps",
                 *(f"rmse_{f}" for f in FIELDS)):  # fmt: skip
        assert abs(row[name]) < 1e-12, name
    assert np.isnan(row["spread_skill"])
    assert row["residual_geostrophic"] == pytest.approx(1) and row["residual_hypsometric"] == pytest.approx(1)


def test_spectra_are_those_of_members_and_of_eddies(members, truth, space) -> None:
    row, k = analysis_scores(members, truth, space), space.names.index("z500")
    each = [float(spectral_divergence(m[k], truth[k])) for m in members]
    assert row["specdiv"] == pytest.approx(np.mean(each)) and row["specdiv"] > 0
    assert row["specdiv_top"] == pytest.approx(
        np.mean([float(spectral_divergence(m[k], truth[k], top_decile=True)) for m in members])
    )
    assert torch.allclose(eddies(truth).mean(-1), torch.zeros(20, 16, dtype=torch.double), atol=1e-9)
    zonal = members.clone()
    zonal[:, k] += 500 * torch.randn(16, 1, generator=torch.Generator().manual_seed(1), dtype=torch.double)
    other = analysis_scores(zonal, truth, space)
    for name in ("specdiv_eddy", "specdiv_eddy_top"):
        assert other[name] == pytest.approx(row[name], rel=1e-9)
    assert abs(other["specdiv"] - row["specdiv"]) > 0.1 * row["specdiv"]
    elsewhere = members.clone()
    elsewhere[:, k + 1] += 500  # another level
    assert analysis_scores(elsewhere, truth, space)["specdiv"] == row["specdiv"]


def test_waves_that_the_model_does_not_have_do_not_count_among_eddies() -> None:
    assert TRUNCATION == 42
    longitude = torch.arange(128, dtype=torch.double) * 2 * torch.pi / 128
    x = torch.randn(64, 128, generator=torch.Generator().manual_seed(0), dtype=torch.double)
    fine = x + 5 * torch.cos(50 * longitude)
    apart = [float(spectral_divergence(eddies(fine), eddies(x), largest=n)) for n in (TRUNCATION, 64)]
    assert apart[0] == pytest.approx(0, abs=1e-12) and apart[1] > 0.1

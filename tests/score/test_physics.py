"""Conservation, sign, and the one table of scores."""

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity

from physlab import score
from physlab.errors import CoarseningError
from physlab.grid import Grid, coarsen, refine


def test_conservation_error_by_hand():
    """Block means 2.5 and 6 against 3 and 6: RMS sqrt(0.25 / 2), largest relative to 6."""
    fine = torch.tensor([[1.0, 2.0, 6.0, 6.0], [3.0, 4.0, 6.0, 6.0]])
    coarse = torch.tensor([[3.0, 6.0]])
    assert float(score.conservation_error(fine, coarse, 2)) == pytest.approx(np.sqrt(0.125))
    assert float(score.conservation_error(fine, coarse, 2, relative=True)) == pytest.approx(0.5 / 6)
    assert float(score.conservation_error(refine(coarse, 2), coarse, 2)) == 0
    assert float(score.conservation_error(torch.zeros(2, 2), torch.zeros(1, 1), 2, relative=True)) == 0
    with pytest.raises(CoarseningError):
        score.conservation_error(fine, coarse, 4)


def test_conservation_error_is_that_of_the_weighted_operator():
    grid = Grid(np.linspace(80, 40, 16), np.arange(16.0))
    fine = 30 * torch.rand(3, 16, 16, generator=torch.Generator().manual_seed(0))
    coarse = coarsen(fine, 4, grid.cell_area)
    assert float(score.conservation_error(fine, coarse, 4, grid.cell_area, relative=True)) < 3e-7
    assert float(score.conservation_error(fine, coarse, 4)) > 1e-3


def test_negative_count():
    assert int(score.negative_count(torch.tensor([[-1e-30, -0.0, 0.0], [1.0, -2.0, torch.nan]]))) == 2


def test_table_holds_every_key_and_the_independent_numbers(images):
    pred, truth = (torch.tensor(a).float()[None, None] for a in images(64))
    span, coarse = float(truth.max() - truth.min()), coarsen(truth, 4)
    table = score.table(pred, truth, coarse, 4, span)
    assert list(table) == [
        "mse", "rmse", "mae", "bias", "psnr", "ssim", "ms_ssim", "pearson", "conservation_error", "negative_count",
        "spectral_divergence", "spectral_divergence_top",
    ]  # fmt: skip
    assert all(isinstance(value, (float, int)) for value in table.values())
    p, t = pred[0, 0].double().numpy(), truth[0, 0].double().numpy()
    assert table["rmse"] == pytest.approx(np.sqrt(np.mean((p - t) ** 2)), rel=1e-12)
    assert table["mse"] == pytest.approx(np.mean((p - t) ** 2), rel=1e-12)
    assert table["bias"] == pytest.approx(np.mean(p - t), rel=1e-9)
    assert table["pearson"] == pytest.approx(np.corrcoef(p.ravel(), t.ravel())[0, 1], rel=1e-12)
    expected = structural_similarity(
        p, t, data_range=span, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    assert table["ssim"] == pytest.approx(expected, abs=1e-10)
    block = (p - t).reshape(16, 4, 16, 4).mean((1, 3))
    assert table["conservation_error"] == pytest.approx(np.sqrt(np.mean(block**2)), rel=1e-6)


def test_table_of_a_perfect_and_of_a_weighted_field():
    truth = torch.rand(2, 1, 32, 32, generator=torch.Generator().manual_seed(0)) + 0.1
    perfect = score.table(truth, truth, coarsen(truth, 4), 4, 1.0)
    assert perfect["rmse"] == perfect["negative_count"] == 0 and perfect["ssim"] == pytest.approx(1)
    assert perfect["psnr"] == float("inf") and perfect["conservation_error"] < 1e-6
    weights = Grid(np.linspace(-86, 86, 32), np.arange(32.0)).area_weights
    pred = truth + torch.linspace(0, 1, 32)[:, None]
    weighted = score.table(pred, truth, coarsen(truth, 4, weights), 4, 1.0, weights)
    assert (
        weighted["rmse"]
        == pytest.approx(float(score.rmse(pred, truth, weights)))
        != pytest.approx(float(score.rmse(pred, truth)))
    )
    block_bias = coarsen((pred - truth).double(), 4, weights) * torch.as_tensor(coarsen(weights, 4))
    assert weighted["bias"] == pytest.approx(float(block_bias.mean()), rel=1e-6)  # global and block budget agree


def test_relative_residual_ignores_what_is_undefined():
    truth = torch.tensor([[1.0, 1.0, torch.nan, 1.0]])
    pred = torch.tensor([[2.0, 2.0, 5.0, 2.0]])
    assert float(score.relative_residual(pred, truth)) == 2.0
    assert float(score.relative_residual(truth, truth)) == 1.0
    assert (
        float(score.relative_residual(torch.tensor([3.0, 1.0]), torch.tensor([1.0, 1.0]), torch.tensor([0.0, 1.0])))
        == 1.0
    )

"""RMSE, MAE, bias, PSNR, Pearson, latitude weights: against numpy, scipy, scikit-image and closed forms."""

import numpy as np
import pytest
import torch
from scipy.stats import pearsonr
from skimage.metrics import mean_squared_error, peak_signal_noise_ratio

from physlab import score
from physlab.errors import PhysLabError
from physlab.grid import Grid


def test_against_other_codes(fields):
    pred, truth = (x.numpy() for x in fields)
    assert float(score.mse(pred, truth)) == pytest.approx(mean_squared_error(truth, pred), rel=1e-13)
    assert float(score.rmse(pred, truth)) == pytest.approx(np.sqrt(((pred - truth) ** 2).mean()), rel=1e-13)
    assert float(score.mae(pred, truth)) == pytest.approx(np.abs(pred - truth).mean(), rel=1e-13)
    assert float(score.psnr(pred, truth, 37.0)) == pytest.approx(
        peak_signal_noise_ratio(truth, pred, data_range=37.0), rel=1e-13
    )
    expected = np.mean([pearsonr(p.ravel(), t.ravel()).statistic for p, t in zip(pred[:, 0], truth[:, 0], strict=True)])
    assert float(score.pearson(pred, truth)) == pytest.approx(expected, rel=1e-12)


def test_bias_is_positive_for_over_prediction():
    assert float(score.bias(torch.full((4, 4), 3.0), torch.full((4, 4), 1.0))) == 2.0


def test_pearson_is_the_mean_over_images_not_of_all_points_together():
    base = torch.randn(2, 8, 8, generator=torch.Generator().manual_seed(1))
    truth = base + torch.tensor([0.0, 100.0])[:, None, None]
    pred = -base + torch.tensor([0.0, 100.0])[:, None, None]
    assert float(score.pearson(pred, truth)) == pytest.approx(-1, abs=1e-6)
    assert np.corrcoef(pred.flatten(), truth.flatten())[0, 1] > 0.9
    truth[1] = 5.0  # an image without variance has no correlation and does not count
    assert float(score.pearson(pred, truth)) == pytest.approx(-1, abs=1e-6)


def test_psnr_of_a_perfect_field_is_infinite(fields):
    assert torch.isinf(score.psnr(fields[1], fields[1], 1.0))


@pytest.mark.parametrize("name", ["rmse", "mae", "bias", "mse"])
def test_dim_keeps_the_other_dimensions_and_weights_broadcast(fields, name):
    pred, truth = fields
    function = getattr(score, name)
    each = function(pred, truth, dim=(-2, -1))
    assert each.shape == (5, 1)
    assert torch.allclose(each[2, 0], function(pred[2, 0], truth[2, 0]), rtol=1e-12)
    weights = torch.linspace(0, 1, 24)[:, None]
    explicit = torch.broadcast_to(weights, (5, 1, 24, 32)).double()
    assert torch.allclose(function(pred, truth, weights), function(pred, truth, explicit), rtol=1e-12)
    assert torch.allclose(function(pred, truth, torch.full((24, 32), 3.0)), function(pred, truth), rtol=1e-12)


def test_float32_input_loses_nothing_in_the_sum():
    """A bias of 1e-3 K on 300 K, a million points: a float32 sum would be wrong in the second digit."""
    truth = torch.full((1000, 1000), 300.0)
    pred = torch.full((1000, 1000), 300.001)
    exact = float(np.float32(300.001)) - 300.0
    assert float(score.bias(pred, truth)) == pytest.approx(exact, rel=1e-9)
    assert score.bias(pred, truth).dtype == torch.float64


def test_latitude_weights_are_exact_cell_areas():
    """Three cells of 60 degrees: sin 90 - sin 30 = 1/2, sin 30 - sin(-30) = 1, so the weights are 3/4, 3/2, 3/4."""
    assert np.allclose(score.latitude_weights([-60.0, 0.0, 60.0])[:, 0], [0.75, 1.5, 0.75], rtol=1e-14)
    lat = np.linspace(90, -90, 121)
    assert np.allclose(score.latitude_weights(lat), Grid(lat, np.arange(0, 360, 1.5)).area_weights[:, :1], rtol=1e-12)
    assert score.latitude_weights(lat)[0, 0] > 0  # the cosine would give a pole point no weight at all


def test_lat_weighted_rmse_closed_form():
    """An error of 1 poleward of 30 degrees (half of the sphere) and 3 equatorward: sqrt((1 + 9) / 2)."""
    error = torch.tensor([1.0, 3.0, 1.0])[:, None].expand(3, 7)
    truth = torch.zeros(4, 3, 7)
    assert float(score.lat_weighted_rmse(truth + error, truth, [-60, 0, 60])) == pytest.approx(np.sqrt(5.0), rel=1e-12)
    assert float(score.lat_weighted_rmse(truth + error, truth, [60, 0, -60])) == pytest.approx(np.sqrt(5.0), rel=1e-12)
    scaled = (truth + error) * torch.arange(4.0)[
        :, None, None
    ]  # the root is taken per sample, then averaged: (0+1+2+3)/4
    assert float(score.lat_weighted_rmse(scaled, truth, [-60, 0, 60])) == pytest.approx(1.5 * np.sqrt(5.0), rel=1e-12)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: score.rmse(torch.zeros(3, 4, 4), torch.zeros(4, 4)), ("(3, 4, 4)", "(4, 4)", "equal shapes")),
        (lambda: score.rmse(torch.zeros(4, 4), torch.zeros(4, 4), torch.ones(3, 4)), ("weights", "(3, 4)")),
        (lambda: score.psnr(torch.zeros(4, 4), torch.ones(4, 4), 0.0), ("data_range",)),
        (
            lambda: score.lat_weighted_rmse(torch.zeros(4, 4), torch.ones(4, 4), [1.0, 2.0, 3.0]),
            ("3 latitudes", "4 rows"),
        ),
    ],
)
def test_errors_are_one_line(call, words):
    with pytest.raises(PhysLabError) as error:
        call()
    text = str(error.value)
    assert "\n" not in text and all(word in text for word in words), text


def test_every_score_can_be_a_loss(fields):
    pred, truth = fields
    pred = pred.requires_grad_()
    for value in (score.rmse(pred, truth), score.pearson(pred, truth), score.ssim(pred, truth, 30.0),
                  score.ms_ssim(pred, truth, 30.0), score.spectral_divergence(pred, truth), score.crps(pred[None],
                  truth), score.conservation_error(pred, truth[..., ::4, ::4], 4)):  # fmt: skip
        (gradient,) = torch.autograd.grad(value, pred)
        assert torch.isfinite(gradient).all() and gradient.abs().max() > 0

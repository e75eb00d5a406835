"""SSIM and MS-SSIM against scikit-image and pytorch-msssim, and their defining properties."""

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity

from physlab import score
from physlab.errors import PhysLabError
from physlab.score.structure import SCALE_WEIGHTS, scales

WANG = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}


def test_ssim_of_stored_numbers(reference, images):
    for size, entry in reference["pairs"].items():
        pred, truth = images(int(size))
        assert float(score.ssim(pred, truth, entry["data_range"])) == pytest.approx(entry["ssim"], abs=1e-10)


def test_ms_ssim_of_stored_numbers(reference, images):
    tested = 0
    for size, entry in reference["pairs"].items():
        if "ms_ssim" in entry:
            pred, truth = images(int(size))
            assert float(score.ms_ssim(pred, truth, entry["data_range"])) == pytest.approx(
                entry["ms_ssim"],
                abs=1e-5,  # that code rounds its window to float32
            )
            tested += 1
    assert tested == 2


@pytest.mark.parametrize("shape", [(11, 11), (33, 49), (64, 40)])
def test_ssim_against_scikit_image(shape):
    rng = np.random.default_rng(0)
    truth = 280 + 5 * rng.normal(size=(3, *shape))
    pred = truth + 2 * rng.normal(size=truth.shape)
    each = score.ssim(pred, truth, 30.0, mean=False)
    expected = [structural_similarity(p, t, data_range=30.0, **WANG) for p, t in zip(pred, truth, strict=True)]
    assert np.allclose(each, expected, atol=1e-10)
    assert float(score.ssim(pred[:, None], truth[:, None], 30.0)) == pytest.approx(np.mean(expected), abs=1e-10)


@pytest.mark.parametrize(("size", "count"), [(11, 1), (32, 2), (64, 3), (128, 4), (176, 5), (256, 5)])
def test_ms_ssim_takes_as_many_scales_as_fit(size, count):
    """The product of contrast terms, each from scikit-image (K1 so large that its luminance term is one)."""
    assert scales(size, size) == count
    rng = np.random.default_rng(size)
    truth = rng.normal(size=(size, size)).cumsum(0).cumsum(1) / 20
    pred = truth + 0.3 * rng.normal(size=truth.shape)
    weights = np.array(SCALE_WEIGHTS[:count]) / sum(SCALE_WEIGHTS[:count])
    expected, x, y = 1.0, pred, truth
    for scale in range(count):
        if scale:
            x, y = (
                a[: a.shape[0] // 2 * 2, : a.shape[1] // 2 * 2]
                .reshape(a.shape[0] // 2, 2, a.shape[1] // 2, 2)
                .mean((1, 3))
                for a in (x, y)
            )
        last = {} if scale == count - 1 else {"K1": 1e8}
        expected *= structural_similarity(x, y, data_range=10.0, **WANG, **last) ** weights[scale]
    assert float(score.ms_ssim(pred, truth, 10.0)) == pytest.approx(expected, abs=1e-8)


def test_identical_fields_have_one_and_kelvin_does_not_cost_digits():
    x = 280 + torch.rand(2, 1, 64, 64, generator=torch.Generator().manual_seed(0)) * 1e-2
    assert float(score.ssim(x, x, 1.0)) == 1.0 and float(score.ms_ssim(x, x, 1.0)) == 1.0
    y = x + 1e-3 * torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
    exact = structural_similarity(y[0, 0].double().numpy(), x[0, 0].double().numpy(), data_range=1e-2, **WANG)
    assert float(score.ssim(y[0], x[0], 1e-2)) == pytest.approx(exact, abs=1e-6)


def test_anticorrelated_fields_are_negative_and_ms_ssim_stays_real():
    x = torch.randn(1, 64, 64, generator=torch.Generator().manual_seed(0))
    assert float(score.ssim(10 - x, 10 + x, 1.0)) < -0.5 and float(score.ms_ssim(10 - x, 10 + x, 1.0)) == 0


def test_too_small_fields_are_refused():
    with pytest.raises(PhysLabError, match="window 11 x 11"):
        score.ssim(torch.zeros(8, 8), torch.zeros(8, 8), 1.0)


def test_both_at_once_are_those_of_each():
    """Whatever is computed together, and in groups of images."""
    rng = torch.Generator().manual_seed(3)
    truth = torch.rand(19, 40, 48, generator=rng)
    pred = truth + 0.2 * torch.rand(19, 40, 48, generator=rng)
    both = score.structure.similarities(pred, truth, 1.0)
    each = [score.ssim(p, t, 1.0) for p, t in zip(pred, truth, strict=True)]
    many = [score.ms_ssim(p, t, 1.0) for p, t in zip(pred, truth, strict=True)]
    assert float(both[0]) == pytest.approx(float(torch.stack(each).mean()), abs=1e-12)
    assert float(both[1]) == pytest.approx(float(torch.stack(many).mean()), abs=1e-12)
    found = score.spectral_divergences(pred, truth)
    assert float(found[0]) == float(score.spectral_divergence(pred, truth))
    assert float(found[1]) == float(score.spectral_divergence(pred, truth, top_decile=True)) != float(found[0])

r"""Structural similarity of images, with the window and constants of its inventors.

SSIM (Wang, Bovik, Sheikh and Simoncelli 2004, eq. 13) compares local means, variances and covariance under an 11 x 11
Gaussian window of standard deviation 1.5 with C1 = (0.01 L)^2, C2 = (0.03 L)^2, L the data range,

.. math:: \mathrm{SSIM} = \frac{(2 \mu_x \mu_y + C_1)(2 \sigma_{xy} + C_2)}{(\mu_x^2 + \mu_y^2 + C_1)(\sigma_x^2 +
\sigma_y^2 + C_2)} ,

averaged over the positions where the window lies inside the image (no padding, so no invented borders). Values differ
between libraries by more than between methods: quote the window, the constants and the data range with every number.
MS-SSIM (Wang, Simoncelli and Bovik 2003) multiplies the contrast-structure terms of five scales and the luminance of
the last.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from physlab.errors import PhysLabError
from physlab.score.deterministic import check_range
from physlab.score.weights import pair

WINDOW, SIGMA, K1, K2 = 11, 1.5, 0.01, 0.03
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
TOGETHER = 8
"""Images at a time on a CPU: what stays in its cache while the window passes."""


def _smooth(x: torch.Tensor) -> torch.Tensor:
    """Gaussian window mean of (B, 1, H, W) -> (B, 1, H-10, W-10): two passes of shifted sums (six times faster than
    conv2d).
    """
    window = [math.exp(-0.5 * ((i - WINDOW // 2) / SIGMA) ** 2) for i in range(WINDOW)]
    total = sum(window)
    for dim in (-2, -1):
        size = x.shape[dim] - WINDOW + 1
        out = x.narrow(dim, 0, size) * (window[0] / total)
        for i in range(1, WINDOW):
            out = out.add_(x.narrow(dim, i, size), alpha=window[i] / total)
        x = out
    return x


def _maps(x: torch.Tensor, y: torch.Tensor, data_range: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Luminance and contrast-structure maps of (B, 1, H, W) images."""
    c1, c2 = (K1 * data_range) ** 2, (K2 * data_range) ** 2
    mx, my = _smooth(x), _smooth(y)
    vx, vy, cov = _smooth(x * x) - mx * mx, _smooth(y * y) - my * my, _smooth(x * y) - mx * my
    luminance = (2 * mx * my + c1) / (mx * mx + my * my + c1)
    return luminance, (2 * cov + c2) / (vx + vy + c2)


def _images(pred, truth) -> tuple[torch.Tensor, torch.Tensor, torch.Size]:
    pred, truth = pair(pred, truth)
    if pred.ndim < 2 or min(pred.shape[-2:]) < WINDOW:
        raise PhysLabError(
            f"field of shape {tuple(pred.shape)} is smaller than the SSIM window {WINDOW} x {WINDOW}: "
            "pass (..., H, W) at least as large"
        )
    lead, size = pred.shape[:-2], pred.shape[-2:]
    return pred.reshape(-1, 1, *size), truth.reshape(-1, 1, *size), lead


def _terms(x: torch.Tensor, y: torch.Tensor, data_range: float, count: int) -> torch.Tensor:
    """(2, scales, B): the mean contrast-structure of (B, 1, H, W) images, and the mean of it times the luminance."""
    size = TOGETHER if x.device.type == "cpu" else max(1, len(x))
    parts = []
    for a, b in zip(x.split(size), y.split(size), strict=True):
        found = []
        for scale in range(count):
            if scale:
                a, b = F.avg_pool2d(a, 2), F.avg_pool2d(b, 2)
            luminance, contrast = _maps(a, b, data_range)
            found.append(torch.stack([contrast.mean((1, 2, 3)), (luminance * contrast).mean((1, 2, 3))]))
        parts.append(torch.stack(found, 1))
    return torch.cat(parts, -1)


def _many(terms: torch.Tensor) -> torch.Tensor:
    """MS-SSIM (B,) of the terms of all scales."""
    count = terms.shape[1]
    total = sum(SCALE_WEIGHTS[:count])
    value = torch.ones((), dtype=terms.dtype, device=terms.device)
    for scale in range(count):
        term = terms[int(scale == count - 1), scale]
        value = value * term.clamp_min(0.0) ** (SCALE_WEIGHTS[scale] / total)
    return value


def ssim(pred, truth, data_range: float, mean: bool = True) -> torch.Tensor:
    """Structural similarity of (..., H, W) images, 1 for identical ones.

    Parameters
    ----------
    data_range : L, max - min of the truth over the whole data set, in the unit of the field.
    mean : average over the images (0-dim); False for one value per image (...).
    """
    x, y, lead = _images(pred, truth)
    value = _terms(x, y, check_range(data_range), 1)[1, 0].reshape(lead)
    return value.mean() if mean else value


def scales(height: int, width: int) -> int:
    """Number of MS-SSIM scales, at most 5, such that the window still fits the coarsest image."""
    count = 1
    while count < len(SCALE_WEIGHTS) and min(height, width) // 2**count >= WINDOW:
        count += 1
    return count


def ms_ssim(pred, truth, data_range: float, mean: bool = True) -> torch.Tensor:
    """Multi-scale structural similarity of (..., H, W) images, 1 for identical ones.

    Images smaller than 176 pixels take fewer than five scales (128: four, 64: three); the published weights of the
    scales in use are divided by their sum, so that values of different sizes mean the same. Negative contrast terms
    count as zero.
    """
    x, y, lead = _images(pred, truth)
    value = _many(_terms(x, y, check_range(data_range), scales(*x.shape[-2:]))).reshape(lead)
    return value.mean() if mean else value


def similarities(pred, truth, data_range: float) -> tuple[torch.Tensor, torch.Tensor]:
    """The means of :func:`ssim` and :func:`ms_ssim`, whose finest scale is the same."""
    x, y, _ = _images(pred, truth)
    terms = _terms(x, y, check_range(data_range), scales(*x.shape[-2:]))
    return terms[1, 0].mean(), _many(terms).mean()

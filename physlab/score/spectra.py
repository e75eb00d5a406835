r"""Power spectra and their divergence: does a field have the right amount of detail at each scale?

With the Fourier coefficients X = FFT2(x) / (H W), the power |X|^2 sums to the mean square of the field (Parseval). A
mode with frequencies (f_y, f_x) in cycles per cell has the isotropic wavenumber k = L sqrt(f_y^2 + f_x^2) with L the
longer side in cells: k waves per side of the image. The ring k holds the modes within half a unit.

SpecDiv (Nathaniel et al. 2024, ChaosBench) compares the normalised, radially averaged spectra of truth S' and
prediction S'^,

.. math:: D = \sum_k S'(k) \log \frac{S'(k)}{\hat S'(k)} ,

here per sample and then averaged: averaging fields first would remove the small scales that the score is about.
"""

from __future__ import annotations

import functools

import torch

from physlab.errors import PhysLabError
from physlab.score.weights import as_double, pair

_FLOOR = 1e-30  # of a normalised spectrum: keeps the logarithm finite where the prediction has no power at all


@functools.lru_cache(maxsize=32)
def _rings(height: int, width: int) -> tuple[torch.Tensor, int]:
    """Ring number of every mode (H*W,), 0 for the mean, and the number of the last complete ring."""
    side = max(height, width)
    fy, fx = torch.fft.fftfreq(height, dtype=torch.float64), torch.fft.fftfreq(width, dtype=torch.float64)
    k = side * torch.sqrt(fy[:, None] ** 2 + fx[None, :] ** 2)
    ring = torch.floor(k + 0.5 + 1e-9).long().clamp_min(1)  # a mode other than the mean never hides in ring 0
    ring[0, 0] = 0
    return ring.flatten(), side // 2


def radial_spectrum(
    x, total: bool = False, corners: bool = False, window: str | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Isotropic power spectrum of each (H, W) field.

    Parameters
    ----------
    x : (..., H, W), any unit; assumed periodic unless a window is used.
    total : sum of the power over each ring, E(k), instead of the mean over its modes (which is flat for white noise).
    corners : include the incomplete rings beyond the Nyquist wavenumber L/2; then, with total=True, the sum over k is
        the variance of the field.
    window : "hann" tapers a field that is not periodic (its mean is removed first; power rescaled to keep that of
        white noise).

    Returns
    -------
    k : (K,) wavenumbers 1, 2, ... in waves per longer side.
    power : (..., K), unit of the field squared.
    """
    x = as_double(x)
    if x.ndim < 2 or min(x.shape[-2:]) < 2:
        raise PhysLabError(
            f"field has shape {tuple(x.shape)}: a spectrum needs (..., H, W) with at least 2 points each way"
        )
    height, width = x.shape[-2:]
    if window == "hann":
        taper = torch.outer(*(torch.hann_window(n, dtype=x.dtype, device=x.device) for n in (height, width)))
        x = (x - x.mean((-2, -1), keepdim=True)) * taper / taper.square().mean().sqrt()
    elif window is not None:
        raise PhysLabError(f"window {window!r} is not known: pass 'hann' or None")
    ring, nyquist = _rings(height, width)
    ring = ring.to(x.device)
    waves = torch.view_as_real(torch.fft.fft2(x) / (height * width))
    power = waves.square().sum(-1).flatten(-2)
    last = int(ring.max()) if corners else nyquist
    result = power.new_zeros(*power.shape[:-1], int(ring.max()) + 1).index_add(-1, ring, power)
    if not total:
        result = result / torch.bincount(ring).clamp_min(1)
    return torch.arange(1, last + 1, device=x.device), result[..., 1 : last + 1]


def spectral_divergence(
    pred, truth, top_decile: bool = False, mean: bool = True, largest: int | None = None, window: str | None = None
) -> torch.Tensor:
    """SpecDiv of (..., H, W) fields: zero for identical spectra, dimensionless.

    Parameters
    ----------
    top_decile : only the highest tenth of the wavenumbers (those from the 0.9 quantile of k on), renormalised: the
        finest scales.
    mean : average over the samples (0-dim); False for one value per field (...).
    largest : leaves out the wavenumbers above it, e.g. the truncation of a spectral model.
    window : "hann" for a field that is not periodic, see :func:`radial_spectrum`.
    """
    found = _divergence(*_spectra(pred, truth, largest, window), top_decile)
    return found.mean() if mean else found


def spectral_divergences(pred, truth) -> tuple[torch.Tensor, torch.Tensor]:
    """The means of :func:`spectral_divergence` over all wavenumbers and over the top decile, from the same spectra."""
    spectra = _spectra(pred, truth, None, None)
    return _divergence(*spectra, False).mean(), _divergence(*spectra, True).mean()


def _spectra(pred, truth, largest: int | None, window: str | None) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Wavenumbers and the spectra of both."""
    pred, truth = pair(pred, truth)
    k, p = radial_spectrum(pred, window=window)
    _, t = radial_spectrum(truth, window=window)
    return k[:largest], p[..., :largest], t[..., :largest]


def _divergence(k: torch.Tensor, p: torch.Tensor, t: torch.Tensor, top_decile: bool) -> torch.Tensor:
    if top_decile:
        keep = k >= torch.quantile(k.double(), 0.9)
        p, t = p[..., keep], t[..., keep]
    p, t = (s / s.sum(-1, keepdim=True).clamp_min(torch.finfo(s.dtype).tiny) for s in (p, t))
    return (torch.xlogy(t, t.clamp_min(_FLOOR)) - torch.xlogy(t, p.clamp_min(_FLOOR))).sum(-1)


def spectral_slope(x, first: float, last: float, window: str | None = None) -> torch.Tensor:
    """Slope of log E(k) against log k between two wavenumbers, (..., H, W) -> (...): E(k) the total of a ring.

    Raises
    ------
    PhysLabError : fewer than three rings between them.
    """
    k, power = radial_spectrum(x, total=True, window=window)
    keep = (k >= first) & (k <= last)
    if int(keep.sum()) < 3:
        raise PhysLabError(f"{int(keep.sum())} wavenumbers from {first:g} to {last:g}: a slope needs three")
    u, y = k[keep].double().log(), power[..., keep].clamp_min(_FLOOR).log()
    u = u - u.mean()
    return (u * y).sum(-1) / u.square().sum()

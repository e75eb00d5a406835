r"""Power along latitude circles: how much of the variance sits at each zonal wavenumber.

With the Fourier coefficients X(k) = FFT(x) / W along longitude the power is 2 |X(k)|^2 (|X(k)|^2 at the highest
wavenumber of an even
W): it sums over k >= 1 to the variance of the circle (Parseval).
"""

from __future__ import annotations

import torch

from physlab.errors import PhysLabError
from physlab.score.weights import as_double


def zonal_spectrum(x) -> tuple[torch.Tensor, torch.Tensor]:
    """Spectrum of each latitude circle.

    Parameters
    ----------
    x : (..., W), whole circles, any unit.

    Returns
    -------
    k : (K,) wavenumbers 1, 2, ... W // 2 in waves per circle.
    power : (..., K), unit of the field squared. Average it over samples and latitudes, never the fields.
    """
    x = as_double(x)
    width = x.shape[-1]
    power = 2.0 * (torch.fft.rfft(x, dim=-1).abs() / width) ** 2
    if width % 2 == 0:
        power[..., -1] *= 0.5
    return torch.arange(1, power.shape[-1], device=x.device), power[..., 1:]


def spectral_slope(k, power, low: float, high: float) -> float:
    """Slope of log(power) against log(k) by least squares over low <= k <= high; power (K,) is a mean spectrum.

    Raises
    ------
    PhysLabError : fewer than two wavenumbers in the range.
    """
    k, power = as_double(k), as_double(power)
    keep = (k >= low) & (k <= high) & (power > 0)
    if int(keep.sum()) < 2:
        raise PhysLabError(
            f"no two wavenumbers between {low:g} and {high:g}: the spectrum has {float(k.min()):g} to "
            f"{float(k.max()):g}"
        )
    x, y = torch.log(k[keep]), torch.log(power[keep])
    return float(((x - x.mean()) * (y - y.mean())).sum() / ((x - x.mean()) ** 2).sum())

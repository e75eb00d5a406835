"""Zonal spectra: Parseval, single waves, prescribed slopes."""

from __future__ import annotations

import math

import pytest
import torch

from physlab.errors import PhysLabError
from physlab.score.zonal import spectral_slope, zonal_spectrum


@pytest.mark.parametrize("width", [64, 65])
def test_power_sums_to_the_variance_of_the_circle(width):
    x = torch.randn((3, 5, width), generator=torch.Generator().manual_seed(0), dtype=torch.float64) + 7.0
    k, power = zonal_spectrum(x)
    assert power.shape == (3, 5, width // 2) and k[0] == 1 and k[-1] == width // 2
    assert torch.allclose(power.sum(-1), x.var(-1, correction=0))


def test_a_single_wave_has_its_power_at_its_wavenumber():
    x = 3.0 * torch.cos(5 * torch.arange(128, dtype=torch.float64) / 128 * 2 * math.pi)
    _, power = zonal_spectrum(x)
    assert float(power[4]) == pytest.approx(4.5) and float(power.sum() - power[4]) < 1e-20


def test_slope_of_a_power_law():
    k = torch.arange(1, 60, dtype=torch.float64)
    assert spectral_slope(k, 3.0 * k**-2.5, 5, 40) == pytest.approx(-2.5)
    with pytest.raises(PhysLabError, match="no two wavenumbers"):
        spectral_slope(k, k, 70, 80)

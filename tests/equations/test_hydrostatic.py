"""Hydrostatic balance: closed forms, and thickness of real ERA5."""

import math

import numpy as np
import pytest
import torch

import physlab
from physlab.constants import EPSILON, R_DRY, R_VAPOUR
from physlab.equations import hydrostatic
from physlab.errors import PhysLabError

LEVEL = torch.tensor([1000.0, 850.0, 500.0], dtype=torch.float64)


def test_isothermal_dry_atmosphere():
    t = torch.full((2, 3, 4, 5), 270.0, dtype=torch.float64)
    z = (R_DRY * 270.0 * torch.log(1000.0 / LEVEL))[:, None, None].expand_as(t)
    thickness = hydrostatic.thickness(t, LEVEL)
    assert thickness.shape == (2, 2, 4, 5) and float(thickness[0, 1, 0, 0]) == pytest.approx(
        R_DRY * 270 * math.log(850 / 500)
    )
    assert hydrostatic.residual(z, t, LEVEL).abs().max() < 1e-9
    assert hydrostatic.residual(z.flip(1), t, LEVEL.flip(0)).abs().max() < 1e-9  # levels may run either way


def test_temperature_linear_in_log_pressure_is_exact():
    t = (250 + 30 * torch.log(LEVEL / 500))[:, None, None].expand(3, 2, 2)
    z = -R_DRY * (250 * torch.log(LEVEL / 500) + 15 * torch.log(LEVEL / 500) ** 2)[:, None, None].expand(3, 2, 2)
    assert hydrostatic.residual(z, t, LEVEL).abs().max() < 1e-8


def test_moist_air_is_lighter():
    t, q = torch.full((3, 1, 1), 290.0, dtype=torch.float64), torch.full((3, 1, 1), 0.01, dtype=torch.float64)
    ratio = float((hydrostatic.thickness(t, LEVEL, q) / hydrostatic.thickness(t, LEVEL))[0])
    assert ratio == pytest.approx(1 + (R_VAPOUR / R_DRY - 1) * 0.01) == pytest.approx(1.00608, abs=1e-5)
    assert EPSILON == pytest.approx(0.622, abs=1e-4)
    assert hydrostatic.virtual_temperature(t) is t


def test_levels_must_fit():
    with pytest.raises(PhysLabError, match="do not fit"):
        hydrostatic.thickness(torch.zeros(2, 4, 4), LEVEL)


@pytest.mark.real_data
def test_thickness_of_the_era5_ensemble(tools):
    """850 to 500 hPa from two levels, dry: r = 0.9965, RMS 245 J/kg of 40,215, of which the mean is the curvature of
    T.
    """
    with physlab.open_dataset("era5-ensemble") as ds:
        z, t, level = tools.double(ds.z), tools.double(ds.t), tools.double(ds.level)
    thickness = z[..., 1:, :, :] - z[..., :-1, :, :]
    r, rms = tools.correlation(thickness, hydrostatic.thickness(t, level))
    assert r == pytest.approx(0.9965, abs=2e-4) and 240 < rms < 265
    assert float(thickness.mean()) == pytest.approx(40215, abs=1)
    assert torch.allclose(hydrostatic.residual(z, t, level), thickness - hydrostatic.thickness(t, level))


@pytest.mark.real_data
def test_closer_levels_are_closer_to_balance(tools):
    """ERA5, nine levels from 100 to 350 hPa with humidity: RMS below 0.5 % of the thickness in every layer."""
    with physlab.open_dataset("era5-upper-air") as ds:
        ds = ds.transpose("time", "level", "latitude", "longitude")
        z, t, q, level = (tools.double(ds[name]) for name in ("z", "t", "q", "level"))
    residual = hydrostatic.residual(z, t, level, q)
    relative = residual.square().mean((0, 2, 3)).sqrt() / (z[:, 1:] - z[:, :-1]).abs().mean((0, 2, 3))
    assert residual.shape == (3, 8, 45, 133) and np.all(relative.numpy() < 5e-3)

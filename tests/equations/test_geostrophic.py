"""Geostrophic balance: exact solutions on sphere and f-plane, and winds of real ERA-Interim."""

import math

import numpy as np
import pytest
import torch

import physlab
from physlab.constants import OMEGA
from physlab.equations import geostrophic, relative_residual
from physlab.grid import Grid


def test_solid_rotation_on_the_sphere(tools):
    """Phi = -Omega U a sin^2(lat) balances u = U cos(lat) with f = 2 Omega sin(lat)."""
    lat = tools.latitudes("gaussian falling", 64)
    grid = Grid(lat, np.arange(128) * 2.8125)
    sine, cosine = np.sin(np.deg2rad(lat)), np.cos(np.deg2rad(lat))
    z = torch.tensor(-OMEGA * 25 * grid.radius * sine**2)[:, None].expand(64, 128)
    u = torch.tensor(25 * cosine)[:, None].expand(64, 128)
    ug, vg = geostrophic.wind(z, grid, order=4, min_latitude=20)
    tropics = torch.tensor(np.abs(lat) < 20)
    assert torch.isnan(ug[tropics]).all() and torch.isnan(vg[tropics]).all()
    assert torch.allclose(ug[~tropics], u[~tropics], atol=1e-3) and vg[~tropics].abs().max() < 1e-9
    ru, rv = geostrophic.residual(u, 0 * u, z, grid, order=4)
    assert torch.isfinite(rv).all() and rv.abs().max() < 1e-7 and ru.abs().max() < 1e-12  # also at the equator


def test_f_plane_both_hemispheres():
    n, f0 = 32, 1e-4
    grid = Grid.plane(1e5, 1e5, (n, n))
    k = 2 * math.pi / (n * 1e5)
    y, x = (torch.tensor(a) for a in np.meshgrid(grid.latitude, grid.longitude, indexing="ij"))
    z = 1500 * torch.sin(k * x) * torch.cos(k * y)
    for f in (f0, -f0):
        u, v = geostrophic.wind(z, grid, order="spectral", coriolis=f)
        assert torch.allclose(u, 1500 * k / f * torch.sin(k * x) * torch.sin(k * y), atol=1e-9)
        assert torch.allclose(v, 1500 * k / f * torch.cos(k * x) * torch.cos(k * y), atol=1e-9)
        assert max(float(r.abs().max()) for r in geostrophic.residual(u, v, z, grid, "spectral", coriolis=f)) < 1e-12


def test_signs_in_words():
    """Northern hemisphere, low pressure in the north: westerly wind. High in the east: southerly wind."""
    grid = Grid(np.linspace(60, 30, 7), np.arange(8.0))
    u, _ = geostrophic.wind(torch.tensor(-100.0 * grid.latitude)[:, None].expand(7, 8), grid)
    _, v = geostrophic.wind(torch.tensor(100.0 * grid.longitude).expand(7, 8), grid)
    assert (u > 0).all() and (v > 0).all()


def test_residual_is_a_differentiable_penalty():
    grid = Grid(np.linspace(-60, 60, 9), np.arange(8.0))
    z = torch.randn(9, 8, generator=torch.Generator().manual_seed(0)).requires_grad_()
    sum(r.square().mean() for r in geostrophic.residual(torch.zeros(9, 8), torch.zeros(9, 8), z, grid)).backward()
    assert torch.isfinite(z.grad).all() and z.grad.abs().max() > 0


@pytest.fixture(scope="module")
def january():
    """z, u, v at 500 hPa and the grid, ERA-Interim mean of January."""
    with physlab.open_dataset("erainterim-uvz") as ds:
        part = ds.sel(level=500, month=1)
        fields = (torch.tensor(np.asarray(part[name].values, dtype=np.float64)) for name in ("z", "u", "v"))
        return (*fields, Grid.from_dataset(ds))


@pytest.mark.real_data
def test_january_wind_of_era_interim_is_geostrophic(tools, january):
    """Poleward of 25 degrees: r = 0.9976, RMS 0.93 m/s; between 25 and 75 degrees, which weighs the Arctic less,
    0.9968 and 1.06.
    """
    z, u, v, grid = january
    ug, vg = geostrophic.wind(z, grid)
    r, rms = tools.correlation(u, ug)
    assert r > 0.9965 and rms < 1.07
    middle = torch.tensor(np.abs(grid.latitude) <= 75)[:, None]
    r, rms = tools.correlation(torch.where(middle, u, torch.nan), ug)
    assert r == pytest.approx(0.9967, abs=5e-4) and rms == pytest.approx(1.07, abs=0.03)
    r, rms = tools.correlation(v, vg)
    assert r > 0.97 and rms < 0.7


@pytest.mark.real_data
def test_a_disturbed_analysis_is_less_balanced_than_the_truth(january):
    z, u, v, grid = january
    truth = torch.stack(geostrophic.residual(u, v, z, grid))
    noise = torch.randn(u.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert float(relative_residual(truth, truth)) == 1
    assert float(relative_residual(torch.stack(geostrophic.residual(u + 3 * noise, v, z, grid)), truth)) > 1.5

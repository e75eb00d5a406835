"""Advection: exact solutions on plane and sphere, and potential vorticity of real ERA5."""

import math

import numpy as np
import pytest
import torch

import physlab
from physlab.equations import advection, relative_residual
from physlab.errors import PhysLabError
from physlab.grid import Grid


def moving_wave(n: int, dt: float, u0=0.7, v0=-0.4, rate=0.0):
    """c = exp(rate t) sin(2 pi (x - u0 t)) cos(2 pi (y - v0 t)) at three times on a unit periodic square."""
    grid = Grid.plane(1 / n, 1 / n, (n, n))
    y, x = (torch.tensor(a) for a in np.meshgrid(grid.latitude, grid.longitude, indexing="ij"))
    t = torch.arange(3, dtype=torch.float64)[:, None, None] * dt
    c = torch.exp(rate * t) * torch.sin(2 * math.pi * (x - u0 * t)) * torch.cos(2 * math.pi * (y - v0 * t))
    return grid, c, torch.full_like(c, u0), torch.full_like(c, v0)


@pytest.mark.parametrize("order", [2, 4])
def test_residual_of_an_exact_solution_falls_with_the_order(tools, order):
    errors = []
    for n in (16, 32, 64):
        dt = 0.1 * (16 / n) ** (order / 2)  # second order in time: the step falls as h or as h^2
        grid, c, u, v = moving_wave(n, dt)
        residual = advection.residual(c, u, v, grid, dt, order=order)
        assert residual.shape == (2, n, n)
        errors.append(float(residual.abs().max()))
    assert tools.order(errors) > order - 0.15


def test_source_closes_the_budget_and_a_wrong_wind_opens_it():
    grid, c, u, v = moving_wave(32, 1e-3, rate=2.0)
    closed = advection.residual(c, u, v, grid, 1e-3, source=2.0 * c, order="spectral")
    assert closed.abs().max() < 1e-4
    assert torch.allclose(
        advection.residual(c, u, v, grid, 1e-3, order="spectral"), 2 * advection.time_mean(c), atol=1e-3
    )
    assert float(relative_residual(advection.residual(c, -u, v, grid, 1e-3, 2.0 * c, "spectral"), closed)) > 1e3


def test_tendency_follows_an_added_mean_wind():
    """Galilean: an added uniform wind adds its own advection, nothing else (winds in z-scores would not)."""
    grid, c, u, v = moving_wave(24, 0.1)
    more = advection.tendency(c, u + 5, v, grid) - advection.tendency(c, u, v, grid)
    assert torch.allclose(more, advection.tendency(c, 0 * u + 5, 0 * v, grid), atol=1e-12)


def test_solid_rotation_on_the_sphere(tools):
    """A tracer carried round by u = U cos(lat) turns with the angular velocity U / a."""
    lat, lon, dt = tools.latitudes("gaussian", 48), np.arange(96) * 3.75, 600.0
    s = tools.fields(lat, lon)
    u = torch.tensor(40 * np.cos(np.deg2rad(lat)))[:, None].expand(96 // 2, 96)
    turn = np.rad2deg(40 * dt / s.grid.radius)
    c = torch.stack([tools.fields(lat, lon - turn * i).f for i in (0, 1)])
    residual = advection.residual(c, u.expand_as(c), torch.zeros_like(c), s.grid, dt, order="spectral")
    assert residual.abs().max() < 1e-3 * advection.time_difference(c, dt).abs().max()


def test_one_time_is_refused():
    with pytest.raises(PhysLabError, match="at least 2 times"):
        advection.time_difference(torch.zeros(1, 8, 8), 1.0)


@pytest.mark.real_data
@pytest.mark.parametrize("order", [2, 4])
def test_potential_vorticity_of_era5_moves_with_the_wind(tools, order):
    """Nine levels from 100 to 350 hPa over three hours: measured r = 0.85 to 0.96 at order 2."""
    with physlab.open_dataset("era5-upper-air") as ds:
        grid = Grid.from_dataset(ds)
        pv, u, v = (
            tools.double(ds[name].transpose("level", "time", "latitude", "longitude")) for name in ("pv", "u", "v")
        )
    storage = advection.time_difference(pv, 3600.0)
    transport = advection.time_mean(advection.tendency(pv, u, v, grid, order))
    r = [tools.correlation(storage[i], transport[i])[0] for i in range(len(pv))]
    assert len(r) == 9 and min(r) > 0.83 and max(r) > 0.95 and np.median(r) > 0.91
    residual = advection.residual(pv, u, v, grid, 3600.0, order=order)
    assert torch.allclose(residual, storage - transport)
    still = advection.residual(pv, 0 * u, 0 * v, grid, 3600.0, order=order)
    assert (
        float(relative_residual(residual, still)) < 0.5
    )  # the wind explains three quarters of the variance of the tendency

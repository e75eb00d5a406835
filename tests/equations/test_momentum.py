"""Momentum on a pressure surface: the steady zonal flow of Williamson et al. (1992, case 2) and a free wave."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from physlab.constants import EARTH_RADIUS, OMEGA
from physlab.equations import momentum
from physlab.grid import Grid


@pytest.mark.parametrize("order", [2, 4])
def test_solid_rotation_in_gradient_balance_is_steady(order):
    """u = U cos(lat), Phi = -(a Omega U + U^2 / 2) sin^2(lat): no tendency, curvature term included."""
    worst = []
    for rows in (40, 80):
        grid = Grid(np.linspace(-75, 75, rows), np.arange(0, 360, 10.0))
        lat = torch.from_numpy(np.deg2rad(grid.latitude))[:, None].expand(grid.shape)
        u = 40 * torch.cos(lat)
        z = -(EARTH_RADIUS * OMEGA * 40 + 800.0) * torch.sin(lat) ** 2
        east, north = momentum.tendency(u, torch.zeros_like(u), z, grid, order)
        assert float(east.abs().max()) < 1e-12
        worst.append(float(north.abs().max()))
        geostrophic = -EARTH_RADIUS * OMEGA * 40 * torch.sin(lat) ** 2
        without = momentum.tendency(u, torch.zeros_like(u), geostrophic, grid, order)
        assert float(without[1].abs().max()) > 5e-5  # the curvature term is there
    assert worst[1] < worst[0] / 2 ** (order - 0.5) and worst[1] < 1e-5


def test_inertial_oscillation():
    """Without a pressure gradient a uniform wind on an f-plane turns with period 2 pi / f."""
    f, t = 1e-4, torch.arange(20, dtype=torch.float64) * 600.0
    wind = ((10 * torch.cos(f * t), -10 * torch.sin(f * t)), (torch.zeros_like(t),) * 4, (torch.zeros_like(t),) * 2)
    terms = momentum.terms(*wind, torch.tensor(f), torch.tensor(0.0))
    du = -10 * f * torch.sin(f * t)
    dv = -10 * f * torch.cos(f * t)
    assert torch.allclose(sum(a for a, _ in terms.values()), du) and torch.allclose(
        sum(b for _, b in terms.values()), dv
    )


def test_residual_of_two_equal_steady_states_vanishes():
    grid = Grid(np.linspace(-60, 60, 61), np.arange(0, 360, 6.0))
    lat = torch.from_numpy(np.deg2rad(grid.latitude))[:, None].expand(grid.shape)
    u, z = 20 * torch.cos(lat), -(EARTH_RADIUS * OMEGA * 20 + 200.0) * torch.sin(lat) ** 2
    u, z = torch.stack([u, u]), torch.stack([z, z])
    east, north = momentum.residual(u, torch.zeros_like(u), z, grid, 3600.0, order=4)
    assert east.shape == (1, 61, 60) and max(float(east.abs().max()), float(north.abs().max())) < 1e-6

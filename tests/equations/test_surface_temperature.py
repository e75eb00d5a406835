"""Temperature over terrain: an exact solution, invariances, and what the published form lacks."""

import math

import numpy as np
import pytest
import torch

from physlab.equations import surface_temperature as law
from physlab.errors import PhysLabError
from physlab.grid import Grid

WIND, KAPPA = 8.0, 2e5  # m s-1, m2 s-1


def exact(n: int):
    """Steady advection and diffusion: T_* = 280 + 5 sin(l y) exp(a x), WIND a = KAPPA (a^2 - l^2), over two hills."""
    size = 4e5
    grid = Grid.plane(size / n, size / n, (n, n), periodic=False)
    y, x = (torch.tensor(a, dtype=torch.float64) for a in np.meshgrid(grid.latitude, grid.longitude, indexing="ij"))
    l = 2 * math.pi / size
    a = (WIND - math.sqrt(WIND**2 + 4 * KAPPA**2 * l**2)) / (2 * KAPPA)
    star = 280 + 5 * torch.sin(l * y) * torch.exp(a * x)
    height = 800 * torch.exp(-((x - 1e5) ** 2 + (y - 2e5) ** 2) / 6e4**2) + 500 * torch.sin(l * x).square()
    t = star - law.LAPSE_RATE * height
    return grid, t, torch.full_like(t, WIND), torch.zeros_like(t), height


@pytest.mark.parametrize("order", [2, 4])
def test_residual_of_the_exact_solution_falls_with_the_order(tools, order):
    errors = []
    for n in (24, 48, 96):
        grid, t, u, v, height = exact(n)
        errors.append(float(law.residual(t, u, v, height, grid, KAPPA, order=order).abs().max()))
    assert tools.order(errors) > order - 0.2
    advection = law.residual(t, u, v, height, grid, order=order).abs().max()
    assert errors[-1] < 1e-2 * float(advection)


def test_each_term_counts():
    grid, t, u, v, height = exact(96)
    closed = law.residual(t, u, v, height, grid, KAPPA, order=4).abs().mean()
    for wrong in (
        law.residual(t, u, v, height, grid, 0.0, order=4),
        law.residual(t, -u, v, height, grid, KAPPA, order=4),
        law.residual(t, u, v, height, grid, KAPPA, lapse_rate=0.0, order=4),
        law.residual(t, u, v, height, grid, KAPPA, source=torch.full_like(t, 1e-4), order=4),
    ):
        assert wrong.abs().mean() > 50 * closed


def test_a_constant_changes_the_published_ratio_and_not_the_law():
    grid, t, u, v, height = exact(96)
    same = law.residual(t + 100.0, u, v, height, grid, KAPPA) - law.residual(t, u, v, height, grid, KAPPA)
    assert same.abs().max() < 1e-9
    celsius, kelvin = law.flux_ratio(t - 273.15), law.flux_ratio(t)
    assert (kelvin - celsius).abs().mean() > 10 * celsius.abs().mean()


def test_flux_ratio_of_a_plane_and_of_a_peak():
    """On a uniform slope inflow and outflow cancel but for the slope itself; towards a peak all directions point in."""
    y, x = torch.meshgrid(torch.arange(8.0), torch.arange(8.0), indexing="ij")
    ratio = law.flux_ratio(x.double()[None], eps=0.0)
    assert ratio.shape == (1, 1, 1)
    assert float(ratio) == pytest.approx(7.0 * 8 / 32)  # (7 - 0) on 8 of 32 points of the perimeter, slope 1
    peak = 300.0 - ((x - 3.5) ** 2 + (y - 3.5) ** 2)
    assert float(law.flux_ratio(peak.double())) < 0
    with pytest.raises(PhysLabError, match="blocks of 3"):
        law.flux_ratio(x, 3)


def test_misfit_of_a_field_that_is_its_own_refinement_is_small():
    coarse = torch.randn(2, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64) + 280
    fine = torch.nn.functional.interpolate(coarse[:, None], scale_factor=4, mode="bilinear")[:, 0]
    assert float(law.flux_ratio_misfit(fine, coarse)) == 0.0
    assert float(law.flux_ratio_misfit(fine + torch.randn_like(fine), coarse)) > 0.01
    assert float(law.flux_ratio_misfit(fine[0], coarse[1])) > 0.01  # a single field, without a batch


def test_messages():
    grid, t, u, v, height = exact(24)
    with pytest.raises(PhysLabError, match="diffusivity"):
        law.residual(t, u, v, height, grid, -1.0)
    with pytest.raises(PhysLabError, match="share their grid"):
        law.residual(t, u, v, height[:5], grid)

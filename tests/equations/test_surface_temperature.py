"""Temperature over terrain: an exact solution, invariances, and what the published form lacks."""

import math

import numpy as np
import pytest
import torch

from physlab.equations import surface_temperature as law
from physlab.equations.operators import ddx, laplacian
from physlab.errors import PhysLabError
from physlab.grid import Grid
from physlab.teach.latent.decoding import KAPPA, exact


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


def synthetic(gamma: float = 8e-3, kappa: float = KAPPA, n: int = 64):
    """Fields in balance at each point: the wind is what advection needs against the diffusion of small waves."""
    size = 4e5
    grid = Grid.plane(size / n, size / n, (n, n), periodic=False)
    y, x = torch.meshgrid(torch.arange(n).double(), torch.arange(n).double(), indexing="ij")
    generator, star = torch.Generator().manual_seed(0), []
    for _ in range(4):
        wave = 280 + 40 * x / n
        for k in (11, 13, 16):  # waves that block means of 4 cells hardly show
            p, q = 2 * math.pi * torch.rand(2, generator=generator, dtype=torch.float64)
            wave = wave + 0.04 * torch.sin(2 * math.pi * k * x / n + p) * torch.sin(2 * math.pi * k * y / n + q)
        star.append(wave)
    star = torch.stack(star)
    height = 300 * torch.sin(1.1 * x) * torch.sin(0.9 * y) + 500 * torch.exp(-((x - 20) ** 2 + (y - 40) ** 2) / 60)
    u = kappa * laplacian(star, grid) / ddx(star, grid)
    return grid, star - gamma * height, u, torch.zeros_like(u), height


@pytest.mark.parametrize("gamma", [8e-3, 3e-3, -2e-3])
def test_fit_recovers_lapse_rate_and_diffusivity(gamma):
    grid, t, u, v, height = synthetic(gamma=gamma)
    made = law.EffectiveBalance.fit(t, u, v, height, grid, 4)
    assert made.lapse_rate == pytest.approx(gamma, rel=0.01)
    assert made.diffusivity == pytest.approx(KAPPA, rel=0.03)
    flat = law.EffectiveBalance.fit(t + gamma * height, u, v, 0 * height, grid, 4)  # no elevation is known
    assert flat.lapse_rate == 0.0 and flat.diffusivity == pytest.approx(KAPPA, rel=0.03)


def test_what_the_fit_leaves_is_the_least():
    """Near the fitted numbers every other pair leaves more, also where the fields are no solution of the law."""
    grid, t, u, v, height = synthetic()
    t = t + torch.randn(t.shape, generator=torch.Generator().manual_seed(0), dtype=t.dtype)
    made = law.EffectiveBalance.fit(t, u, v, height, grid, 4)
    for gamma, kappa in ((1.01, 1), (0.99, 1), (1, 1.01), (1, 0.99)):
        other = law.EffectiveBalance(grid, 4, height, gamma * made.lapse_rate, kappa * made.diffusivity)
        left = other.residual(t, u, v).square().mean().sqrt()
        assert float(left) > made.scale


def test_a_negative_diffusivity_becomes_none():
    """With the wind against the gradient that diffusion keeps, the best diffusivity would be negative."""
    grid, t, u, v, height = synthetic()
    made = law.EffectiveBalance.fit(t, -u, -v, height, grid, 4)
    assert made.diffusivity == 0.0 and made.lapse_rate == pytest.approx(8e-3, rel=0.1)


def test_balance_is_relative_to_the_fitted_fields_and_knows_no_zero():
    grid, t, u, v, height = sphere()
    made = law.EffectiveBalance.fit(t, u, v, height, grid, 4)
    relative = made.relative(t, u, v)
    assert relative.shape == (5,) and float(relative.mean()) == pytest.approx(1.0, rel=1e-6)
    assert relative.std() > 0.01
    residual = made.residual(t, u, v)
    assert (made.residual(t + 100.0, u, v) - residual).abs().max() < 1e-9 * residual.abs().max()
    assert torch.allclose(made.relative(t - 273.15, u, v), relative, rtol=1e-9)
    single = made.relative(t[0].float(), u[0].float(), v[0].float())
    assert single.dtype == torch.float32 and float(single) == pytest.approx(float(relative[0]), rel=1e-2)
    rough = t + 0.5 * torch.randn(t.shape, generator=torch.Generator().manual_seed(1), dtype=t.dtype)
    assert (made.relative(rough, u, v) > 1.2 * relative).all()


def test_what_the_coarse_field_shows_drives_the_fine_one():
    """S is the residual of the block means: a field that its block means describe leaves little."""
    grid, t, u, v, _ = exact(96)
    flat = torch.zeros_like(t)
    made = law.EffectiveBalance(grid, 4, flat, 0.0, 0.0)
    smooth = 280 + 4 * torch.sin(torch.tensor(grid.longitude) / 2e5).expand_as(t)  # a residual without diffusion
    whole = law.residual(smooth, u, v, flat, grid)
    assert made.residual(smooth, u, v)[:, 8:-8].abs().max() < 0.02 * whole.abs().max()
    fine = 280 + torch.sin(torch.tensor(grid.longitude) * 2 * math.pi / (4 * grid.dlon)).expand_as(t)
    left, whole = (x.square().mean() for x in (made.residual(fine, u, v), law.residual(fine, u, v, flat, grid)))
    assert left > 0.9 * whole  # block means show nothing of it


def test_balance_on_the_globe_has_no_seam_and_bears_a_pole():
    grid, t, u, v, height = sphere(globe=True)
    made = law.EffectiveBalance(grid, 4, height, 6e-3, 1e5)
    turned = law.EffectiveBalance(grid, 4, height.roll(8, -1), 6e-3, 1e5)
    here, there = made.residual(t, u, v), turned.residual(*(x.roll(8, -1) for x in (t, u, v)))
    assert torch.allclose(here.roll(8, -1), there, rtol=1e-8, atol=1e-12)
    pole = Grid(np.linspace(90, -90, 33)[:32], grid.longitude)  # rows of a reanalysis, the last one cropped
    made = law.EffectiveBalance.fit(t, u, v, height, pole, 4)
    assert math.isfinite(made.scale) and float(made.relative(t, u, v).mean()) == pytest.approx(1.0, rel=1e-6)
    x = t.clone().requires_grad_()
    made.relative(x, u, v).sum().backward()
    assert x.grad.isfinite().all()


def sphere(globe: bool = False):
    """Waves over hills: temperature, wind, and height on (5, 32, 64) cells."""
    step = 360 / 64 if globe else 1.0
    grid = Grid(np.linspace(-70, 70, 32) if globe else np.linspace(30, 60, 32), step * np.arange(64))
    y, x = (torch.as_tensor(a) for a in np.meshgrid(grid.latitude, np.deg2rad(grid.longitude * 360 / 64 / step),
                                                    indexing="ij"))  # fmt: skip
    height = 900 + 800 * torch.sin(3 * x) * torch.cos(y / 4)
    phase = torch.arange(5.0, dtype=torch.float64)[:, None, None]
    t = 285 - 0.5 * y + 4 * torch.sin(2 * x + phase) + torch.sin(9 * x + y + 2 * phase) - 6e-3 * height
    u, v = 8 + 4 * torch.cos(x + phase) + 0 * y, 3 * torch.sin(4 * x + y / 3 - phase)
    return grid, t, u, v, height

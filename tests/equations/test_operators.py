"""Derivatives: measured convergence order on plane and sphere, exact identities, either order of the rows,
gradients.
"""

import math

import numpy as np
import pytest
import torch

from physlab.equations import operators as op
from physlab.errors import PhysLabError
from physlab.grid import Grid

GLOBAL = ["cells", "gaussian", "gaussian falling", "poles"]
NAMES = ["ddx", "ddy", "divergence", "curl", "laplacian"]


def plane_errors(n: int, order, periodic: bool, dtype=torch.float64) -> dict[str, float]:
    """Largest errors of all operators for smooth fields on a unit square of n x 1.5 n cells (or points)."""
    shape = (n, 3 * n // 2)
    dy, dx = (1 / n, 1 / shape[1]) if periodic else (1 / (n - 1), 1 / (shape[1] - 1))
    grid = Grid.plane(dx, dy, shape, periodic=periodic)
    y, x = (torch.tensor(a, dtype=dtype) for a in np.meshgrid(grid.latitude, grid.longitude, indexing="ij"))
    a, b = (2 * math.pi, 2 * math.pi) if periodic else (2.3, 1.9)
    f, fx, fy = (
        torch.sin(a * x) * torch.cos(b * y),
        a * torch.cos(a * x) * torch.cos(b * y),
        -b * torch.sin(a * x) * torch.sin(b * y),
    )
    u, v = torch.cos(b * y + a * x), torch.sin(a * x - b * y)
    ux, uy = -a * torch.sin(b * y + a * x), -b * torch.sin(b * y + a * x)
    vx, vy = a * torch.cos(a * x - b * y), -b * torch.cos(a * x - b * y)
    pairs = {
        "ddx": (op.ddx(f, grid, order), fx),
        "ddy": (op.ddy(f, grid, order), fy),
        "divergence": (op.divergence(u, v, grid, order), ux + vy),
        "curl": (op.curl(u, v, grid, order), vx - uy),
        "laplacian": (op.laplacian(f, grid, order), -(a**2 + b**2) * f),
    }
    return {name: float((value - exact).abs().max() / exact.abs().max()) for name, (value, exact) in pairs.items()}


@pytest.mark.parametrize("periodic", [True, False], ids=["periodic", "bounded"])
@pytest.mark.parametrize("order", [2, 4])
def test_order_on_the_plane_borders_included(tools, order, periodic):
    series = [plane_errors(n, order, periodic) for n in (16, 32, 64)]
    for name in NAMES:
        assert tools.order([e[name] for e in series]) > order - 0.15, name


def test_spectral_on_the_periodic_plane_is_exact():
    assert max(plane_errors(16, "spectral", True).values()) < 1e-12


def sphere_errors(tools, kind: str, n: int, order) -> dict[str, np.ndarray]:
    """For each operator the errors [area-weighted RMS over the sphere, largest within 60 degrees], non-dimensional."""
    if kind == "region":
        s = tools.fields(np.linspace(65, 20, n + 1), np.linspace(-30, 50, n + 1))
    else:
        s = tools.fields(tools.latitudes(kind, n), np.arange(2 * n) * 180 / n)
    a = s.grid.radius
    pairs = {
        "ddx": (op.ddx(s.f, s.grid, order), s.fx, a),
        "ddy": (op.ddy(s.f, s.grid, order), s.fy, a),
        "divergence": (op.divergence(s.u, s.v, s.grid, order), s.laplacian, a * a),
        "curl": (op.curl(s.u, s.v, s.grid, order), s.curl, a * a),
        "laplacian": (op.laplacian(s.f, s.grid, order), s.laplacian, a * a),
    }
    weights = torch.tensor(s.grid.area_weights)
    inner = torch.tensor(np.abs(s.grid.latitude) <= 60)
    errors = {}
    for name, (value, exact, scale) in pairs.items():
        error = (value - exact) * scale
        defined = torch.isfinite(error)
        assert defined[torch.tensor(np.abs(s.grid.latitude) < 89.9999)].all(), name
        rms = float((weights * torch.where(defined, error, 0.0) ** 2).mean().sqrt())
        errors[name] = np.array([rms, float(error[inner].abs().max())])
    return errors


@pytest.mark.parametrize("kind", [*GLOBAL, "region"])
@pytest.mark.parametrize("order", [2, 4])
def test_order_on_the_sphere(tools, kind, order):
    """In the area-weighted RMS over the whole sphere and in the maximum within 60 degrees."""
    series = [sphere_errors(tools, kind, n, order) for n in (32, 64, 128)]
    for name in NAMES:
        for part in (0, 1):
            assert tools.order([e[name][part] for e in series]) > order - 0.15, (name, part)


@pytest.mark.parametrize("kind", GLOBAL)
def test_spectral_longitude_on_the_sphere(tools, kind):
    series = [sphere_errors(tools, kind, n, "spectral") for n in (16, 32, 64)]
    assert series[-1]["ddx"].max() < 1e-12
    for name in NAMES[1:]:
        assert tools.order([e[name][0] for e in series]) > 3.85, name


@pytest.mark.parametrize("order", [2, 4])
def test_near_the_poles_the_largest_error_still_falls(tools, order):
    """The honest part: 1 / cos(lat) costs about one order in the last rows, in the maximum only."""
    worst = []
    for n in (32, 64, 128):
        s = tools.fields(tools.latitudes("gaussian", n), np.arange(2 * n) * 180 / n)
        worst.append(float((op.laplacian(s.f, s.grid, order) - s.laplacian).abs().max()) * s.grid.radius**2)
    assert tools.order(worst) > order - 1.15


def test_a_row_at_a_pole_is_nan_and_its_gradient_is_not(tools):
    s = tools.fields(tools.latitudes("poles", 16), np.arange(32) * 11.25)
    for name in NAMES:
        f, g = s.f.clone().requires_grad_(), s.u.clone().requires_grad_()
        value = getattr(op, name)(*((f, g) if name in ("divergence", "curl") else (f,)), s.grid)
        at_pole = torch.isnan(value)
        assert not at_pole[1:-1].any() and at_pole[[0, -1]].all() == (name != "ddy")
        value.nan_to_num().square().sum().mul(1e24).backward()
        assert torch.isfinite(f.grad).all() and f.grad.abs().max() > 0


@pytest.mark.parametrize("order", [2, 4, "spectral"])
@pytest.mark.parametrize("name", NAMES)
def test_rows_and_columns_may_run_either_way(tools, name, order):
    """Flipping the storage order flips the result and changes nothing else."""
    lat, lon = tools.latitudes("gaussian", 24), np.arange(48) * 7.5
    s = tools.fields(lat, lon)
    fields = (s.u, s.v) if name in ("divergence", "curl") else (s.f,)
    expected = getattr(op, name)(*fields, s.grid, order)
    for dim, grid in ((-2, Grid(lat[::-1].copy(), lon)), (-1, Grid(lat, lon[::-1].copy()))):
        value = getattr(op, name)(*(x.flip(dim) for x in fields), grid, order).flip(dim)
        assert torch.allclose(value, expected, rtol=1e-9, atol=1e-12 * float(expected.abs().max()))


def test_longitude_may_start_anywhere(tools):
    lat = tools.latitudes("cells", 16)
    s, shifted = (tools.fields(lat, np.arange(32) * 11.25 + start) for start in (0, -90))
    assert torch.allclose(op.ddx(shifted.f, shifted.grid).roll(-8, -1), op.ddx(s.f, s.grid), rtol=1e-9, atol=1e-18)


@pytest.mark.parametrize("order", [2, 4, "spectral"])
def test_summation_by_parts_and_divergence_theorem_on_the_periodic_plane(order):
    grid = Grid.plane(3.0, 2.0, (12, 18))
    f, g, u, v = torch.randn(4, 5, 12, 18, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for d in (op.ddx, op.ddy):
        assert torch.allclose((f * d(g, grid, order)).sum(), -(g * d(f, grid, order)).sum(), rtol=1e-11)
    assert op.divergence(u, v, grid, order).sum((-2, -1)).abs().max() < 1e-11
    assert op.curl(u, v, grid, order).sum((-2, -1)).abs().max() < 1e-11
    by_parts = (f * op.divergence(u, v, grid, order)).sum()
    fx, fy = op.gradient(f, grid, order)
    assert torch.allclose(by_parts, -(u * fx + v * fy).sum(), rtol=1e-11)
    assert torch.allclose(
        (f * op.laplacian(g, grid, order)).sum(), (g * op.laplacian(f, grid, order)).sum(), rtol=1e-11
    )
    assert (f * op.laplacian(f, grid, order)).sum() < 0


def test_curl_of_a_gradient_and_divergence_of_a_rotated_one_vanish_on_the_plane():
    grid = Grid.plane(3.0, 2.0, (12, 18), periodic=False)
    f = torch.randn(12, 18, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    fx, fy = op.gradient(f, grid, 4)
    assert op.curl(fx, fy, grid, 4).abs().max() < 1e-12 and op.divergence(-fy, fx, grid, 4).abs().max() < 1e-12


def test_solid_rotation_and_integrals_on_the_sphere(tools):
    """u = U cos(lat) has vorticity 2 U sin(lat) / a and no divergence; the integral of a divergence is close to
    zero.
    """
    s = tools.fields(tools.latitudes("gaussian", 64), np.arange(128) * 2.8125)
    lat = torch.tensor(np.deg2rad(s.grid.latitude))[:, None]
    u = (20 * torch.cos(lat)).expand(64, 128)
    assert torch.allclose(
        op.curl(u, 0 * u, s.grid, 4), (40 * torch.sin(lat) / s.grid.radius).expand(64, 128), atol=1e-11
    )
    assert op.divergence(u, 0 * u, s.grid, 4).abs().max() < 1e-20
    div = op.divergence(s.u, s.v, s.grid, 4)
    weights = torch.tensor(s.grid.area_weights)
    assert abs(float((div * weights).mean())) < 1e-4 * float((div.square() * weights).mean().sqrt())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("lead", [(), (3,), (2, 1, 3)])
@pytest.mark.parametrize("name", NAMES)
def test_any_batch_shape_and_dtype(tools, name, lead, dtype):
    grid = Grid(np.linspace(60, 30, 8), np.arange(10.0))
    x = torch.randn(2, *lead, 8, 10, generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(dtype)
    fields = tuple(x) if name in ("divergence", "curl") else (x[0],)
    for order in (2, 4):
        value = getattr(op, name)(*fields, grid, order)
        assert value.shape == (*lead, 8, 10) and value.dtype == dtype
        index = (0,) * len(lead)
        alone = getattr(op, name)(*(f[index] for f in fields), grid, order)
        rounding = 16 * torch.finfo(dtype).eps * float(alone.abs().max())  # of sums in another order
        assert torch.allclose(value[index], alone, rtol=0, atol=rounding)


@pytest.mark.parametrize("order", [2, 4])
def test_gradcheck(order):
    grid = Grid(np.linspace(60, 30, 7), np.arange(8.0), radius=1.0)
    u, v = torch.randn(2, 7, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for function in (op.divergence, op.curl):
        assert torch.autograd.gradcheck(
            lambda a, b, f=function: f(a, b, grid, order), (u.requires_grad_(), v.requires_grad_())
        )
    assert torch.autograd.gradcheck(lambda a: op.laplacian(a, grid, order), (u.requires_grad_(),))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda g: op.ddx(torch.zeros(8, 9), g), ("(8, 9)", "(8, 10)")),
        (lambda g: op.ddx(torch.zeros(8, 10), g, 3), ("order 3", "2, 4")),
        (lambda g: op.ddx(torch.zeros(8, 10), g, "spectral"), ("periodic", "order=2")),
    ],
)
def test_errors_are_one_line(call, words):
    with pytest.raises(PhysLabError) as error:
        call(Grid(np.linspace(60, 30, 8), np.arange(10.0)))
    text = str(error.value)
    assert "\n" not in text and all(word in text for word in words), text

"""Terms and equations at points, against the same laws on a grid and against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from physlab.equations import momentum, operators, saturation
from physlab.errors import PhysLabError
from physlab.grid import Grid
from physlab.phydl import Blobs, Domain, Equation, State, atmosphere, candidates
from physlab.phydl import library as lib

DOMAIN = Domain((0.0, 20.0), (30.0, 50.0), (0.0, 1000.0))


def grid_state(fields: dict[str, torch.Tensor], grid: Grid) -> State:
    """The state of gridded fields, derivatives by finite differences of fourth order on the sphere."""
    lon, lat = np.meshgrid(grid.longitude, grid.latitude)
    points = torch.from_numpy(np.stack([lon.ravel(), lat.ravel(), np.zeros(lon.size)], -1))
    value = {k: f.flatten() for k, f in fields.items()}
    first = {
        k: torch.stack([operators.ddx(f, grid, 4).flatten(), operators.ddy(f, grid, 4).flatten(), 0 * f.flatten()])
        for k, f in fields.items()
    }
    return State(points, DOMAIN, value, first, {k: 0 * x for k, x in first.items()})


@pytest.fixture
def grid() -> Grid:
    return Grid(np.linspace(30, 50, 21), np.linspace(0, 20, 21))


@pytest.fixture
def fields(grid) -> dict[str, torch.Tensor]:
    lon, lat = (torch.from_numpy(a) for a in np.meshgrid(np.deg2rad(grid.longitude), np.deg2rad(grid.latitude)))
    return {
        "u": 20 + 5 * torch.sin(6 * lon) * torch.cos(4 * lat), "v": 8 * torch.cos(5 * lon), "q": 0.004 + 0.001 * lat,
        "z": 3e4 - 4e3 * torch.sin(lat) ** 2 + 300 * torch.cos(6 * lon), "t": 260 + 10 * torch.cos(3 * lat),
    }  # fmt: skip


def test_momentum_at_points_is_momentum_on_the_grid(grid, fields):
    state = grid_state(fields, grid)
    east, north = momentum.tendency(fields["u"], fields["v"], fields["z"], grid, order=4)
    for equation, wanted in zip(atmosphere(("u", "v", "z")), (east, north), strict=True):
        coefficients = torch.tensor([t.expected for t in equation.terms], dtype=torch.float64)
        assert torch.allclose(equation.columns(state) @ coefficients, wanted.flatten(), rtol=1e-9)


def test_geostrophic_wind_leaves_only_curvature_and_advection(grid):
    """With u from the slope of z, rotation and pressure gradient cancel."""
    latitude = torch.from_numpy(np.deg2rad(grid.latitude))[:, None].expand(grid.shape)
    z = -1e4 * torch.sin(latitude) ** 2
    u = -operators.ddy(z, grid, 4) / torch.from_numpy(grid.coriolis)
    state = grid_state({"u": u, "v": torch.zeros_like(u), "z": z}, grid)
    columns = lib.coriolis("v").of(state) - lib.pressure_gradient("v").of(state)
    assert float(columns.abs().max()) < 1e-9 * float(lib.coriolis("v").of(state).abs().max())


def test_saturation_against_a_published_value():
    """Bolton (1980): 23.37 hPa at 20 deg C, hence 14.6 g/kg at 1000 hPa."""
    q = saturation.humidity(torch.tensor([293.15], dtype=torch.float64), 1e5)
    assert float(q) == pytest.approx(0.622 * 23.37 / (1000 - 0.378 * 23.37), rel=2e-3)
    assert float(saturation.residual(q * 1.1, torch.tensor([293.15]), 1e5)) == pytest.approx(0.1 * float(q), rel=1e-5)
    assert float(saturation.residual(-q, torch.tensor([293.15]), 1e5)) == pytest.approx(-float(q), rel=1e-5)


def test_manufactured_solution_obeys_its_equation():
    """By autograd in float64: the residual of the exact field is rounding."""
    case = Blobs()
    points = case.domain.sample(200, torch.Generator().manual_seed(1), torch.float64).requires_grad_(True)

    value = dict(zip("uvc", case(points).unbind(1), strict=True))
    first = {k: torch.autograd.grad(f.sum(), points, create_graph=True)[0].T for k, f in value.items()}
    bends = [torch.autograd.grad(first["c"][a].sum(), points, retain_graph=True)[0][:, a] for a in range(3)]
    second = {k: torch.zeros_like(x) for k, x in first.items()} | {"c": torch.stack(bends)}
    state = State(points, case.domain, value, first, second)
    equation = case.equation
    truth = torch.tensor([case.truth[name] for name in equation.names], dtype=torch.float64)
    scale = float(equation.tendency(state).detach().square().mean().sqrt())
    assert float(equation.residual(state, truth).abs().max()) < 1e-10 * scale
    right = torch.tensor([case.truth.get(name, 0.0) for name in case.library.names], dtype=torch.float64)
    assert float(case.library.residual(state, right).abs().max()) < 1e-10 * scale


def test_every_term_has_a_name_and_a_unit(grid, fields):
    state = grid_state(fields, grid)
    terms = [t for e in atmosphere(tuple(fields)) for t in e.terms]
    terms += [*candidates("q"), lib.wave("z"), lib.moisture_source(), lib.product("u", "q")]
    assert all(t.name and t.unit for t in terms)
    assert all(bool(torch.isfinite(t.of(state)).all()) for t in terms)
    with pytest.raises(PhysLabError, match="no variable 'w'"):
        lib.relaxation("w").of(state)


def test_wrong_equations():
    with pytest.raises(PhysLabError, match="twice"):
        Equation("q", (lib.advection("q"), lib.advection("q")))
    with pytest.raises(PhysLabError, match="1 or 2"):
        Equation("q", (lib.advection("q"),), order=3)
    with pytest.raises(PhysLabError, match="the terms are"):
        Equation("q", (lib.advection("q"),), known={"f v": 1.0})

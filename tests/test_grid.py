"""The grid and the coarsening operator: closed forms, exact areas, conservation, one-line errors."""

import numpy as np
import pytest
import torch
import xarray as xr

from physlab.constants import EARTH_RADIUS, OMEGA
from physlab.errors import CoarseningError, FieldError
from physlab.grid import Grid, check_coarsening, coarsen, coarsening_residual, latitude_edges, refine

SPHERE = 4 * np.pi * EARTH_RADIUS**2


def gaussian(n: int) -> np.ndarray:
    return np.rad2deg(np.arcsin(np.polynomial.legendre.leggauss(n)[0]))


GLOBAL = {
    "regular, cells": np.linspace(-89.5, 89.5, 180),
    "regular, pole points, falling": np.linspace(90, -90, 121),
    "gaussian": gaussian(128),
    "gaussian, falling": gaussian(64)[::-1],
}


def one_line(error: pytest.ExceptionInfo, *words: str) -> None:
    text = str(error.value)
    assert "\n" not in text and all(word in text for word in words), text


# --- coarsen, refine --------------------------------------------------------------------------------------------------


def test_coarsen_is_the_block_mean_not_the_sum():
    x = torch.arange(16.0).reshape(4, 4)
    assert torch.equal(coarsen(x, 2), torch.tensor([[2.5, 4.5], [10.5, 12.5]]))


@pytest.mark.parametrize("factor", [1, 2, 3, 5])
@pytest.mark.parametrize("lead", [(), (2,), (2, 3, 1)])
def test_coarsen_against_loops(factor, lead):
    generator = torch.Generator().manual_seed(factor)
    x = torch.randn(*lead, 2 * factor, 3 * factor, generator=generator, dtype=torch.float64)
    w = torch.rand(2 * factor, 3 * factor, generator=generator, dtype=torch.float64) + 0.1
    plain, weighted = coarsen(x, factor), coarsen(x, factor, w)
    assert plain.shape == (*lead, 2, 3)
    for i in range(2):
        for j in range(3):
            s = (..., slice(i * factor, (i + 1) * factor), slice(j * factor, (j + 1) * factor))
            assert torch.allclose(plain[..., i, j], x[s].mean((-2, -1)), rtol=1e-14)
            expected = (x[s] * w[s]).sum((-2, -1)) / w[s].sum()
            assert torch.allclose(weighted[..., i, j], expected, rtol=1e-12, atol=1e-14)


def test_numpy_and_tensor_agree_and_keep_their_kind():
    x = np.random.default_rng(0).normal(size=(3, 6, 9))
    w = np.linspace(1, 2, 6)[:, None]
    for weights in (None, w):
        a, b = coarsen(x, 3, weights), coarsen(torch.tensor(x), 3, weights)
        assert isinstance(a, np.ndarray) and isinstance(b, torch.Tensor)
        assert np.allclose(a, b.numpy(), rtol=1e-13)
    assert np.array_equal(refine(x, 2), refine(torch.tensor(x), 2).numpy())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_dtype_is_kept_and_half_precision_weights_do_not_lose_digits(dtype):
    x = torch.full((8, 8), 3.0, dtype=dtype)
    assert coarsen(x, 4).dtype == dtype
    y = coarsen(x, 4, torch.linspace(0.5, 1.5, 8)[:, None])
    assert y.dtype == dtype and (y.double() - 3).abs().max() <= 4 * torch.finfo(dtype).eps


def test_integers_become_floating_point():
    assert torch.equal(coarsen(torch.tensor([[0, 1], [1, 1]]), 2), torch.tensor([[0.75]]))


def test_coarsen_undoes_refine_and_only_ratios_of_weights_matter():
    x = torch.randn(2, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    w = torch.rand(12, 15, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) + 0.1
    assert torch.allclose(coarsen(refine(x, 3), 3, w), x, rtol=1e-14)
    assert torch.equal(refine(x, 3)[..., ::3, ::3], x) and torch.equal(refine(x, 3)[..., 2::3, 1::3], x)
    fine = refine(x, 3) + torch.randn(2, 12, 15, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    assert torch.allclose(coarsen(fine, 3, w), coarsen(fine, 3, 7 * w), rtol=1e-13)


def test_refine_is_the_adjoint_of_coarsen():
    """<coarsen x, y> = <x, refine y> / N^2, and autograd agrees."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(8, 12, dtype=torch.float64, generator=generator, requires_grad=True)
    y = torch.randn(2, 3, dtype=torch.float64, generator=generator)
    (coarsen(x, 4) * y).sum().backward()
    assert torch.allclose(x.grad, refine(y, 4) / 16, rtol=1e-14)


def test_area_weights_conserve_the_integral():
    grid = Grid(gaussian(64), np.arange(128) * 2.8125)
    x = np.random.default_rng(1).normal(size=grid.shape)
    coarse = grid.coarsen(4)
    y = coarsen(x, 4, grid.cell_area)
    assert np.isclose((y * coarse.cell_area).sum(), (x * grid.cell_area).sum(), rtol=1e-12)
    assert abs((coarsen(x, 4) * coarse.cell_area).sum() / (x * grid.cell_area).sum() - 1) > 1e-6


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: coarsen(torch.zeros(1, 10, 12), 4), ("10 x 12", "factor 4", "8 x 12", "crop_to_multiple")),
        (lambda: coarsen(np.zeros((10, 12)), 5), ("10 x 12", "10 x 10")),
        (lambda: coarsen(torch.zeros(8, 8), 0), ("factor 0", "whole number")),
        (lambda: coarsen(torch.zeros(8, 8), 2.5), ("2.5",)),
        (lambda: coarsen(torch.zeros(8), 2), ("(..., H, W)",)),
        (lambda: coarsen(torch.zeros(8, 8), 2, torch.ones(4, 8)), ("(4, 8)", "(8, 8)")),
        (lambda: refine(torch.zeros(8, 8), -1), ("factor -1",)),
        (lambda: coarsening_residual(torch.zeros(8, 8), torch.zeros(2, 2), 2), ("(4, 4)", "(2, 2)", "factor")),
    ],
)
def test_errors_are_one_line_that_says_what_to_do(call, words):
    with pytest.raises(CoarseningError) as error:
        call()
    one_line(error, *words)


def test_check_coarsening_measures_and_refuses():
    fine = torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(0)) + 1
    coarse = coarsen(fine, 2)
    assert check_coarsening(fine, coarse, 2) < 1e-6
    assert check_coarsening(torch.zeros(4, 4), torch.zeros(2, 2), 2) == 0
    with pytest.raises(CoarseningError) as error:
        check_coarsening(fine, coarse * 1.001, 2)
    one_line(error, "block mean", "coarsen(fine, 2")
    assert check_coarsening(fine, coarse * 1.001, 2, tolerance=1e-2) == pytest.approx(1e-3 / 1.001, rel=1e-3)
    with pytest.raises(CoarseningError):
        check_coarsening(fine, coarse * torch.nan, 2)
    with pytest.raises(CoarseningError):  # a sample of the field is not its mean: bicubic or strided input is found out
        check_coarsening(fine, fine[..., ::2, ::2], 2)


# --- geometry ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", GLOBAL)
def test_cells_cover_the_sphere_exactly(name):
    grid = Grid(GLOBAL[name], np.arange(0, 360, 1.5))
    assert grid.periodic
    assert grid.cell_area.shape == grid.shape and grid.cell_area.min() > 0
    assert grid.cell_area.sum() == pytest.approx(SPHERE, rel=1e-13)
    assert grid.area_weights.mean() == pytest.approx(1, abs=1e-13)
    assert abs(grid.edges).max() == 90


def test_cell_area_is_the_difference_of_sines():
    grid = Grid([10.0, 11.0, 12.0], [0.0, 2.0])
    lower, upper = np.deg2rad([9.5, 10.5, 11.5]), np.deg2rad([10.5, 11.5, 12.5])
    expected = EARTH_RADIUS**2 * np.deg2rad(2.0) * (np.sin(upper) - np.sin(lower))
    assert np.allclose(grid.cell_area, expected[:, None], rtol=1e-13)


def test_rows_may_run_either_way():
    lat, lon = np.linspace(20, 60, 9), np.arange(5.0)
    up, down = Grid(lat, lon), Grid(lat[::-1], lon)
    for name in ("cell_area", "dx", "dy", "coriolis"):
        assert np.allclose(getattr(up, name), getattr(down, name)[::-1], rtol=1e-14), name
        assert name == "coriolis" or (getattr(up, name) > 0).all()


def test_pole_only_where_no_further_row_fits():
    assert latitude_edges(np.array([89.25, 89.5, 89.75]))[-1] == 89.875  # a crop of a 0.25 degree grid with pole points
    assert latitude_edges(np.array([89.5, 89.75, 90.0]))[-1] == 90
    assert latitude_edges(np.array([-87.5, -82.5, -77.5]))[0] == -90
    assert latitude_edges(np.array([2.0, 1.0, 0.0]))[-1] == -0.5


def test_spacing_and_coriolis():
    grid = Grid(np.array([0.0, 30.0, 60.0]), np.arange(0, 360, 10.0))
    assert np.allclose(grid.dx[:, 0] / grid.dx[0], [1, np.sqrt(0.75), 0.5])
    assert grid.dx[0, 0] * 36 == pytest.approx(2 * np.pi * EARTH_RADIUS)
    assert grid.dy[1, 0] == pytest.approx(EARTH_RADIUS * np.pi / 6)
    assert grid.coriolis[1, 0] == pytest.approx(OMEGA) and grid.coriolis[0, 0] == 0


def test_coarse_cells_are_unions_of_fine_cells():
    grid = Grid(gaussian(32), np.arange(64) * 5.625)
    coarse = grid.coarsen(4)
    blocks = grid.cell_area.reshape(8, 4, 16, 4).sum((1, 3))
    assert np.allclose(coarse.cell_area, blocks, rtol=1e-13) and coarse.periodic
    assert grid.coarsen(2).coarsen(2) == coarse
    with pytest.raises(CoarseningError):
        grid.coarsen(5)


def test_longitude_may_cross_the_date_line_and_periodicity_is_found():
    lat = np.arange(10.0, 20)
    assert Grid(lat, [350.0, 355.0, 0.0, 5.0]).dlon == 5
    assert not Grid(lat, [350.0, 355.0, 0.0, 5.0]).periodic
    assert Grid(lat, np.roll(np.arange(0, 360, 2.5), 7)).periodic
    assert not Grid(lat, np.arange(0, 357.5, 2.5)).periodic


def test_crop_keeps_the_cells():
    grid = Grid(gaussian(32), np.arange(64) * 5.625)
    part = grid.crop(slice(4, 12), slice(8, 40))
    assert part.shape == (8, 32) and not part.periodic
    assert np.allclose(part.cell_area, grid.cell_area[4:12, 8:40], rtol=1e-13)
    with pytest.raises(FieldError) as error:
        grid.crop(slice(0, 8, 2))
    one_line(error, "without a step")


def test_plane():
    grid = Grid.plane(1000.0, 500.0, (6, 8))
    assert grid.shape == (6, 8) and grid.periodic and (grid.cell_area == 5e5).all() and (grid.coriolis == 0).all()
    assert not Grid.plane(1.0, 1.0, (6, 8), periodic=False).periodic
    assert grid.coarsen(2).dx[0, 0] == 2000 and grid.coarsen(2).periodic and not grid.crop(slice(0, 4)).periodic


def test_equality_and_immutability():
    a, b = (Grid(np.arange(5.0), np.arange(6.0)) for _ in range(2))
    assert a == b and hash(a) == hash(b) and a != Grid(np.arange(5.0) + 1, np.arange(6.0)) and a != "grid"
    with pytest.raises(ValueError):
        a.latitude[0] = 3.0


@pytest.mark.parametrize("names", [("latitude", "longitude"), ("lat", "lon"), ("nav_lat", "nav_lon")])
def test_from_dataset(names):
    lat, lon = np.linspace(55, 45, 5), np.arange(0, 3, 0.5)
    ds = xr.Dataset({"t": (names, np.zeros((5, 6)))}, {names[0]: lat, names[1]: lon})
    assert Grid.from_dataset(ds) == Grid.from_dataset(ds["t"]) == Grid(lat, lon)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((np.zeros((3, 3)), np.arange(3.0)), ("one-dimensional",)),
        ((np.arange(3.0), np.array([0.0, 1.0, 3.0])), ("longitude", "evenly")),
        ((np.array([0.0, 2.0, 1.0]), np.arange(3.0)), ("latitude", "sort")),
        ((np.array([80.0, 90.0, 100.0]), np.arange(3.0)), ("-90 to 90",)),
        ((np.arange(3.0), np.arange(3.0), np.arange(3.0)), ("edges",)),
    ],
)
def test_impossible_grids(arguments, words):
    with pytest.raises(FieldError) as error:
        Grid(*arguments)
    one_line(error, *words)

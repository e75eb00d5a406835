"""Projected grids: places and areas against formulas and geodesics, and the same places when refined and coarsened."""

from __future__ import annotations

import numpy as np
import pyproj
import pytest
import xarray as xr

from physlab import projection
from physlab.constants import EARTH_RADIUS
from physlab.downscale.base import refine_grid
from physlab.errors import FieldError
from physlab.grid import Grid, ProjectedGrid, coarsen

ROTATED = {"grid_mapping_name": "rotated_latitude_longitude", "grid_north_pole_latitude": 39.25,
           "grid_north_pole_longitude": -162.0}  # fmt: skip
LAEA = projection.named("EPSG:3035")
LAMBERT = {"grid_mapping_name": "lambert_conformal_conic", "standard_parallel": [30.0, 60.0],
           "longitude_of_central_meridian": -97.0, "latitude_of_projection_origin": 40.0,
           "earth_radius": 6370000.0}  # fmt: skip
AXES = {
    "rotated": (ROTATED, np.arange(-8.0, 8, 1), np.arange(-10.0, 10, 1)),
    "laea": (LAEA, 3e6 + 2.5e4 * np.arange(16), 4e6 + 2.5e4 * np.arange(20)),
    "lambert": (LAMBERT, 3e4 * np.arange(-8.0, 8), 3e4 * np.arange(-10.0, 10)),
}


@pytest.fixture(params=AXES)
def grid(request) -> ProjectedGrid:
    mapping, y, x = AXES[request.param]
    return ProjectedGrid(y, x, mapping=mapping)


def test_a_rotated_pole_is_turned_as_the_formula_says() -> None:
    rlat, rlon, pole = np.deg2rad(-8.0), np.deg2rad(10.0), np.deg2rad(39.25)
    latitude = np.arcsin(np.sin(rlat) * np.sin(pole) + np.cos(rlat) * np.cos(rlon) * np.cos(pole))
    east = np.arctan2(
        np.cos(rlat) * np.sin(rlon), np.sin(pole) * np.cos(rlat) * np.cos(rlon) - np.sin(rlat) * np.cos(pole)
    )
    got = projection.positions(projection.crs_of(ROTATED), np.array([-8.0]), np.array([10.0]))
    np.testing.assert_allclose(got.ravel(), [np.rad2deg(latitude), 18.0 + np.rad2deg(east)], atol=1e-6)


def test_areas_are_those_of_the_ellipsoid_by_geodesics() -> None:
    for mapping in (LAEA, LAMBERT):
        crs = projection.crs_of(mapping)
        geod = crs.get_geod()
        assert geod is not None
        origin = (3e6, 4e6) if mapping is LAEA else (-2e5, 1e5)
        y, x = origin[0] + 5e4 * np.arange(4), origin[1] + 5e4 * np.arange(5)
        areas = projection.areas(crs, y, x)
        side = np.linspace(0, 1, 40)
        for j, i in ((0, 0), (2, 3)):
            yy = y[j] + 5e4 * np.r_[0 * side, side, 0 * side + 1, side[::-1]]
            xx = x[i] + 5e4 * np.r_[side, 0 * side + 1, side[::-1], 0 * side]
            lon, lat = pyproj.Transformer.from_crs(crs, crs.geodetic_crs, always_xy=True).transform(xx, yy)
            assert areas[j, i] == pytest.approx(abs(geod.polygon_area_perimeter(lon, lat)[0]), rel=2e-6)


def test_areas_of_a_rotated_sphere_are_those_of_a_sphere() -> None:
    whole = projection.areas(projection.crs_of(ROTATED), np.linspace(-90, 90, 37), np.linspace(-180, 180, 73))
    assert whole.sum() == pytest.approx(4 * np.pi * EARTH_RADIUS**2)


def test_places_give_back_the_axes_and_the_areas(grid) -> None:
    crs = projection.crs_of(grid.mapping)
    y, x = projection.axes(crs, *grid.places.astype("float32"))
    np.testing.assert_allclose(y, grid.latitude, atol=2e-3 * abs(np.diff(grid.latitude)[0]))
    np.testing.assert_allclose(x, grid.longitude, atol=2e-3 * abs(grid.dlon))
    assert (
        projection.axes(crs, grid.places[0] + np.random.default_rng(0).normal(0, 0.3, grid.shape), grid.places[1])
        is None
    )
    without = ProjectedGrid(np.arange(16.0), np.arange(20.0), places=grid.places)
    ratio = without.areas / grid.areas  # sphere and ellipsoid differ by a few parts in a thousand
    assert np.abs(ratio / ratio.mean() - 1).max() < 4e-3 and abs(ratio.mean() - 1) < 5e-3


@pytest.mark.parametrize("known", [True, False])
def test_refined_cells_add_up_and_coarsen_to_the_same_grid(grid, known) -> None:
    if not known:
        grid = ProjectedGrid(np.arange(16.0), np.arange(20.0), places=grid.places)
    fine = grid.refine(4)
    assert fine.shape == (64, 80) and fine.coarsen(4) == grid and not fine.periodic
    np.testing.assert_allclose(fine.coarsen(4).areas, grid.areas, rtol=1e-12)
    np.testing.assert_allclose(fine.coarsen(4).latitude, grid.latitude, atol=1e-9 * np.abs(grid.latitude).max())
    half = coarsen(fine.places[0], 4)
    np.testing.assert_allclose(half, grid.places[0], atol=0.02)
    assert grid.crop(slice(2, 6), slice(3, 9)).areas.shape == (4, 6)


def test_a_data_set_and_back(grid) -> None:
    ds = xr.Dataset({"t": (("y", "x"), np.zeros(grid.shape))}, grid.coordinates())
    back = Grid.from_dataset(ds)
    assert isinstance(back, ProjectedGrid) and back == grid and Grid.from_dataset(ds["t"]) == grid
    assert np.array_equal(back.areas, grid.areas) and back.coriolis.shape == grid.shape
    spacing = np.abs([grid.dlon * (111195 if grid.rotated else 1)])
    np.testing.assert_allclose(grid.dx, np.broadcast_to(spacing, grid.dx.shape), rtol=0.12)


def test_maps_that_are_not_understood_are_refused_in_words() -> None:
    for attrs, words in [
        ({"grid_mapping_name": "rotated_latitude_longitude"}, "grid_north_pole_latitude is missing"),
        ({"grid_mapping_name": "potato"}, "potato"),
        ({}, "without a name"),
    ]:
        with pytest.raises(FieldError, match=words) as error:
            projection.crs_of(attrs)
        assert "EPSG:3035" in str(error.value) and "\n" not in str(error.value)
    with pytest.raises(FieldError, match="names no map"):
        projection.named("EPSG:1")
    with pytest.raises(FieldError, match="no map and no places"):
        ProjectedGrid(np.arange(3.0), np.arange(3.0))


def test_fine_longitudes_in_single_precision_are_even() -> None:
    longitude = (225 + 0.01 * np.arange(1000)).astype("float32")
    for values in (longitude, longitude.astype(float)):
        grid = Grid(np.arange(40.0, 44), values)
        assert grid.dlon == pytest.approx(0.01, rel=1e-4)
        assert refine_grid(grid, 4).coarsen(4) == grid
    uneven = np.r_[np.arange(0.0, 5), 5.2, np.arange(6.0, 9)]
    with pytest.raises(FieldError, match="evenly"):
        Grid(np.arange(40.0, 44), uneven)

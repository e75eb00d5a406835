"""Downscalers on fields of the user: names, grids, cell areas, tiles, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr

from physlab.downscale import CNN, Bicubic, BicubicConstrained, Downscaler, Interpolate, Nearest, base, refine_grid
from physlab.errors import FieldError, PhysLabError
from physlab.grid import Grid, coarsen
from physlab.nn import CompactResNet


def cube(
    latitude: np.ndarray, longitude: np.ndarray, time: int = 2, name: str = "tcw", units: str = "kg m-2", seed: int = 0
) -> xr.Dataset:
    values = np.random.default_rng(seed).uniform(1, 60, (time, latitude.size, longitude.size)).astype(np.float32)
    coords = {"time": np.datetime64("2020-01-01", "ns") + np.arange(time) * np.timedelta64(6, "h"),
              "lat": ("lat", latitude, {"units": "degrees_north"}),
              "lon": ("lon", longitude, {"units": "degrees_east"})}  # fmt: skip
    return xr.Dataset({name: (("time", "lat", "lon"), values, {"units": units})}, coords, {"institution": "a test"})


REGION = cube(np.arange(60.0, 40.0, -2.0), np.arange(-10.0, 14.0, 2.0))
GLOBE = cube(np.linspace(-87.5, 87.5, 36), np.arange(0.0, 360.0, 10.0))


def network(factor: int = 2, seed: int = 1, **frame) -> CompactResNet:
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # whatever was drawn before
        made = CompactResNet(factor, channels=6, blocks=1, skip="bicubic", shift=0.5, spread=0.3, gain=0.2, **frame)
        made.last.weight.normal_(generator=torch.Generator().manual_seed(seed)).mul_(0.3)
    return made


METHODS = {
    "nearest": Nearest(2),
    "bicubic": Bicubic(2),
    "bicubic+add": BicubicConstrained(2),
    "bicubic+mult": BicubicConstrained(2, "mult"),
    "cnn": CNN(network(), "softmax", scale=60.0, variable="tcw", name="cnn"),
}


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_result_sits_on_the_refined_grid_and_conserves(method: Downscaler) -> None:
    assert isinstance(method, Downscaler)
    for coarse in (REGION, GLOBE):
        fine = method.downscale(coarse)
        assert fine["tcw"].dims == ("time", "latitude", "longitude") and fine["tcw"].attrs["units"] == "kg m-2"
        assert fine.sizes["latitude"] == 2 * coarse.sizes["lat"] and fine.attrs["institution"] == "a test"
        grid = Grid.from_dataset(fine)
        np.testing.assert_allclose(grid.coarsen(2).latitude, coarse["lat"], atol=1e-9)
        np.testing.assert_allclose(grid.coarsen(2).longitude, coarse["lon"], atol=1e-9)
        np.testing.assert_array_equal(fine["time"], coarse["time"])
        if method.name != "bicubic-x2":
            mean = coarsen(fine["tcw"].values.astype(float), 2, refine_grid(Grid.from_dataset(coarse), 2).area_weights)
            np.testing.assert_allclose(mean, coarse["tcw"].values, rtol=2e-6)


def test_refined_cells_fill_the_coarse_cell() -> None:
    for coarse in (REGION, GLOBE):
        grid = Grid.from_dataset(coarse)
        for factor in (2, 3, 4):
            fine = refine_grid(grid, factor)
            area = coarsen(fine.cell_area, factor) * factor**2
            np.testing.assert_allclose(area, grid.cell_area, rtol=1e-12)
    assert refine_grid(Grid.from_dataset(GLOBE), 4).periodic


def test_cell_areas_matter() -> None:
    """Near the pole the two rows of a block differ in area: a plain mean would not conserve."""
    fine = METHODS["bicubic+add"].downscale(GLOBE)["tcw"].values.astype(float)
    assert np.abs(coarsen(fine, 2) - GLOBE["tcw"].values)[:, 0].max() > 0.05


@pytest.mark.parametrize("name", ["bicubic+add", "cnn"])
def test_global_field_has_no_seam(name: str) -> None:
    fine = METHODS[name].downscale(GLOBE)["tcw"].values
    turned = METHODS[name].downscale(GLOBE.roll(lon=7, roll_coords=False))["tcw"].values
    np.testing.assert_allclose(np.roll(turned, -14, -1), fine, atol=2e-4)


@pytest.mark.parametrize("field", [REGION, GLOBE], ids=["region", "globe"])
@pytest.mark.parametrize("name", ["bicubic+add", "cnn"])
def test_tiles_and_batches_do_not_show(name: str, field: xr.Dataset, monkeypatch) -> None:
    whole = METHODS[name].downscale(field)["tcw"].values
    monkeypatch.setattr(base, "TILE", 7)
    monkeypatch.setattr(base, "HALO", 6)
    monkeypatch.setattr(base, "BATCH", 1)
    np.testing.assert_allclose(METHODS[name].downscale(field)["tcw"].values, whole, atol=2e-4)


def test_levels_members_and_single_fields() -> None:
    levels = (
        REGION["tcw"].expand_dims(member=[0, 1, 2], level=[500, 850]).transpose("member", "time", "level", "lat", "lon")
    )
    fine = METHODS["bicubic+add"].downscale(levels.assign_attrs(units="K").rename("t"))
    assert fine["t"].dims == ("member", "time", "level", "latitude", "longitude")
    np.testing.assert_allclose(
        fine["t"][1, 0, 1].values, METHODS["bicubic+add"].downscale(REGION)["tcw"][0].values, rtol=1e-6
    )
    single = METHODS["cnn"].downscale(REGION["tcw"].isel(time=0, drop=True).rename("anything"))
    np.testing.assert_allclose(
        single["tcw"].values.squeeze(), METHODS["cnn"].downscale(REGION)["tcw"][0].values, rtol=1e-6
    )


def test_predict_takes_any_batch_shape_and_precision() -> None:
    model = METHODS["cnn"]
    coarse = torch.rand(2, 3, 1, 4, 5, generator=torch.Generator().manual_seed(0)) * 50
    fine = model.predict(coarse)
    assert fine.shape == (2, 3, 1, 8, 10)
    torch.testing.assert_close(model.predict(coarse[1, 2, 0]), fine[1, 2, 0])
    exact = model.predict(coarse.double())
    assert exact.dtype == torch.float64 and (coarsen(exact, 2) - coarse.double()).abs().max() < 1e-12 * 50
    half = model.predict(coarse.half())
    assert half.dtype == torch.float16
    torch.testing.assert_close(half.float(), fine, rtol=2e-2, atol=0.2)


def test_refused_fields() -> None:
    model = METHODS["cnn"]
    holes = REGION.copy(deep=True)
    holes["tcw"][0, 3, 4] = np.inf
    cases = [
        (model, holes, "1 infinite values .* time=0, latitude=3, longitude=4"),
        (model, REGION.where(REGION.tcw < 0), "no value at all"),
        (model, REGION.rename(lat="north", lon="east").drop_vars(["north", "east"]), "latitude"),
        (model, REGION.rename(tcw="q"), "no variable 'tcw'"),
        (Nearest(2), REGION[["time"]].assign(a=("time", [1.0, 2.0])), "latitude"),
        (
            CNN(network(), "add", 5.0, "t2m", "uk"),
            cube(np.arange(4.0), np.arange(4.0), name="t2m", units="degC"),
            "add 273.15",
        ),
        (
            CNN(network(), "add", 5.0, "t2m", "uk"),
            cube(np.arange(4.0), np.arange(4.0), name="t2m", units="K"),
            "kelvin",
        ),
    ]
    for method, field, words in cases:
        with pytest.raises(FieldError, match=words) as error:
            method.downscale(field)
        assert "\n" not in str(error.value)
    with pytest.raises(PhysLabError, match="nearest, bicubic"):
        Interpolate("spline", 2)


def test_map_is_bound_to_its_place() -> None:
    latitude, longitude = np.arange(59.5, 39.0, -1.0)[:20], np.arange(-10.5, 13.0, 1.0)
    grid = {"latitude": latitude.tolist(), "longitude": longitude.tolist()}
    model = CNN(network(domain=(10, 12), maps=2), "add", 60.0, "tcw", "here", grid=grid)
    here = cube(latitude.reshape(-1, 2).mean(1), longitude.reshape(-1, 2).mean(1))
    fine = model.downscale(here)
    np.testing.assert_allclose(fine["latitude"], latitude)
    for wrong, words in ((here.assign_coords(lon=here["lon"] + 1), "pass that domain"),
                         (here.isel(lat=slice(0, 9)), "bicubic.add-x2")):  # fmt: skip
        with pytest.raises(FieldError, match=words):
            model.downscale(wrong)
    turned = model.downscale(here.isel(lat=slice(None, None, -1)))  # flipped on the way in and on the way out
    xr.testing.assert_equal(turned.isel(latitude=slice(None, None, -1)), fine)
    np.testing.assert_array_equal(turned["latitude"].encoding["edges"], fine["latitude"].encoding["edges"][::-1])
    counted = model.downscale(here.assign_coords(lon=here["lon"] % 360))
    np.testing.assert_array_equal(counted["tcw"], fine["tcw"])


def test_training_grid_is_recognised() -> None:
    """Gaussian latitudes are not evenly spaced: dividing coarse cells evenly would miss them."""
    from numpy.polynomial.legendre import leggauss

    latitude = np.degrees(np.arcsin(leggauss(32)[0]))
    model = CNN(network(), "add", 60.0, "tcw", "gauss", grid={"latitude": latitude.tolist()})
    coarse = cube(Grid(latitude, np.arange(4.0)).coarsen(2).latitude, np.arange(8.0))
    np.testing.assert_allclose(model.downscale(coarse)["latitude"], latitude)
    assert not np.allclose(Bicubic(2).downscale(coarse)["latitude"], latitude, atol=1e-3)


@pytest.mark.parametrize("step", [0.01, 0.1, 0.25])
def test_columns_rounded_in_single_precision_are_refined_evenly(step) -> None:
    longitude = np.float32(230) + np.arange(20, dtype=np.float32) * np.float32(step)
    coarse = xr.Dataset(
        {"t2m": (("latitude", "longitude"), np.full((16, 20), 280.0), {"units": "K"})},
        {"latitude": (40 + step * np.arange(16)).astype(np.float32), "longitude": longitude},
    )
    fine = BicubicConstrained(2).downscale(coarse)["longitude"].values
    assert np.allclose(np.diff(fine), step / 2, atol=4e-6)
    assert np.allclose(fine.reshape(-1, 2).mean(1), longitude, atol=3e-5)

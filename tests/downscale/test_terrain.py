"""Fields over terrain: coarsened or of one's own, static fields, parts in time, nature runs, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr

from physlab.data.surface import open_run
from physlab.downscale.static import static_fields
from physlab.downscale.terrain import TerrainFields, ground_of, hold_out
from physlab.errors import FieldError, PhysLabError
from physlab.grid import Grid, coarsen

DRIVERS = ("t_low", "u_low", "v_low")


def cube(shape: tuple[int, int] = (16, 24), times: int = 4, seed: int = 0, step: float = 1.0) -> xr.Dataset:
    """Fine fields between 50 and 66 degrees north, where the rows of a block differ in area."""
    rng, dims = np.random.default_rng(seed), ("time", "lat", "lon")
    data = {name: (dims, np.float32(mean + spread * rng.standard_normal((times, *shape))))
            for name, mean, spread in (("t_low", 280, 8), ("u_low", 2, 5), ("v_low", 0, 5))}  # fmt: skip
    coords = {"time": np.datetime64("2001-01-01", "ns") + np.arange(times) * np.timedelta64(6, "h"),
              "lat": 50.5 + step * np.arange(shape[0]), "lon": 80.5 + step * np.arange(shape[1])}  # fmt: skip
    return xr.Dataset(data, coords)


def means(fine: xr.Dataset, factor: int = 4, weigh: bool = True) -> xr.Dataset:
    """Block means on the coarse grid."""
    grid = Grid.from_dataset(fine)
    rough, area = grid.coarsen(factor), grid.area_weights if weigh else None
    data = {n: (da.dims, coarsen(da.values.astype(float), factor, area)) for n, da in fine.data_vars.items()}
    return xr.Dataset(data, {"time": fine["time"], "lat": rough.latitude, "lon": rough.longitude})


@pytest.mark.slow
def test_the_truth_is_coarsened_by_area() -> None:
    fine = cube()
    made = TerrainFields.of(fine, "t_low", DRIVERS, 4)
    assert len(made) == 4 and made.fine.shape == (4, 3, 16, 24) and made.coarse.shape == (4, 3, 4, 6)
    assert made.drivers == DRIVERS and made.factor == 4 and made.consistent and not made.own
    np.testing.assert_allclose(made.coarse[:, 1], means(fine)["u_low"], atol=1e-5)
    assert np.abs(made.coarse[:, 0] - means(fine, weigh=False)["t_low"].values).max() > 0.02
    np.testing.assert_array_equal(made.truth[:, 0], fine["t_low"])
    np.testing.assert_array_equal(made.wind[0], fine["u_low"])
    np.testing.assert_array_equal(made.wind[1], fine["v_low"])
    np.testing.assert_array_equal(made.time, fine["time"])
    grid = Grid.from_dataset(fine)
    np.testing.assert_allclose(made.area.expand(16, 24), grid.area_weights, rtol=1e-6)
    assert made.statics == ("elevation", "land", "latitude") and made.static.shape == (3, 16, 24)
    assert torch.equal(made.static, static_fields(made.statics, grid.latitude, grid.longitude))
    assert torch.equal(made.height, 1000 * made.static[0]) and made.height.max() > 500


def test_the_variable_alone() -> None:
    made = TerrainFields.of(cube(), "t_low", factor=2, statics=("latitude",))
    assert made.drivers == ("t_low",) and made.fine.shape == (4, 1, 16, 24) and made.wind is None
    assert not made.height.any() and made.height.shape == (16, 24)
    assert TerrainFields.of(cube(), "t_low", factor=2, statics=()).static.shape == (0, 16, 24)


def test_coarse_files_of_ones_own_are_block_means_or_not() -> None:
    fine = cube()
    same = TerrainFields.of(fine, "t_low", DRIVERS, 4, coarse=means(fine))
    assert same.consistent and torch.allclose(same.coarse, TerrainFields.of(fine, "t_low", DRIVERS, 4).coarse)
    other = means(fine)
    other["t_low"] = other["t_low"] + 0.1
    made = TerrainFields.of(fine, "t_low", DRIVERS, 4, coarse=other)
    assert not made.consistent and made.wind is not None
    np.testing.assert_allclose(made.coarse[:, 0], other["t_low"], atol=1e-4)
    assert not TerrainFields.of(fine, "t_low", DRIVERS, 4, coarse=means(fine, weigh=False)).consistent
    alone = TerrainFields.of(fine[["t_low"]], "t_low", DRIVERS, 4, coarse=means(fine))  # the truth lacks the wind
    assert alone.fine.shape[1] == 1 and alone.wind is None and alone.coarse.shape[1] == 3
    near = means(fine).assign_coords(lat=means(fine)["lat"] + 0.3)  # a Gaussian grid is not quite that of the means
    assert TerrainFields.of(fine, "t_low", DRIVERS, 4, coarse=near).coarse.shape == (4, 3, 4, 6)


def test_fields_that_do_not_belong_together_are_refused() -> None:
    fine, rough = cube(), means(cube())
    turned = rough.isel(lat=slice(None, None, -1))
    late = rough.assign_coords(time=rough["time"] + np.timedelta64(6, "h"))
    for coarse, words in (
        (rough.isel(time=slice(0, 3)), r"coarse fields are \(3, 3, 4, 6\)"),
        (rough.isel(lon=slice(0, 5)), r"coarse fields are \(4, 3, 4, 5\)"),
        (turned, "latitude"),
        (rough.assign_coords(lon=rough["lon"] + 4), "longitude"),
        (late, "times"),
        (rough.drop_vars("u_low"), "no variable u_low"),
        (rough.where(rough["t_low"] > 279), "NaN"),
    ):
        with pytest.raises(FieldError, match=words):
            TerrainFields.of(fine, "t_low", DRIVERS, 4, coarse=coarse)
    with pytest.raises(FieldError, match="the first one must be t_low"):
        TerrainFields.of(fine, "t_low", ("u_low", "t_low"))
    with pytest.raises(FieldError, match="no variable q"):
        TerrainFields.of(fine, "t_low", ("t_low", "q"))
    with pytest.raises(FieldError, match="NaN"):
        TerrainFields.of(fine.where(fine["t_low"] > 270), "t_low")
    with pytest.raises(PhysLabError, match="unknown static field 'slope': choose from elevation, land, latitude"):
        TerrainFields.of(fine, "t_low", statics=("slope",))


def test_a_grid_that_does_not_divide_is_cropped_at_its_end() -> None:
    fine = cube((18, 27))
    made = TerrainFields.of(fine, "t_low", DRIVERS, 4)
    whole = TerrainFields.of(fine.isel(lat=slice(0, 16), lon=slice(0, 24)), "t_low", DRIVERS, 4)
    assert torch.equal(made.fine, whole.fine) and torch.equal(made.coarse, whole.coarse) and made.grid == whole.grid
    rough = means(fine.isel(lat=slice(0, 16), lon=slice(0, 24)))
    assert TerrainFields.of(fine, "t_low", DRIVERS, 4, coarse=rough).consistent
    elevation = (("lat", "lon"), np.arange(18.0 * 27).reshape(18, 27))
    ground = xr.Dataset({"elevation": elevation}, fine.drop_vars("time").coords)
    cropped = TerrainFields.of(fine, "t_low", DRIVERS, 4, static=ground, statics=("elevation",))
    np.testing.assert_array_equal(cropped.static[0], ground["elevation"][:16, :24])


def test_static_fields_of_ones_own() -> None:
    fine = cube()
    rng = np.random.default_rng(5)
    ground = xr.Dataset({n: (("lat", "lon"), rng.random((16, 24))) for n in ("roughness", "elevation")},
                        {"lat": fine["lat"], "lon": fine["lon"]})  # fmt: skip
    names = ("latitude", "roughness", "land", "elevation")
    made = TerrainFields.of(fine, "t_low", statics=names, static=ground)
    assert made.own and made.statics == names
    known = static_fields(("latitude", "land"), made.grid.latitude, made.grid.longitude)
    expected = [known[0], ground["roughness"].values, known[1], ground["elevation"].values]
    for got, want in zip(made.static, expected, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-6)
    np.testing.assert_allclose(made.height, 1000 * ground["elevation"].values, rtol=1e-6)
    unused = TerrainFields.of(fine, "t_low", statics=("latitude",), static=ground)
    assert not unused.own
    with pytest.raises(FieldError, match=r"static fields have \(16, 20\) points, the fine fields \(16, 24\)"):
        TerrainFields.of(fine, "t_low", statics=names, static=ground.isel(lon=slice(0, 20)))
    for moved, words in ((ground.isel(lat=slice(None, None, -1)), "latitude"),
                         (ground.assign_coords(lon=ground["lon"] + 3), "longitude")):  # fmt: skip
        with pytest.raises(FieldError, match=words):
            TerrainFields.of(fine, "t_low", statics=names, static=moved)
    turned = ground.assign_coords(lon=ground["lon"] - 360)  # the same place
    assert torch.equal(TerrainFields.of(fine, "t_low", statics=names, static=turned).static, made.static)


def test_ground_of_a_dataset() -> None:
    orog = (("time", "lat", "lon"), np.full((2, 3, 4), 1500.0))
    ds = xr.Dataset({"orog": orog, "land": (("lat", "lon"), np.ones((3, 4)))},
                    {"lat": np.arange(3.0), "lon": np.arange(4.0), "time": np.arange(2)})  # fmt: skip
    made = ground_of(ds)
    assert set(made.data_vars) == {"elevation", "land"} and made["elevation"].dims == ("latitude", "longitude")
    assert (made["elevation"] == 1.5).all() and list(ground_of(ds[["land"]])) == ["land"]
    with pytest.raises(FieldError, match=r"no orog .* and no land among t"):
        ground_of(ds[["land"]].rename(land="t"))


@pytest.mark.parametrize("at", [slice(1, 3), [2, 0], np.array([True, False, True, False]), np.array([3])])
def test_take(at) -> None:
    fields = TerrainFields.of(cube(), "t_low", DRIVERS, 4)
    part, index = fields.take(at), np.arange(4)[at]
    assert len(part) == len(index) and part.static is fields.static and part.consistent
    for k, i in enumerate(index):
        assert torch.equal(part.fine[k], fields.fine[i]) and torch.equal(part.coarse[k], fields.coarse[i])
        assert part.time[k] == fields.time[i]


def test_a_single_time_and_none() -> None:
    fine = cube()
    for one in (fine.isel(time=0), fine.isel(time=0, drop=True)):
        made = TerrainFields.of(one, "t_low", DRIVERS, 4)
        assert len(made) == 1 and made.time.shape == (1,) and len(made.take(slice(0, 1))) == 1


def test_hold_out_leaves_a_gap() -> None:
    fields = TerrainFields.of(cube(times=20), "t_low", factor=4, statics=())
    train, held = hold_out(fields, 0.25, gap=24.0)
    np.testing.assert_array_equal(held.time, fields.time[15:])
    np.testing.assert_array_equal(train.time, fields.time[:12])  # the last one 24 hours before
    for share, gap in ((0.0, 24.0), (1.0, 24.0), (0.25, 1000.0)):
        with pytest.raises(FieldError, match="nothing is left of one of the two"):
            hold_out(fields, share, gap)
    with pytest.raises(FieldError, match="times do not rise"):
        hold_out(fields.take([1, 0, 2]), 0.3)
    with pytest.raises(FieldError, match="no times"):
        hold_out(TerrainFields.of(cube().drop_vars("time"), "t_low", factor=4, statics=()), 0.25)


# --- nature runs ------------------------------------------------------------------------------------------------------
def test_a_nature_run_every_six_hours(tmp_path) -> None:
    time = np.datetime64("2010-01-05", "ns") + np.arange(72) * np.timedelta64(1, "h")
    values = np.arange(72.0)[:, None, None] * np.ones((1, 2, 3))
    ds = xr.Dataset({"t_low": (("time", "latitude", "longitude"), values)},
                    {"time": time, "latitude": [0.0, 1.0], "longitude": [0.0, 1.0, 2.0]})  # fmt: skip
    for k in range(3):
        ds.isel(time=slice(24 * k, 24 * k + 24)).to_netcdf(tmp_path / f"surface-{k:05d}.nc")

    def hours(*arguments, **options) -> list[float]:
        with open_run(tmp_path, *arguments, **options) as run:
            return run["t_low"].values[:, 0, 0].tolist()

    assert hours() == list(range(0, 72, 6))
    assert hours((1, 2)) == [24, 30, 36, 42] and hours((2, 9)) == [48, 54, 60, 66]
    assert hours(every=3) == [0, 18, 36, 54] and hours((1, 3), 2) == [24, 36, 48, 60]
    with pytest.raises(PhysLabError, match=r"nothing in the days \(5, 9\): make a longer run"):
        open_run(tmp_path, (5, 9))
    with pytest.raises(PhysLabError, match="holds no nature run: make it by `physlab simulate"):
        open_run(tmp_path / "nowhere")


# --- static fields ----------------------------------------------------------------------------------------------------
def test_static_fields_are_what_is_under_a_place() -> None:
    """Tibet is high and land, the Pacific neither; the same from either side of the date line and from any order."""
    latitude, longitude = np.array([33.0, 34.0, 35.0]), np.arange(-180.0, 180.0, 1.0)
    elevation, land, sine = static_fields(("elevation", "land", "latitude"), latitude, longitude)
    tibet, pacific = 180 + 88, 180 - 170
    assert elevation[0, tibet] == pytest.approx(4.5, abs=0.3) and land[0, tibet] == 1.0
    assert elevation[0, pacific] < 0.01 and land[0, pacific] == 0.0
    np.testing.assert_allclose(sine[:, 7], np.sin(np.deg2rad(latitude)), rtol=1e-6)
    again = static_fields(("land", "elevation"), latitude[::-1].copy(), np.arange(0.0, 360.0, 1.0))
    assert torch.allclose(again.flip(1).roll(180, -1), torch.stack([land, elevation]), atol=1e-5)
    assert 0 < ((land > 0) & (land < 1)).float().mean() < 0.2  # coasts
    assert static_fields((), latitude, longitude).shape == (0, 3, 360)
    patches = static_fields(("elevation", "latitude"), latitude, np.stack([longitude, longitude + 5]))
    assert patches.shape == (2, 2, 3, 360) and torch.allclose(patches[0, 0], elevation)
    with pytest.raises(PhysLabError, match="unknown static field 'slope'"):
        static_fields(("land", "slope"), latitude, longitude)

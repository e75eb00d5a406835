"""Places: regular grids in any order and counting, projected and curvilinear ones, and what is no grid."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import physlab
from physlab import projection
from physlab.data import account, region
from physlab.errors import FieldError
from physlab.grid import Grid, ProjectedGrid
from tests.data.ingest.made import LATITUDE, message

ROTATED = {"grid_mapping_name": "rotated_latitude_longitude", "grid_north_pole_latitude": 39.25,
           "grid_north_pole_longitude": -162.0}  # fmt: skip
LAEA = projection.named("EPSG:3035")


def value(latitude, longitude):
    """A field that tells its place."""
    return 280 + 0.1 * latitude + 5 * np.cos(np.deg2rad(longitude))


def regular(folder, latitude, longitude, dims=("latitude", "longitude"), **change) -> xr.Dataset:
    """A file on a regular grid."""
    field = value(np.asarray(latitude, float)[:, None], np.asarray(longitude, float)[None])
    ds = xr.Dataset(
        {"t2m": (dims, field, {"units": "K"})}, {dims[0]: (dims[0], latitude), dims[1]: (dims[1], longitude)}
    )
    ds = ds.assign_attrs(change)
    ds.to_netcdf(folder / "file.nc")
    return physlab.open_dataset(folder / "file.nc")


def right(ds: xr.Dataset) -> None:
    """The field tells the place where it lies."""
    expected = value(ds["latitude"], ds["longitude"])
    name = next(iter(ds.data_vars))
    np.testing.assert_allclose(ds[name].transpose(*expected.dims), expected, rtol=1e-6)
    Grid.from_dataset(ds)


# --- regular ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("latitude", "longitude", "words", "columns"),
    [
        ([50.0, 52, 51, 53], np.arange(8.0), "latitudes sorted", 8),
        (np.arange(-10.0, 10), np.r_[np.arange(170.0, 180), np.arange(-180.0, -170)], "counted on from 170 to 189", 20),
        (np.arange(-88.0, 90, 4), np.roll(np.arange(-180.0, 180, 4), 45), "counted on from 0 to 356", 90),
        (np.arange(-88.0, 90, 4), np.arange(0.0, 361, 4), "the last column", 90),
        (np.arange(-88.0, 90, 4), np.arange(-180.0, 181, 4), "the last column", 90),
        (np.arange(-88.0, 90, 4), np.r_[np.arange(0.0, 180, 4), np.arange(-180.0, 1, 4)], "the last column", 90),
        (np.arange(-90.0, 91, 4.5), np.arange(0.0, 360, 4.5), "nothing changed", 80),
        (np.arange(40.0, 48), np.arange(9.0, -1, -1), "nothing changed", 10),
        (np.arange(40.0, 48), (np.arange(9.0, -11, -1)) % 360, "counted on from 9 to -10", 20),
        (np.arange(40.0, 48), [3.0, 1, 2, 0, 4], "longitudes sorted", 5),
        (np.arange(40.0, 48), (230 + 0.01 * np.arange(500)).astype("f4"), "nothing changed", 500),
        (LATITUDE.astype("f4"), (359.5 + 0.01 * np.arange(100)).astype("f4") % np.float32(360), "counted on", 100),
        (np.arange(40, 48), np.arange(0, 10), "nothing changed", 10),
        (np.polynomial.legendre.leggauss(16)[0] * 90, np.arange(0, 360, 11.25), "nothing changed", 32),
    ],
)
def test_order_and_counting_of_regular_grids(latitude, longitude, words, columns, tmp_path) -> None:
    ds = regular(tmp_path, latitude, longitude)
    right(ds)
    assert words in account(ds) and ds.sizes["longitude"] == columns
    assert ds["latitude"].dtype.kind == ds["longitude"].dtype.kind == "f"
    assert Grid.from_dataset(ds).periodic == (columns in (90, 80, 32))
    assert "missing" not in account(ds)


def test_transposed_dims_and_names_without_meaning(tmp_path) -> None:
    ds = regular(tmp_path, LATITUDE, np.arange(10.0))
    turned = xr.open_dataset(tmp_path / "file.nc").transpose("longitude", "latitude")
    turned.to_netcdf(tmp_path / "t.nc")
    found = physlab.open_dataset(tmp_path / "t.nc")
    assert found["t2m"].dims == ("latitude", "longitude")
    right(found)
    turned.rename(latitude="y", longitude="x").to_netcdf(tmp_path / "yx.nc")
    with pytest.raises(FieldError, match=r"yx\.nc': no latitude coordinate: .*'latitude', 'x|y': 'longitude'\}"):
        physlab.open_dataset(tmp_path / "yx.nc")
    right(physlab.open_dataset(tmp_path / "yx.nc", mapping={"y": "latitude", "x": "longitude"}))
    assert ds.sizes == found.sizes


def test_coordinates_beside_their_dims_and_in_radians(tmp_path) -> None:
    latitude, longitude = LATITUDE, np.arange(10.0)
    field = value(latitude[:, None], longitude[None])
    xr.Dataset({"t2m": (("j", "i"), field, {"units": "K"}), "lat": ("j", latitude), "lon": ("i", longitude)}).to_netcdf(
        tmp_path / "a.nc"
    )
    right(physlab.open_dataset(tmp_path / "a.nc"))
    turned = {
        name: (name, np.deg2rad(axis), {"units": "radians"}) for name, axis in (("lat", latitude), ("lon", longitude))
    }
    xr.Dataset({"t2m": (("lat", "lon"), field, {"units": "K"})}, turned).to_netcdf(tmp_path / "b.nc")
    found = physlab.open_dataset(tmp_path / "b.nc")
    right(found)
    assert "radians" in account(found)


@pytest.mark.parametrize(
    ("latitude", "longitude", "words"),
    [
        ([50.0], np.arange(8.0), "one latitude, 50: a grid needs at least 2 rows"),
        (np.arange(40.0, 48), [5.0], "one longitude, 5"),
        ([50.0, 51, 51, 52], np.arange(8.0), "latitude 51 stands twice"),
        ([50.0, 51, 95, 52], np.arange(8.0), "latitude number 2 is 95"),
        ([50.0, np.nan, 52, 53], np.arange(8.0), "latitude number 1 is nan"),
        (np.arange(40.0, 48), [0.0, 1, 2, 4, 5, 6], "not evenly spaced: from 2 to 4"),
        (np.arange(40.0, 48), np.arange(0.0, 400, 4), "more than once"),
        (np.arange(3e6, 3.8e6, 1e5), np.arange(8.0), "no latitude in degrees"),
        (np.array(["a", "b", "c"]), np.arange(3.0), "no number|no latitude"),
    ],
)
def test_places_that_make_no_grid_are_refused_with_place_and_value(latitude, longitude, words, tmp_path) -> None:
    field = np.full((len(latitude), len(longitude)), 280.0)
    xr.Dataset(
        {"t2m": (("latitude", "longitude"), field, {"units": "K"})}, {"latitude": latitude, "longitude": longitude}
    ).to_netcdf(tmp_path / "file.nc")
    with pytest.raises(FieldError, match=rf"file\.nc.*({words})") as error:
        physlab.open_dataset(tmp_path / "file.nc")
    assert "\n" not in str(error.value)


def test_lists_of_places_are_no_grid(tmp_path) -> None:
    places = {"lat": ("station", np.arange(5.0)), "lon": ("station", np.arange(5.0))}
    xr.Dataset({"t2m": ("station", np.full(5, 280.0), {"units": "K"})}, places).to_netcdf(tmp_path / "file.nc")
    with pytest.raises(FieldError, match="5 places along 'station', no grid: stations go into physlab assimilate"):
        physlab.open_dataset(tmp_path / "file.nc")


# --- maps -------------------------------------------------------------------------------------------------------------
def mapped(mapping: dict, y, x, unit: str, names=("y", "x"), places: bool = True, factor: float = 1.0) -> xr.Dataset:
    """A data set on a map as files have it."""
    at = projection.positions(projection.crs_of(mapping), y, x)
    degrees = "rotated" in mapping["grid_mapping_name"]
    standard = (
        ("grid_latitude", "grid_longitude") if degrees else ("projection_y_coordinate", "projection_x_coordinate")
    )
    field = np.stack([value(*at), value(*at) + 1]).astype("f4")
    coords = {dim: (dim, np.asarray(axis) / factor, {"standard_name": name, "units": unit})
              for dim, axis, name in zip(names, (y, x), standard, strict=True)}  # fmt: skip
    if places:
        coords |= {
            "lat": (names, at[0], {"units": "degrees_north"}),
            "lon": (names, at[1] % 360, {"units": "degrees_east"}),
        }
    ds = xr.Dataset({"tas": (("time", *names), field, {"units": "K", "grid_mapping": "proj"})},
                    {**coords, "time": np.array(["2001-01-01", "2001-01-02"], "M8[ns]")})  # fmt: skip
    return ds.assign(proj=((), 0, mapping))


MAPS = {
    "rotated": (ROTATED, np.arange(-4.0, 4, 0.5), np.arange(-5.0, 5, 0.5), "degrees", ("rlat", "rlon"), 1.0),
    "laea": (LAEA, 3e6 + 2.5e4 * np.arange(16), 4e6 + 2.5e4 * np.arange(20), "m", ("y", "x"), 1.0),
    "laea in km": (LAEA, 3e6 + 2.5e4 * np.arange(16), 4e6 + 2.5e4 * np.arange(20), "km", ("yc", "xc"), 1e3),
    "laea from north": (LAEA, 3.4e6 - 2.5e4 * np.arange(16), 4e6 + 2.5e4 * np.arange(20), "m", ("y", "x"), 1.0),
}


@pytest.mark.parametrize("places", [True, False])
@pytest.mark.parametrize("kind", MAPS)
def test_projected_grids_keep_their_map(kind, places, tmp_path) -> None:
    mapping, y, x, unit, names, factor = MAPS[kind]
    mapped(mapping, y, x, unit, names, places, factor).to_netcdf(tmp_path / "file.nc")
    ds = physlab.open_dataset(tmp_path / "file.nc")
    assert ds["tas"].dims == ("time", "y", "x") and ds["tas"].attrs["grid_mapping"] == "crs"
    right(ds.isel(time=0))
    np.testing.assert_allclose(ds["y"], y)
    np.testing.assert_allclose(ds["x"], x)
    assert ds["crs"].attrs["grid_mapping_name"] == mapping["grid_mapping_name"] and "crs_wkt" in ds["crs"].attrs
    grid = Grid.from_dataset(ds)
    assert isinstance(grid, ProjectedGrid) and grid == ProjectedGrid(y, x, mapping=mapping)
    assert unit != "km" or "from km to m" in account(ds)
    fine = physlab.load_model("nearest-x2").downscale(ds)
    assert fine["tas"].sizes["y"] == 32 and fine["tas"].sizes["x"] == 40
    south, north = float(ds["latitude"].min()) + 1, float(ds["latitude"].max()) - 1
    assert 0 < region(ds, south, north, -180, 180).sizes["y"] <= 16


def test_areas_of_the_file_are_used(tmp_path) -> None:
    mapping, y, x, unit, names, _ = MAPS["laea"]
    ds = mapped(mapping, y, x, unit, names)
    areas = np.random.default_rng(0).uniform(6e2, 6.3e2, (16, 20))
    ds["areacella"] = (names, areas, {"standard_name": "cell_area", "units": "km2"})
    ds["tas"].attrs["cell_measures"] = "area: areacella"
    ds.to_netcdf(tmp_path / "file.nc")
    found = physlab.open_dataset(tmp_path / "file.nc")
    np.testing.assert_allclose(Grid.from_dataset(found).cell_area, 1e6 * areas)
    assert list(found.data_vars) == ["tas"] and "cell_measures" not in found["tas"].attrs


def test_a_map_that_is_not_named_is_asked_for_and_taken_from_the_user(tmp_path) -> None:
    mapping, y, x, unit, names, _ = MAPS["laea"]
    ds = mapped(mapping, y, x, unit, names, places=False).drop_vars("proj")
    del ds["tas"].attrs["grid_mapping"]
    ds.to_netcdf(tmp_path / "file.nc")
    with pytest.raises(FieldError, match=r"file\.nc' lies on rows 'y' \(3e\+06 to .*--mapping EPSG:3035=crs") as error:
        physlab.open_dataset(tmp_path / "file.nc")
    assert "\n" not in str(error.value)
    right(physlab.open_dataset(tmp_path / "file.nc", mapping={"EPSG:3035": "crs"}).isel(time=0))
    bare = ds.copy()
    for name in names:
        bare[name].attrs = {}
    bare.to_netcdf(tmp_path / "bare.nc")
    right(physlab.open_dataset(tmp_path / "bare.nc", mapping={"EPSG:3035": "crs"}).isel(time=0))
    with pytest.raises(FieldError, match="names no map"):
        physlab.open_dataset(tmp_path / "file.nc", mapping={"EPSG:99999": "crs"})


def test_a_rotated_pole_that_is_not_said_is_refused_and_not_taken_for_latitude(tmp_path) -> None:
    mapping, y, x, unit, names, _ = MAPS["rotated"]
    ds = mapped(mapping, y, x, unit, names, places=False)
    ds["proj"].attrs = {"grid_mapping_name": "rotated_latitude_longitude"}
    for name, unit in zip(names, ("degrees_north", "degrees_east"), strict=True):
        ds[name].attrs["units"] = unit
    ds.to_netcdf(tmp_path / "file.nc")
    with pytest.raises(FieldError, match=r"file\.nc' lies on rows 'rlat'.*grid_north_pole_latitude is missing"):
        physlab.open_dataset(tmp_path / "file.nc")


def test_places_alone_make_a_curvilinear_grid_and_must_fit_the_map_if_there_is_one(tmp_path) -> None:
    mapping, y, x, unit, names, _ = MAPS["rotated"]
    ds = mapped(mapping, y, x, unit, names)
    ds.drop_vars("proj").to_netcdf(tmp_path / "a.nc")
    found = physlab.open_dataset(tmp_path / "a.nc")
    right(found.isel(time=0))
    assert "curvilinear grid" in account(found) and "crs" not in found.coords
    areas = Grid.from_dataset(found).area_weights / ProjectedGrid(y, x, mapping=mapping).area_weights
    assert np.abs(areas - 1).max() < 3e-3
    wrong = ds.assign(proj=((), 0, {**mapping, "grid_north_pole_latitude": 60.0}))
    wrong.to_netcdf(tmp_path / "b.nc")
    with pytest.raises(
        FieldError, match=r"b\.nc': row \d+, column \d+ lies at .* by 'lat' and 'lon', but at .* by its map"
    ):
        physlab.open_dataset(tmp_path / "b.nc")
    found = physlab.open_dataset(tmp_path / "b.nc", mapping={"proj": ""})
    right(found.isel(time=0))


@pytest.mark.parametrize("kind", [1, 2, 3])
@pytest.mark.parametrize("moving", [True, False])
def test_wrf_names_its_map_in_global_attributes(kind, moving, tmp_path) -> None:
    attrs = {"MAP_PROJ": kind, "TRUELAT1": 30.0 if kind != 2 else 60.0, "TRUELAT2": 60.0, "STAND_LON": -97.0}
    attrs |= {"MOAD_CEN_LAT": 40.0, "CEN_LAT": 40.0, "CEN_LON": -97.0, "DX": 3e4, "DY": 3e4}
    text = {
        1: "+proj=lcc +lat_1=30 +lat_2=60 +lat_0=40 +lon_0=-97",
        2: "+proj=stere +lat_0=90 +lat_ts=60 +lon_0=-97",
        3: "+proj=merc +lat_ts=30 +lon_0=-97",
    }[kind] + " +a=6370000 +b=6370000"
    crs = projection.pyproj.CRS(text)
    start = projection._to_degrees(crs).transform(-97.0, 40.0, direction="INVERSE")
    y, x = start[1] + 3e4 * np.arange(-6.0, 6), start[0] + 3e4 * np.arange(-8.0, 8)
    at = projection.positions(crs, y, x).astype("f4")
    dims = ("Time", "south_north", "west_east")
    placed = [a[None] if moving else a for a in at]
    ds = xr.Dataset(
        {"T2": (dims, value(*at.astype(float))[None].astype("f4"), {"units": "K", "stagger": ""}),
         "XLAT": (dims if moving else dims[1:], placed[0], {"units": "degree_north"}),
         "XLONG": (dims if moving else dims[1:], placed[1], {"units": "degree_east"}),
         "U": (("Time", "south_north", "west_east_stag"), np.zeros((1, 12, 17), "f4"), {"units": "m s-1"}),
         "Times": ("Time", np.array([b"2024-01-01_06:00:00"]))}, attrs=attrs)  # fmt: skip
    ds.to_netcdf(tmp_path / "wrfout_d01_2024-01-01_06:00:00")
    found = physlab.open_dataset(tmp_path / "wrfout_d01_2024-01-01_06:00:00")
    assert list(found.data_vars) == ["T2"] and "U (not on the grid)" in account(found)
    assert str(found["time"].values.ravel()[0])[:13] == "2024-01-01T06"
    if kind == 3:
        assert found["T2"].dims[-2:] == ("latitude", "longitude"), "Mercator is a regular grid with uneven latitudes"
    else:
        assert (
            abs(float(found["x"][1] - found["x"][0]) - 3e4) < 5 and abs(float(found["y"][1] - found["y"][0]) - 3e4) < 5
        )
    field = found["T2"].squeeze()
    np.testing.assert_allclose(field, value(found["latitude"], found["longitude"]).transpose(*field.dims), atol=1e-4)


def test_grib_on_a_rotated_grid(tmp_path) -> None:
    import eccodes

    crs = projection.crs_of(ROTATED)
    y, x = np.arange(-4.0, 4, 1), np.arange(-5.0, 5, 1)
    at = projection.positions(crs, y, x)
    handle = eccodes.codes_grib_new_from_samples("rotated_ll_sfc_grib2")
    keys = {
        "Ni": 10, "Nj": 8, "latitudeOfFirstGridPointInDegrees": -4.0, "latitudeOfLastGridPointInDegrees": 3.0,
        "longitudeOfFirstGridPointInDegrees": 355.0, "longitudeOfLastGridPointInDegrees": 4.0,
        "iDirectionIncrementInDegrees": 1.0, "jDirectionIncrementInDegrees": 1.0, "jScansPositively": 1,
        "latitudeOfSouthernPoleInDegrees": -39.25, "longitudeOfSouthernPoleInDegrees": 18.0,
        "angleOfRotationInDegrees": 0.0, "shortName": "2t", "bitsPerValue": 24,
    }  # fmt: skip
    for key, given in keys.items():
        eccodes.codes_set(handle, key, given)
    eccodes.codes_set_values(handle, value(*at).ravel())
    (tmp_path / "r.grib").write_bytes(eccodes.codes_get_message(handle))
    eccodes.codes_release(handle)
    ds = physlab.open_dataset(tmp_path / "r.grib")
    assert ds["crs"].attrs["grid_mapping_name"] == "rotated_latitude_longitude"
    field = ds["t2m"].squeeze()
    np.testing.assert_allclose(field, value(ds["latitude"], ds["longitude"]), atol=1e-3)
    np.testing.assert_allclose(ds["latitude"], at[0], atol=1e-3)


def test_reduced_grids_of_grib_are_refused_with_the_way_out(tmp_path) -> None:
    import eccodes

    handle = eccodes.codes_grib_new_from_samples("reduced_gg_sfc_grib2")
    (tmp_path / "r.grib").write_bytes(eccodes.codes_get_message(handle))
    eccodes.codes_release(handle)
    with pytest.raises(FieldError, match=r"r\.grib' lies on a grid of type reduced_gg.*cdo -setgridtype,regular"):
        physlab.open_dataset(tmp_path / "r.grib")


def test_regular_grib_keeps_missing_cells(tmp_path) -> None:
    field = value(LATITUDE[:, None], np.arange(10.0)[None])
    field[2, 3] = np.nan
    (tmp_path / "m.grib").write_bytes(message(field, LATITUDE, np.arange(10.0), 2, shortName="2t"))
    ds = physlab.open_dataset(tmp_path / "m.grib")
    assert np.isnan(ds["t2m"].values[2, 3]) and int(ds["t2m"].isnull().sum()) == 1
    assert "missing: 1 of 80 values of t2m" in account(ds)

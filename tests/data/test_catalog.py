"""The catalogue, the readers of the real files, and your own files."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import xarray as xr

from physlab.data import account, list_datasets, open_dataset
from physlab.data.catalog import CATALOG
from physlab.errors import FieldError, PhysLabError

PROMISED = (
    "nature-tcw nature-sequences nature-rain nature-states nature-budget nature-window nature-twin nature-terrain "
    "nature-terrain-members era5-uk-t2m era5-uk-t2m-sample era5-moisture era5-ensemble era5-upper-air "
    "erainterim-uvz storm1996 nam-snapshot weatherbench2-1p5deg arco-era5 xclim-stations"
).split()


def own_dataset() -> xr.Dataset:
    time = np.datetime64("2020-01-01", "ns") + np.arange(3).astype("timedelta64[h]")
    values = np.arange(3 * 4 * 5.0).reshape(3, 4, 5)
    ds = xr.Dataset({"TCW": (("time", "lat", "lon"), values, {"units": "kg m-2"})}, {"time": time})
    return ds.assign_coords(lat=("lat", [50.0, 51, 52, 53]), lon=("lon", [0.0, 1, 2, 3, 4]))


# --- names ------------------------------------------------------------------------------------------------------------
def test_the_list_has_all_names_and_columns():
    table = list_datasets()
    assert list(table["name"]) == list(CATALOG) and set(PROMISED) <= set(CATALOG)
    assert list(table.columns) == ["name", "title", "kind", "size", "variables", "terms", "cached"]
    assert {"shipped", "download", "cloud"} <= set(table["kind"])
    assert table.set_index("name").loc["era5-moisture", "size"] == 5.5
    assert not table.set_index("name").loc["arco-era5", "cached"]


def test_entries_are_frozen_and_complete():
    for entry in CATALOG.values():
        with pytest.raises(AttributeError):
            entry.name = "other"
        assert bool(entry.files) == (entry.kind == "download")
        assert bool(entry.path) == (entry.kind == "shipped")
        assert entry.url.startswith("gs://") == (entry.kind == "cloud")


def test_a_wrong_name_lists_near_ones():
    with pytest.raises(FileNotFoundError, match="did you mean era5-uk-t2m or era5-uk-t2m-sample") as caught:
        open_dataset("era5_uk_t2m")
    assert "\n" not in str(caught.value)
    with pytest.raises(FileNotFoundError, match="check the path"):
        open_dataset("nowhere/field.nc")


@pytest.mark.parametrize("name", [entry.name for entry in CATALOG.values() if entry.kind == "shipped"])
def test_shipped_sets_open_and_hold_what_the_list_says(name):
    ds = open_dataset(name)
    assert set(CATALOG[name].variables) <= set(ds.data_vars)
    for variable in CATALOG[name].variables:
        assert ds[variable].attrs["units"]
        assert ds[variable].attrs["standard_name"]


# --- the real files ---------------------------------------------------------------------------------------------------
@pytest.mark.real_data
@pytest.mark.parametrize("name", [entry.name for entry in CATALOG.values() if entry.kind == "download"])
def test_real_files_open_with_names_units_and_finite_values(name):
    ds = open_dataset(name)
    assert set(CATALOG[name].variables) == set(ds.data_vars)
    assert {"latitude", "longitude"} <= set(ds.coords)
    if "level" in ds.coords:
        assert ds["level"].attrs["units"] == "hPa"
        assert 50 < float(ds["level"].min()) < float(ds["level"].max()) < 1100
    for variable in ds.data_vars:
        assert "**" not in ds[variable].attrs["units"]
    if name not in ("storm1996", "xclim-stations", "mrms-rain"):  # which have gaps
        assert all(bool(np.isfinite(ds[v]).all()) for v in ds.data_vars)


@pytest.mark.real_data
def test_rain_seen_by_radar_is_read_one_file_at_a_time():
    rain = open_dataset("mrms-rain")["rain_rate"]
    assert rain.shape == (36, 3500, 7000) and rain.chunks[0] == (1,) * 36
    assert set(np.diff(rain["time"].values)) == {np.timedelta64(2, "m")}
    field = rain[0].values
    assert np.isnan(field).mean() == pytest.approx(0.358, abs=0.001)  # no coverage, -3 in the file
    assert np.nanmin(field) == 0 and np.nanmax(field) == pytest.approx(148.8, abs=0.1)
    assert (field > 0.1).mean() == pytest.approx(0.04, abs=0.01)


@pytest.mark.real_data
def test_uk_temperature():
    t2m = open_dataset("era5-uk-t2m")["t2m"]
    assert t2m.shape == (744, 33, 49)
    assert t2m.dims == ("time", "latitude", "longitude")
    assert set(np.diff(t2m["time"].values)) == {np.timedelta64(1, "h")}
    assert float(t2m["latitude"][0]) == 58
    assert float(t2m["longitude"][-1]) == 2
    assert 255 < float(t2m.min()) < float(t2m.max()) < 300


@pytest.mark.real_data
def test_moisture_signs_and_units(real_data):
    ds = open_dataset("era5-moisture")
    assert ds["q"].dims == ("time", "level", "latitude", "longitude")
    assert ds["q"].shape == (24, 20, 41, 41)
    assert np.all(np.diff(ds["level"]) > 0)
    raw = xr.open_dataset(real_data / "era5-moisture" / "ERA5_2020-01-01_e.nc")["e"]
    np.testing.assert_allclose(ds["e"], -1000 * raw)
    rain = xr.open_dataset(real_data / "era5-moisture" / "ERA5_2020-01-01_tp.nc")["tp"]
    np.testing.assert_allclose(ds["tp"], 1000 * rain)
    assert 0 < float(ds["e"].mean()) < 0.2, "evaporation is upward on average, some hundredths of a mm an hour"
    assert float(ds["tp"].min()) >= -1e-12
    assert ds["e"].attrs["units"] == ds["tp"].attrs["units"] == ds["tcw"].attrs["units"] == "kg m-2"
    # the vapour above the surface makes up the column (rectangle rule; the exact column is tested with the equations)
    level = 100.0 * ds["level"].values.astype(float)
    edges = np.concatenate([[0.0], 0.5 * (level[1:] + level[:-1]), [1.1e5]])
    top, bottom = (xr.DataArray(e, dims="level").clip(max=ds["sp"]) for e in (edges[:-1], edges[1:]))
    column = (ds["q"] * (bottom - top)).sum("level").transpose(*ds["tcw"].dims) / 9.80665
    assert np.corrcoef(column.values.ravel(), ds["tcw"].values.ravel())[0, 1] > 0.998


@pytest.mark.real_data
def test_ensemble_members_differ():
    ds = open_dataset("era5-ensemble")
    assert ds["t"].dims == ("member", "time", "level", "latitude", "longitude")
    assert ds["t"].shape == (10, 4, 2, 61, 120)
    spread = float(ds["t"].sel(level=850).std("member").mean())
    assert 0.05 < spread < 2.0


@pytest.mark.real_data
def test_storm_marks_its_continuous_intervals():
    ds = open_dataset("storm1996")
    assert str(ds["time"].values[0]) == "1996-01-05T00:00:00.000000000"
    assert int(ds["usable"].sum()) == 12 + 11 + 24
    inside = ds.sel(latitude=slice(55, None)).isel(time=ds["usable"].values)
    assert all(bool(np.isfinite(inside[v]).all()) for v in ds.data_vars)
    assert not np.isfinite(ds["t"].isel(time=17)).any()


@pytest.mark.real_data
def test_nam_is_curvilinear_and_says_its_spacing():
    ds = open_dataset("nam-snapshot")
    assert ds["z"].dims == ("level", "y", "x")
    assert ds["latitude"].dims == ("y", "x")
    assert ds.attrs["dx"] == 81271.0
    assert 5000 < float(ds["z"].sel(level=500).mean()) / 9.80665 < 6000
    assert 0 <= float(ds["tcwv"].min()) < float(ds["tcwv"].max()) < 80


@pytest.mark.real_data
def test_model_and_stations_have_one_unit_and_calendar():
    ds = open_dataset("xclim-stations")
    assert ds["pr"].dims == ("source", "location", "time") and ds.sizes["time"] == 64 * 365
    assert ds["time"].dt.calendar == "noleap"
    mean = ds["pr"].sel(location="Vancouver").mean("time") * 86400
    assert all(1 < float(value) < 8 for value in mean), "millimetres a day"
    assert 255 < float(ds["tasmax"].mean(("location", "time")).min()) < float(ds["tasmax"].max()) < 320


@pytest.mark.real_data
def test_own_grib_by_path_leaves_no_index_file(real_data, tmp_path):
    path = shutil.copy(real_data / "era5-uk-t2m" / "era5-2mt-2019-03-uk.grib", tmp_path / "mine.grib")
    xr.testing.assert_identical(open_dataset(path)["t2m"].drop_attrs(), open_dataset("era5-uk-t2m")["t2m"].drop_attrs())
    assert [p.name for p in tmp_path.iterdir()] == ["mine.grib"]


@pytest.mark.real_data
def test_own_folder_of_netcdf_files(real_data):
    ds, known = open_dataset(real_data / "era5-moisture"), open_dataset("era5-moisture")
    assert set(ds.data_vars) == set(known.data_vars)
    for name, da in known.data_vars.items():
        xr.testing.assert_allclose(ds[name].drop_attrs(), da.drop_attrs(), rtol=1e-7)
        if name in ("q", "u", "v", "tcw", "sp", "e"):
            assert {k: ds[name].attrs[k] for k in ("standard_name", "units")} == {
                k: da.attrs[k] for k in ("standard_name", "units")
            }
    assert "hour" not in ds["tp"].attrs["long_name"], "the file does not say over what time"


@pytest.mark.slow
@pytest.mark.real_data
def test_mixed_grib_on_a_lambert_grid_is_put_together_as_far_as_it_fits(real_data):
    ds, known = open_dataset(real_data / "nam-snapshot" / "nam.t00z.awp21100.tm00.grib2"), open_dataset("nam-snapshot")
    assert ds["t"].dims == ("level", "y", "x") and ds["crs"].attrs["grid_mapping_name"] == "lambert_conformal_conic"
    np.testing.assert_allclose(np.diff(ds["x"]), known.attrs["dx"], rtol=1e-5)
    np.testing.assert_array_equal(ds["u"].sel(level=500), known["u"].sel(level=500))
    np.testing.assert_allclose(ds["latitude"], known["latitude"])
    assert "typeOfLevel" in account(ds)


# --- your own files ---------------------------------------------------------------------------------------------------
def test_own_netcdf_and_zarr(tmp_path):
    ds = own_dataset()
    ds.to_netcdf(tmp_path / "a.nc")
    ds.to_zarr(tmp_path / "a.zarr")
    for path in (tmp_path / "a.nc", str(tmp_path / "a.zarr")):
        found = open_dataset(path, mapping={"TCW": "tcw"})
        assert found["tcw"].dims == ("time", "latitude", "longitude")
        assert found["tcw"].attrs["standard_name"] == "atmosphere_mass_content_of_water"
        assert found["latitude"].attrs["units"] == "degrees_north"
        np.testing.assert_array_equal(found["tcw"], ds["TCW"])


def test_own_folder_merges_variables_and_times(tmp_path):
    ds = own_dataset()
    ds.isel(time=slice(2)).to_netcdf(tmp_path / "1.nc")
    ds.isel(time=slice(2, None)).to_netcdf(tmp_path / "2.nc")
    np.testing.assert_array_equal(open_dataset(tmp_path)["TCW"], ds["TCW"])


def test_units_are_converted_and_those_of_unknown_quantities_left_alone(tmp_path):
    ds = own_dataset().rename(TCW="t2m")
    ds["t2m"].attrs = {"units": "degC", "long_name": "temperature in Celsius"}
    ds["index"] = ds["t2m"].assign_attrs(units="degC h", long_name="warmth")
    ds.to_netcdf(tmp_path / "a.nc")
    found = open_dataset(tmp_path / "a.nc")
    assert found["t2m"].attrs["units"] == "K" and found["t2m"].attrs["long_name"] == "temperature in Celsius"
    np.testing.assert_allclose(found["t2m"], ds["t2m"] + 273.15)
    assert found["index"].attrs == ds["index"].attrs and "t2m from degC to K" in account(found)


def test_bad_files_are_refused_in_one_line(tmp_path):
    ds = own_dataset()
    ds.drop_vars("lat").rename(lat="row").to_netcdf(tmp_path / "rows.nc")
    (tmp_path / "noise.nc").write_bytes(b"this is no NetCDF")
    (tmp_path / "noise.grib").write_bytes(b"this is no GRIB")
    (tmp_path / "empty").mkdir()
    cases = {
        "rows.nc": r"no latitude coordinate: found dims .* pass mapping=",
        "noise.nc": "cannot read .* it is text .'this is no NetCDF'.* convert a grid to NetCDF first",
        "noise.grib": "cannot read",
        "empty": "holds no NetCDF file",
    }
    for name, message in cases.items():
        with pytest.raises(PhysLabError, match=message) as caught:
            open_dataset(tmp_path / name)
        assert "\n" not in str(caught.value)
    with pytest.raises(FieldError, match="mapping names TCWV"):
        ds.to_netcdf(tmp_path / "good.nc")
        open_dataset(tmp_path / "good.nc", mapping={"TCWV": "tcw"})

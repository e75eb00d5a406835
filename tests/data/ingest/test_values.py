"""Units, quantities and missing values: right numbers, or a refusal with the place and the value."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import physlab
from physlab import cf
from physlab.data import account
from physlab.data.ingest import fields, units
from physlab.errors import FieldError
from tests.data.ingest.made import COUNTINGS, LATITUDE, dataset, truth

LONGITUDE = COUNTINGS["from 0"]


def field(folder, name, values, attrs, encoding=None, **coords):
    """A file with one variable of 8 x 10 values (or a number everywhere), opened."""
    values = np.broadcast_to(np.asarray(values, dtype=getattr(values, "dtype", float)), (8, 10)).copy()
    ds = xr.Dataset(
        {name: (("latitude", "longitude"), values, attrs)}, {"latitude": LATITUDE, "longitude": LONGITUDE, **coords}
    )
    encoding = {"_FillValue": None} if encoding is None else encoding
    ds.to_netcdf(folder / "file.nc", encoding={name: encoding})
    return physlab.open_dataset(folder / "file.nc")


# --- units ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "attrs", "value", "unit", "expected"),
    [
        ("t2m", {"units": "degC"}, 10.2, "K", 283.35),
        ("t2m", {"units": "Celsius"}, 10.2, "K", 283.35),
        ("t2m", {"units": "°C"}, 10.2, "K", 283.35),
        ("x", {"units": "degF", "standard_name": "air_temperature"}, 50.0, "K", 283.15),
        ("tasmax", {"units": "degrees_C"}, -40.0, "K", 233.15),
        ("msl", {"units": "hPa"}, 1013.25, "Pa", 101325),
        ("sp", {"units": "mb"}, 1000.0, "Pa", 1e5),
        ("psl", {"units": "kPa"}, 101.3, "Pa", 101300),
        ("u10", {"units": "knots"}, 10.0, "m s-1", 5.14444),
        ("v10", {"units": "km/h"}, 36.0, "m s-1", 10.0),
        ("q", {"units": "g/kg"}, 8.0, "kg kg-1", 0.008),
        ("q", {"units": "kg kg**-1"}, 0.008, "kg kg-1", 0.008),
        ("tcw", {"units": "cm"}, 2.0, "kg m-2", 20),
        ("tcwv", {"units": "mm"}, 20.0, "kg m-2", 20),
        ("tp", {"units": "m"}, 0.004, "kg m-2", 4),
        ("tp", {"units": "m of water equivalent"}, 0.004, "kg m-2", 4),
        ("tp", {"units": "mm"}, 4.0, "kg m-2", 4),
        ("tp", {"units": "mm/h"}, 3.6, "kg m-2 s-1", 0.001),
        ("pr", {"units": "mm day-1"}, 86.4, "kg m-2 s-1", 0.001),
        ("pr", {"units": "kg m-2 s-1"}, 0.001, "kg m-2 s-1", 0.001),
        ("x", {"units": "m s-1", "standard_name": "lwe_precipitation_rate"}, 1e-6, "kg m-2 s-1", 0.001),
        ("rain_rate", {"units": "mm/h"}, 3.6, "mm h-1", 3.6),
        ("e", {"units": "m of water equivalent"}, -0.0002, "kg m-2", 0.2),
        ("evspsbl", {"units": "kg m-2 s-1"}, 1e-5, "kg m-2 s-1", 1e-5),
        ("e", {"units": "hPa"}, 12.0, "Pa", 1200),
        ("z", {"units": "m**2 s**-2"}, 50000.0, "m2 s-2", 50000),
        ("z", {"units": "gpm"}, 5000.0, "m2 s-2", 49033.25),
        ("z", {"units": "m", "long_name": "geopotential height"}, 5000.0, "m2 s-2", 49033.25),
        ("zg", {"units": "m", "standard_name": "geopotential_height"}, 5000.0, "m", 5000),
        ("z", {"units": "m", "long_name": "depth of the lake"}, 12.0, "m", 12),
        ("r", {"units": "%"}, 80.0, "%", 80),
        ("hurs", {"units": "1"}, 0.8, "1", 0.8),
        ("tcc", {"units": "(0 - 1)"}, 0.5, "1", 0.5),
        ("clt", {"units": "%"}, 50.0, "%", 50),
        ("ozone", {"units": "Dobson"}, 300.0, "Dobson", 300),
        ("t2m_anomaly", {"units": "degC"}, 1.5, "degC", 1.5),
        ("tas", {"units": "K", "long_name": "anomaly of temperature"}, -1.5, "K", -1.5),
    ],
)
def test_units_become_those_of_the_library_where_the_quantity_is_known(
    name, attrs, value, unit, expected, tmp_path
) -> None:
    ds = field(tmp_path, name, value, attrs)
    np.testing.assert_allclose(ds[name], expected, rtol=2e-5)
    assert ds[name].attrs["units"] == unit
    if abs(expected - value) > 1e-9:
        assert f"{name} from " in account(ds)


def test_what_names_do_not_prove_is_not_written(tmp_path) -> None:
    """No unit, no standard name: precipitation of what time? Vapour pressure is no evaporation."""
    ds = field(tmp_path, "tp", 4.0, {})
    assert ds["tp"].attrs == {"long_name": "tp in unknown units"}
    assert physlab.load_model("nearest-x2").downscale(ds)["tp"].attrs.get("units") is None
    ds = field(tmp_path, "e", 12.0, {"units": "hPa"})
    assert ds["e"].attrs["standard_name"] == "water_vapor_partial_pressure_in_air"
    ds = field(tmp_path, "tp", 0.004, {"units": "m"})
    assert "hour" not in str(ds["tp"].attrs)
    ds = field(tmp_path, "z", 12.0, {"units": "m"})
    assert "geopotential" not in str(ds["z"].attrs)
    ds = field(tmp_path, "q", 120.0, {"units": "W m-2"})
    assert "standard_name" not in ds["q"].attrs and ds["q"].attrs["units"] == "W m-2"
    ds = field(tmp_path, "tcc", 0.5, {})
    assert "units" not in ds["tcc"].attrs


@pytest.mark.parametrize(
    ("name", "attrs"),
    [
        ("u10", {"units": "degC"}), ("u", {"units": "K"}), ("t2m", {"units": "m"}), ("msl", {"units": "K"}),
        ("x", {"units": "m s-1", "standard_name": "air_temperature"}), ("tcw", {"units": "hPa"}),
        ("tas", {"units": "1"}),
    ],
)  # fmt: skip
def test_impossible_units_are_refused(name, attrs, tmp_path) -> None:
    with pytest.raises(
        FieldError, match=rf"file\.nc': variable '{name}' has units '{attrs['units']}', but .*mapping"
    ) as error:
        field(tmp_path, name, 280.0, attrs)
    assert "\n" not in str(error.value)
    with pytest.raises(FieldError, match="holds no field"):
        physlab.open_dataset(tmp_path / "file.nc", mapping={name: ""})


def test_a_temperature_without_units_is_kelvin_if_it_can_be_and_refused_else(tmp_path) -> None:
    ds = field(tmp_path, "t2m", truth(1)[0], {})
    assert ds["t2m"].attrs["units"] == "K" and "taken as K" in account(ds)
    for name, attrs in (("t2m", {}), ("t", {}), ("x", {"standard_name": "air_temperature"})):
        with pytest.raises(
            FieldError, match=r"no units, and 10\.2 at latitude 58, longitude 0 is no air_temperature in K.*degC"
        ):
            field(tmp_path, name, 10.2, attrs)


def test_spellings_of_units() -> None:
    for one, other in [
        ("mb", "hPa"),
        ("degrees_celsius", "degC"),
        ("m s**-1", "m/s"),
        ("kg/m^2", "kg m-2"),
        ("ms-1", "m s-1"),
    ]:
        assert units.measures(one, other) and units.factors(units.plain(one), units.plain(other)) == pytest.approx(
            (1.0, 0.0)
        )
    assert not units.measures("m", "K") and not units.measures("potatoes", "K")
    assert units.plain("mm w.e.") == "mm" and units.plain("[K]") == "K" and units.plain(None) == ""


# --- missing values ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "code", [-9999.0, -999.0, -999.9, 999.0, 9999.0, 1e20, 9.969209968386869e36, -32768.0, 1e30, 1e36, -1e34]
)
@pytest.mark.parametrize("name", ["t2m", "something"])
def test_codes_without_an_attribute_are_missing_counted_and_said(code, name, tmp_path) -> None:
    values = truth(1)[0].astype("f4")
    values[2, 3] = values[7, 9] = code
    ds = field(tmp_path, name, values, {"units": "K"} if name == "t2m" else {"units": "1"})
    assert np.isnan(ds[name].values[[2, 7], [3, 9]]).all() and int(np.isnan(ds[name]).sum()) == 2
    np.testing.assert_allclose(ds[name].values[~np.isnan(ds[name])], values[values != np.float32(code)])
    assert f"2 values {np.float32(code):.6g} of {name} are missing values" in account(ds)


def test_codes_in_celsius_and_in_several_kinds(tmp_path) -> None:
    values = truth(1)[0] - 273.15
    values[0, 0], values[1, 1], values[2, 2] = -9999, 1e20, np.nan
    ds = field(tmp_path, "t2m", values, {"units": "degC"})
    assert int(np.isnan(ds["t2m"]).sum()) == 3 and 270 < float(ds["t2m"].min()) < float(ds["t2m"].max()) < 290


def test_numbers_that_can_be_values_stay(tmp_path) -> None:
    values = truth(1)[0] * 0 + np.linspace(980, 1020, 10)
    values[0, 0] = 999.0
    ds = field(tmp_path, "msl", values, {"units": "hPa"})
    assert float(ds["msl"][0, 0]) == 99900 and not ds["msl"].isnull().any()
    rain = np.zeros((8, 10))
    rain[0, 0] = 99.9
    assert float(field(tmp_path, "tp", rain, {"units": "mm"})["tp"].max()) == pytest.approx(99.9)


@pytest.mark.parametrize("dtype", ["int16", "int32", "int64", "uint8"])
def test_whole_numbers_without_scale_are_fields_and_codes_among_them_missing(dtype, tmp_path) -> None:
    values = np.full((8, 10), 200 if dtype == "uint8" else 280, dtype)
    if dtype != "uint8":
        values[3, 4] = np.iinfo("int16").min
    ds = field(tmp_path, "t2m", values, {"units": "K"})
    assert ds["t2m"].dtype.kind == "f" and float(ds["t2m"].mean()) == values[0, 0]
    assert int(ds["t2m"].isnull().sum()) == (dtype != "uint8")


def test_fill_values_packing_and_valid_ranges(tmp_path) -> None:
    values = truth(1)[0]
    packed = {"dtype": "int16", "scale_factor": 0.01, "add_offset": 280.0}
    values[1, 2] = np.nan
    ds = field(tmp_path, "t2m", values, {"units": "K"}, {**packed, "_FillValue": -32767})
    assert int(ds["t2m"].isnull().sum()) == 1
    # a packed field whose code nobody declared
    import netCDF4

    limits = {"valid_range": np.array([650, 670], "i2")}, {"valid_min": np.int16(650)}, {"valid_max": 286.7}
    for attrs, gone in (({}, 1), *((limit, None) for limit in limits)):
        with netCDF4.Dataset(tmp_path / "raw.nc", "w") as file:
            for dim, axis, unit in (("lat", LATITUDE, "degrees_north"), ("lon", LONGITUDE, "degrees_east")):
                file.createDimension(dim, len(axis))
                file.createVariable(dim, "f8", (dim,)).units = unit
                file[dim][:] = axis
            var = file.createVariable("t2m", "i2", ("lat", "lon"), fill_value=False)
            var.set_auto_maskandscale(False)
            raw = np.round((truth(1)[0] - 280) / 0.01).astype("i2")
            raw[4, 5] = -32768
            var[:] = raw
            var.setncatts({"scale_factor": 0.01, "add_offset": 280.0, "units": "K", **attrs})
        found = physlab.open_dataset(tmp_path / "raw.nc")
        real = 280 + 0.01 * raw
        low, high = {"valid_range": (286.5, 286.7), "valid_min": (286.5, np.inf), "valid_max": (-np.inf, 286.7)}.get(
            next(iter(attrs), ""), (-np.inf, np.inf)
        )
        missing = (raw == -32768) | (real < low - 0.004) | (real > high + 0.004)
        np.testing.assert_array_equal(np.isnan(found["t2m"]), missing)
        assert gone is None or int(missing.sum()) == gone
        assert not {"valid_range", "valid_min", "valid_max"} & set(found["t2m"].attrs)
        assert not attrs or "valid range" in account(found)


def test_missing_value_written_as_text_is_a_number(tmp_path) -> None:
    values = truth(1)[0]
    values[0, 0] = -7.5
    ds = field(tmp_path, "t2m", values, {"units": "K", "missing_value": "-7.5"})
    assert int(ds["t2m"].isnull().sum()) == 1


@pytest.mark.parametrize(
    ("name", "value", "attrs"),
    [
        ("t2m", 1e308, {"units": "K"}), ("t2m", np.inf, {"units": "K"}), ("t2m", 5.0, {"units": "K"}),
        ("something", np.inf, {}), ("something", 1e300, {}), ("q", 3.0, {"units": "kg kg-1"}),
        ("u10", 4000.0, {"units": "m s-1"}), ("tp", -40.0, {"units": "mm"}),
    ],
)  # fmt: skip
def test_impossible_values_are_refused_with_their_place(name, value, attrs, tmp_path) -> None:
    values = truth(1)[0] if name in ("t2m", "something") else np.zeros((8, 10))
    values[2, 3] = value
    with pytest.raises(FieldError, match=rf"file\.nc': '{name}' at latitude 57, longitude 3 is ") as error:
        field(tmp_path, name, values, attrs)
    assert "mapping=" in str(error.value) and "\n" not in str(error.value)


def test_one_bad_variable_among_good_ones_is_left_out_and_said(tmp_path) -> None:
    ds = dataset().assign(u10=(dataset()["t2m"] * 0 + 5000).assign_attrs(units="m s-1"))
    ds.to_netcdf(tmp_path / "f.nc")
    found = physlab.open_dataset(tmp_path / "f.nc")
    assert list(found.data_vars) == ["t2m"] and "left out 'u10' at time 2001-02-27T12:00, latitude 58" in account(found)


def test_large_fields_are_checked_as_they_are_read(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(fields, "SMALL", 100)
    monkeypatch.setattr(fields, "CHUNK", 8 * 80)
    ds = dataset(times=6)
    ds["t2m"][:, 0, 0] = -9999.0
    ds["t2m"][4, 2, 3] = 5.0
    ds.to_netcdf(tmp_path / "f.nc", encoding={"t2m": {"_FillValue": None}})
    found = physlab.open_dataset(tmp_path / "f.nc")
    assert "-9999 is a missing value" in account(found)
    first = found["t2m"].isel(time=slice(4)).compute()
    assert int(first.isnull().sum()) == 4
    with pytest.raises(FieldError, match=r"f\.nc': 't2m' at time 2001-02-28T12:00, latitude 57, longitude 3 is 5 K"):
        found["t2m"].compute()


def test_a_field_that_is_missing_everywhere_is_refused(tmp_path) -> None:
    with pytest.raises(FieldError, match=r"file\.nc': t2m is missing everywhere"):
        field(tmp_path, "t2m", np.nan, {"units": "K"})
    with pytest.raises(FieldError, match="missing everywhere"):
        field(tmp_path, "t2m", -9999.0, {"units": "K"})


# --- kinds, attributes ------------------------------------------------------------------------------------------------
def test_flags_and_masks_stay_whole_numbers_and_text_dates_and_spans_are_left_out(tmp_path) -> None:
    ds = dataset(times=1)
    grid = ("time", "latitude", "longitude")
    whole = np.arange(80).reshape(1, 8, 10) % 3
    ds = ds.assign(
        qc=(grid, whole.astype("i1"), {"flag_values": np.array([0, 1, 2], "i1"), "flag_meanings": "good bad ugly"}),
        mask=(grid, (whole > 1).astype("i1")), words=(grid, np.full((1, 8, 10), "ok")),
        when=(grid, np.full((1, 8, 10), np.datetime64("2001-01-01", "ns"))),
        span=(grid, np.full((1, 8, 10), np.timedelta64(6, "h").astype("m8[ns]"))), index=("time", [3.0]),
    )  # fmt: skip
    ds.to_netcdf(tmp_path / "f.nc")
    found = physlab.open_dataset(tmp_path / "f.nc")
    assert set(found.data_vars) == {"t2m", "qc", "mask"}
    assert (cf.kind(found["qc"]), cf.kind(found["mask"]), found["qc"].dtype.kind) == ("flag", "mask", "i")
    for words in (
        "words (text)",
        "when (dates)",
        "span (time spans)",
        "index (not on the grid)",
        "qc is a flag",
        "mask is a mask",
    ):
        assert words in account(found), words


def test_attributes_of_any_kind_and_names_with_blanks(tmp_path) -> None:
    import json

    ds = dataset().rename(t2m="2 metre temperature")
    ds.to_zarr(tmp_path / "f.zarr", zarr_format=2, consolidated=False)
    path = tmp_path / "f.zarr" / "2 metre temperature" / ".zattrs"
    attrs = json.loads(path.read_text())
    attrs |= {"units": "K", "standard_name": "air_temperature", "long_name": "temperature"}
    attrs |= {"a": None, "b": True, "c": {"d": [1, 2]}, "e": [1.5, 2.5], "f": ["x", "y"]}
    path.write_text(json.dumps(attrs))
    found = physlab.open_dataset(tmp_path / "f.zarr")
    assert list(found.data_vars) == ["2_metre_temperature"]
    found.to_netcdf(tmp_path / "out.nc")
    found.drop_encoding().to_zarr(tmp_path / "out.zarr", zarr_format=2)
    assert found["2_metre_temperature"].attrs["c"] == '{"d": [1, 2]}' and "a" not in found["2_metre_temperature"].attrs


@pytest.mark.parametrize("form", ["zarr3", "zarr2", "netcdf4"])
def test_what_was_read_can_be_written_in_any_format(form, tmp_path) -> None:
    from tests.data.ingest.made import write

    packed = {"dtype": "int16", "scale_factor": 0.01, "add_offset": 280.0, "_FillValue": -32768}
    found = physlab.open_dataset(write(dataset(), tmp_path, form, {"t2m": packed}))
    found.to_zarr(tmp_path / "o2.zarr", zarr_format=2)
    found.to_zarr(tmp_path / "o3.zarr", zarr_format=3)
    found.to_netcdf(tmp_path / "o.nc")
    assert xr.open_dataset(tmp_path / "o.nc")["t2m"].encoding["dtype"] != np.int16
